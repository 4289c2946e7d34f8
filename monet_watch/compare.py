"""Two paintings side by side: their settings, their losses, and what they took."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from monet_watch.account import Account
from monet_watch.outbox.record import PaintingRecord
from monet_watch.printable import printable
from monet_watch.wording import as_yaml, duration, number

__all__ = ["Difference", "comparison_facts", "comparison_table", "differences"]

_MARK = "≠"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing about both paintings, in plain JSON types; None where it is not known. ``kind`` is its heading."""

    kind: str
    key: str
    first: object
    second: object

    @property
    def differs(self) -> bool:
        """Whether it is another one in the second painting."""
        return self.first != self.second


_RESULTS: Mapping[str, Callable[[PaintingRecord], object]] = {
    "delivered loss": lambda record: record.delivered.total,
    "style loss": lambda record: record.delivered.style,
    "content loss": lambda record: record.delivered.content,
    "tv loss": lambda record: record.delivered.tv,
    "last loss": lambda record: record.losses.total,
    "steps taken": lambda record: len(record.curve.total),
    "seconds": lambda record: record.times.seconds,
    "size": lambda record: f"{record.width} × {record.height}",
    "ended because": lambda record: record.reason,
}
_MAKING: Mapping[str, Callable[[PaintingRecord], object]] = {
    "photo": lambda record: record.photo.sha256,
    "style": lambda record: ", ".join(style.sha256 for style in record.styles),
    "weights": lambda record: record.weights.sha256,
    "device": lambda record: record.machine.device_name,
    "precision": lambda record: record.machine.precision,
    "tile": lambda record: record.machine.tile,
}


def differences(first: Account, second: Account) -> tuple[Difference, ...]:
    """Return everything that two paintings can be compared by, whether or not it differs."""
    values = [{row.key: row.value for row in each.settings} for each in (first, second)]
    keys = dict.fromkeys([*values[0], *values[1]])
    settings = [Difference("settings", key, values[0].get(key), values[1].get(key)) for key in keys]
    return (*_told("results", _RESULTS, first, second), *_told("made of", _MAKING, first, second), *settings)


def _told(
    kind: str, tellers: Mapping[str, Callable[[PaintingRecord], object]], first: Account, second: Account
) -> list[Difference]:
    def value(account: Account, tell: Callable[[PaintingRecord], object]) -> object:
        return None if account.record is None else tell(account.record)

    return [Difference(kind, key, value(first, tell), value(second, tell)) for key, tell in tellers.items()]


def comparison_table(first: Account, second: Account, only_differing: bool = False) -> Table:
    """Return what `rich` can print: a line for each thing, those that differ marked."""
    table = Table(box=None, header_style="bold")
    for title in ("", "", *(printable(str(each.job.folder or each.job.path)) for each in (first, second))):
        table.add_column(Text(title), overflow="fold")
    kind = ""
    for each in differences(first, second):
        if only_differing and not each.differs:
            continue
        if each.kind != kind:
            kind = each.kind
            table.add_row("", Text(kind, style="bold"), "", "")
        cells = (Text(printable(_in_words(each.key, value))) for value in (each.first, each.second))
        mark = Text(_MARK if each.differs else "")
        table.add_row(mark, Text(printable(each.key)), *cells, style="yellow" if each.differs else "")
    return table


def _in_words(key: str, value: object) -> str:
    if value is None:
        return "-"
    if key == "seconds" and isinstance(value, float):
        return duration(value)
    if key.endswith(" loss") and isinstance(value, float):
        return number(value)
    if key in ("photo", "style", "weights") and isinstance(value, str):
        return ", ".join(f"{digest[:12]}…" if len(digest) == 64 else digest for digest in value.split(", "))
    return as_yaml(value)


def comparison_facts(first: Account, second: Account) -> dict[str, Any]:
    """Return the comparison as plain data for JSON.

    ``first`` and ``second`` say what is compared; ``results``, ``made of`` and ``settings`` hold for each key its
    ``first`` and ``second`` value and whether it ``differs``.
    """
    facts: dict[str, Any] = {name: _which(each) for name, each in (("first", first), ("second", second))}
    for each in differences(first, second):
        values = {"first": each.first, "second": each.second, "differs": each.differs}
        facts.setdefault(each.kind, {})[each.key] = values
    return facts


def _which(account: Account) -> dict[str, Any]:
    job = account.job
    return {"photo": str(job.path), "job": job.id, "folder": None if job.folder is None else str(job.folder)}
