"""Settings as people read them: each with its value, as it would stand in style.yaml, and where it came from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from rich.table import Table
from rich.text import Text

from monet_watch.output import Output
from monet_watch.printable import printable
from monet_watch.recipes import Recipe
from monet_watch.wording import as_yaml

__all__ = ["SettingRow", "setting_rows", "settings_table"]


@dataclass(frozen=True, slots=True)
class SettingRow:
    """A setting: its key, its value in plain JSON types, and its origin in words."""

    key: str
    value: object
    origin: str


def setting_rows(
    recipe: Recipe,
    styles: Sequence[str],
    origins: Mapping[str, object],
    priority: int | None = None,
    output: Output | None = None,
) -> tuple[SettingRow, ...]:
    """Return every setting that has an origin; ``styles`` are the pictures' names."""
    values = {**recipe.model_dump(mode="json"), "style": list(styles), "priority": priority}
    values |= {} if output is None else {**asdict(output), "output": list(output.formats)}
    return tuple(SettingRow(key, values.get(key), str(origin)) for key, origin in origins.items())


def settings_table(title: str, rows: Iterable[SettingRow]) -> Table:
    """Return what `rich` can print."""
    table = Table("setting", "value", "from", title=Text(printable(title)), title_justify="left", box=None)
    for row in rows:
        table.add_row(*(Text(printable(each)) for each in (row.key, as_yaml(row.value), row.origin)))
    return table
