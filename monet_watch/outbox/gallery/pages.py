"""The pages as text, from templates: every name is escaped where it is put in."""

import hashlib
import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from monet_watch import __version__
from monet_watch.outbox.gallery.entries import Entry
from monet_watch.outbox.gallery.names import link, link_part, shown
from monet_watch.outbox.record import PaintingRecord
from monet_watch.wording import as_yaml, duration

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["ASSETS", "MADE_BY", "Place", "Stage", "asset", "brief", "index_page", "painting_page", "root_of", "version"]

ASSETS = ("gallery.css", "gallery.js")
"""What all pages share."""

MADE_BY = b'<meta name="generator" content="monet-watch">'
"""What stands near the beginning of every page that this program has written."""

_PACKAGE = "monet_watch.outbox.gallery"
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Stage:
    """A progress picture: its step, and the addresses of its file and of what to show small instead of it."""

    step: int
    file: str
    small: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a painting's page lies: ``root`` is the address of the outbox from there, ``piece`` that of its entry.

    ``styles`` are the small pictures of its styles, as pairs of an address and a text.
    """

    root: str
    piece: int
    stages: tuple[Stage, ...] = ()
    photo: str = ""
    plot: str = ""
    timelapse: str = ""
    styles: tuple[tuple[str, str], ...] = ()


def asset(name: str) -> bytes:
    """Return one of the `ASSETS`."""
    return importlib.resources.files(_PACKAGE).joinpath("assets", name).read_bytes()


@cache
def version() -> str:
    """Return what changes when pages or assets look different: a hash of all that they are made of."""
    package = importlib.resources.files(_PACKAGE)
    parts = [asset(name) for name in ASSETS]
    parts += [package.joinpath("templates", name).read_bytes() for name in ("base.html", "index.html", "painting.html")]
    return hashlib.sha256(b"\0".join([__version__.encode(), *parts])).hexdigest()[:12]


@cache
def _environment() -> "Environment":
    # Only here: who paints nothing needs no templates, and the daemon is to start quickly.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader(_PACKAGE)
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals.update(version=version(), program=f"monet-watch {__version__}")
    return made


def _rendered(template: str, **values: object) -> bytes:
    return _environment().get_template(template).render(**values).encode("utf-8", "replace")


def index_page(name: str) -> bytes:
    """Return the page of all paintings; ``name`` is the outbox's. What it shows, it loads itself."""
    return _rendered("index.html", name=shown(name), root="")


def painting_page(entry: Entry, record: PaintingRecord, place: Place) -> bytes:
    """Return the page of one painting."""
    return _rendered(
        "painting.html",
        root=place.root,
        entry=entry,
        finished=datetime.fromtimestamp(entry.finished, UTC),
        place=place,
        collection=_collection(entry),
        styles=[brief(style, entry.within) for style in entry.styles],
        facts=_facts(record),
        hashes=_hashes(record),
        chosen=[row for row in _settings(record) if row["chosen"]],
        others=[row for row in _settings(record) if not row["chosen"]],
        remarks=[shown(remark) for remark in record.remarks],
        files=_files(record, place),
        data=_data(record, place),
    )


def brief(style: str, within: str) -> str:
    """Return the name of a style as the paintings of its own folder call it: without the folder's."""
    return style.removeprefix(f"{within}/") if within else style


def _collection(entry: Entry) -> dict[str, str]:
    return {"name": entry.within, "hash": f"#folder={link_part(entry.within)}" if entry.within else ""}


def _facts(record: PaintingRecord) -> list[tuple[str, str]]:
    """What there is to know at a glance, as pairs of a name and a text."""
    machine = record.machine
    steps = f"{len(record.curve.total)} of at most {record.recipe.steps}"
    if record.recipe.coarsest:
        steps = str(len(record.curve.total))
    rows = [
        ("Style", ", ".join(shown(style.name) for style in record.styles)),
        ("Recipe", record.recipe.recipe),
        ("Size", f"{record.width} × {record.height} pixels"),
        ("Steps", f"{steps} ({shown(record.reason)})"),
        ("Loss of the picture", f"{record.delivered.total:.4g}"),
        ("Painted in", _painted_in(record)),
        ("Device", shown(f"{machine.device}: {machine.device_name}")),
        ("Computed in", f"{machine.precision}, {machine.threads} thread{'s' * (machine.threads != 1)}"),
    ]
    optional = (
        ("Memory allowed", machine.memory_bytes and f"{machine.memory_bytes / _KIB**3:.1f} GiB"),
        ("Tiles", machine.tile and f"{machine.tile} pixels"),
        ("L-BFGS remembered", machine.pairs and f"{machine.pairs} moves"),
        ("Went on from", record.resumed_at_step and f"step {record.resumed_at_step}"),
        ("Files copied from", record.copied_from and shown(record.copied_from)),
    )
    return rows + [(name, str(value)) for name, value in optional if value]


def _painted_in(record: PaintingRecord) -> str:
    """How long it took; of a painting that went on from a checkpoint, the last part."""
    times, steps = record.times, len(record.curve.total) - (record.resumed_at_step or 0)
    pace = f", {times.seconds / steps:.2g} s a step" if steps > 0 else ""
    return duration(times.seconds) + pace + (f", attempt {times.attempts}" if times.attempts > 1 else "")


def _hashes(record: PaintingRecord) -> list[tuple[str, str]]:
    rows = [("Photo", f"{shown(record.photo.real_path())}, {_bytes(record.photo.size_bytes)}")]
    rows += [("Photo, SHA-256", record.photo.sha256)]
    rows += [(f"Style {shown(style.name)}, SHA-256", style.sha256) for style in record.styles]
    rows += [("Weights", shown(record.weights.source)), ("Weights, SHA-256", record.weights.sha256)]
    rows += [("Settings", record.settings_key), ("Identity", record.identity)]
    rows += [("Versions", ", ".join(f"{name} {number}" for name, number in record.machine.versions.items()))]
    times = record.times
    return [*rows, ("Queued", times.queued), ("Begun", times.started), ("Finished", times.finished)]


def _settings(record: PaintingRecord) -> list[dict[str, Any]]:
    values = {**record.recipe.model_dump(), "style": [style.name for style in record.styles]}
    return [
        {
            "name": name,
            "value": shown(as_yaml(values.get(name))),
            "origin": shown(origin),
            "chosen": origin != "built in" and not origin.startswith("recipe "),
        }
        for name, origin in record.origins.items()
    ]


def _files(record: PaintingRecord, place: Place) -> list[tuple[str, str]]:
    """The files beside the page, as pairs of an address and a text."""
    found = [
        (link_part(record.painting), f"{shown(record.painting)}, the painting"),
        (place.photo, "photo.webp, the photo as it was painted"),
        *((link(name), f"{shown(name)}, the painting") for name in record.further.values()),
        (place.timelapse, f"{place.timelapse}, how it was painted"),
        (place.plot, "loss.png, the curve of the losses"),
        ("painting.json", "painting.json, the record of it all"),
    ]
    return [(address, text) for address, text in found if address]


def _data(record: PaintingRecord, place: Place) -> Mapping[str, Any]:
    """What the page's script draws."""
    columns: dict[str, Sequence[float]] = record.curve.model_dump()
    return {
        "curve": {name: [float(f"{value:.5g}") for value in column] for name, column in columns.items()},
        "stages": [{"step": stage.step, "file": stage.file} for stage in place.stages],
        "last": len(record.curve.total),
    }


def _bytes(size: int) -> str:
    if size < 1000:
        return f"{size} bytes"
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} KB"


def root_of(folder: PurePosixPath) -> str:
    """Return the address of the outbox from the page in ``folder``."""
    return "../" * len(folder.parts)
