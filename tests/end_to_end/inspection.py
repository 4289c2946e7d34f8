"""What must be true of a house once everything in it is painted, whatever was done to the daemon on the way.

`inspect` looks at the files and the ledger themselves, not at what the program says of them.
"""

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from pydantic import ValidationError

from monet_watch.outbox.record import PaintingRecord
from monet_watch.outbox.sheet_files import sheet_name
from tests.end_to_end.house import Home

__all__ = ["Findings", "inspect", "inspect_midway"]

_REPORT = ".problem.txt"
_PAGE = "index.html"  # of a painting, or of them all
_SHEETS = {sheet_name(page) for page in range(1, 10)}  # of all that a test drops


@dataclass(frozen=True)
class Findings:
    """What is wrong, each with its place; empty lists are what is hoped for."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    half_written: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    originals: list[str] = field(default_factory=list)
    ledger: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(vars(self).values())


def inspect(home: Home, photos: Mapping[str, bytes], problems: Mapping[str, bytes]) -> Findings:
    """Compare the house with the ``photos`` that were dropped, and the ``problems``, which cannot be painted."""
    paintings = Counter(record.photo.path for _, record in _records(home))
    return Findings(
        lost=[photo for photo in photos if not paintings[photo]]
        + [f"no report of {name}" for name in problems if not (home.outbox / f"{name}{_REPORT}").is_file()],
        doubled=[f"{photo}: {number} paintings" for photo, number in paintings.items() if number > 1]
        + [f"{photo}: nobody dropped it" for photo in paintings if photo not in photos],
        half_written=[*_half_written(home), *_more_or_less_than_told(home)],
        left_behind=list(_left_behind(home, problems)),
        originals=list(_misplaced(home, photos, problems)),
        ledger=list(_inconsistent(home, len(photos), len(problems))),
    )


def inspect_midway(home: Home, photos: Mapping[str, bytes]) -> Findings:
    """What must be true at any moment, such as after a kill: no photo is lost, no file is half-written."""
    painted = {record.photo.path for _, record in _records(home)}
    return Findings(
        lost=[photo for photo, data in photos.items() if not _is_safe(home, photo, data, painted)],
        half_written=list(_half_written(home)),
    )


def _is_safe(home: Home, photo: str, data: bytes, painted: Collection[str]) -> bool:
    """Whether the original lies in the inbox; if not, its painting must be there, and in the archive itself."""
    if _bytes_at(home.inbox / photo) == data:
        return True
    after = home.settings["after"]
    return photo in painted and (after == "delete" or (after == "move" and _bytes_at(home.archive / photo) == data))


def _bytes_at(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _records(home: Home) -> Iterator[tuple[Path, PaintingRecord]]:
    for path in home.outbox.rglob("painting.json"):
        with contextlib.suppress(ValidationError):
            yield path.parent, PaintingRecord.model_validate_json(path.read_bytes())


def _half_written(home: Home) -> Iterator[str]:
    """Files that are not whole, and paintings of which files are missing."""
    for path in home.outbox.rglob("*"):
        is_hidden = any(part.startswith(".") for part in path.relative_to(home.outbox).parts)
        fault = "" if path.is_dir() or is_hidden else _fault_of_file(path)
        if fault:
            yield f"{path}: {fault}"
    for folder, record in _records(home):
        yield from (f"{folder} lacks {name}" for name in _names(record) if not (folder / name).is_file())
        lengths = {len(column) for column in vars(record.curve).values()}
        if len(lengths) != 1 or (record.reason == "all steps taken" and lengths != {record.recipe.steps}):
            yield f"{folder}: curves of {lengths} steps instead of {record.recipe.steps} ({record.reason})"


def _names(record: PaintingRecord) -> set[str]:
    return {record.painting, "loss.png", "photo.webp", "painting.json", *record.stages}


def _more_or_less_than_told(home: Home) -> Iterator[str]:
    for folder, record in _records(home):
        every, steps = record.recipe.save_every, len(record.curve.total)
        if record.stages != tuple(f"progress_{step:04d}.png" for step in range(every, steps + 1, every)):
            yield f"{folder}: stages {record.stages}"
        more = {path.name for path in folder.iterdir() if path.is_file()} - _names(record) - {_PAGE}
        yield from (f"{folder} holds {name} as well" for name in more)


def _fault_of_file(path: Path) -> str:
    try:
        if path.suffix in (".png", ".webp") or path.name in _SHEETS:
            with Image.open(path) as picture:
                picture.load()
        elif path.suffix == ".json":
            PaintingRecord.model_validate_json(path.read_bytes())
        elif path.name.endswith(_REPORT):
            return "" if "What to do: " in path.read_text(encoding="utf-8") else "it says not what to do"
        elif path.suffix == ".html":
            return "" if path.read_text(encoding="utf-8").rstrip().endswith("</html>") else "it has no end"
        else:
            return "nobody knows what it is"
    except (OSError, SyntaxError, ValueError) as error:
        return str(error)
    return ""


def _left_behind(home: Home, problems: Mapping[str, bytes]) -> Iterator[str]:
    """Temporaries, checkpoints, reports of what is solved, and folders without a painting."""
    for root in (home.inbox, home.outbox, home.archive, home.state):
        yield from (str(path) for path in root.rglob("*") if _is_left_behind(path))
    yield from map(str, (home.state / "checkpoints").glob("*"))
    reports = {home.outbox / f"{name}{_REPORT}" for name in problems}
    yield from (f"{path} tells of nothing" for path in home.outbox.rglob(f"*{_REPORT}") if path not in reports)
    for path in home.outbox.rglob("*"):
        is_of_a_painting = path.is_file() and path.parent != home.outbox and path.suffix in (".png", ".html")
        if is_of_a_painting and not (path.parent / "painting.json").exists():
            yield f"{path} belongs to no painting"


def _is_left_behind(path: Path) -> bool:
    return path.suffix == ".tmp" or (path.name.startswith(".") and path.name != ".gallery")


def _misplaced(home: Home, photos: Mapping[str, bytes], problems: Mapping[str, bytes]) -> Iterator[str]:
    """Originals that are not where ``after`` wants them, byte for byte, and whatever else lies there."""
    after = home.settings.get("after", "keep")
    painted = dict(photos)
    style = {"style.png": (home.inbox / "style.png").read_bytes()}
    wanted = {
        home.inbox: {**problems, **style, **(painted if after == "keep" else {})},
        home.archive: painted if after == "move" else {},
    }
    for root, files in wanted.items():
        present = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for name in sorted(present.keys() | files.keys()):
            if present.get(name) != files.get(name):
                yield f"{root.name}/{name}: {_difference(present.get(name), files.get(name))}"


def _difference(present: bytes | None, wanted: bytes | None) -> str:
    if present is None:
        return "it is not there"
    return "it should not be there" if wanted is None else "it is not what was dropped"


def _inconsistent(home: Home, done: int, problems: int) -> Iterator[str]:
    """What SQLite finds, rows under way, and rows that the outbox does not bear out."""
    with contextlib.closing(sqlite3.connect(home.state / "ledger.sqlite3")) as database:
        yield from (row[0] for row in database.execute("PRAGMA integrity_check") if row[0] != "ok")
        yield from (f"foreign key: {row}" for row in database.execute("PRAGMA foreign_key_check"))
        counts = dict(database.execute("SELECT state, count(*) FROM jobs GROUP BY state"))
        wanted = {state: number for state, number in (("done", done), ("problem", problems)) if number}
        if counts != wanted:
            yield f"rows {counts} instead of {wanted}"
        yield from (
            f"attempt under way: {row}" for row in database.execute("SELECT * FROM attempts WHERE ended_at IS NULL")
        )
        rows = list(database.execute("SELECT path, identity, folder FROM jobs WHERE state = 'done'"))
    told = {(path.decode(), identity, str(folder and folder.decode())) for path, identity, folder in rows}
    found = {
        (record.photo.path, record.identity, str(folder.relative_to(home.outbox))) for folder, record in _records(home)
    }
    yield from (f"the ledger and the outbox differ in {each}" for each in sorted(told ^ found))
