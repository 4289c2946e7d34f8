"""``painting.json``: everything that is needed to know a painting again, and to paint it again."""

import base64
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from monet_watch.engine.events import Losses
from monet_watch.errors import OutboxError
from monet_watch.output import Format
from monet_watch.printable import json_escaped
from monet_watch.recipes import Recipe

__all__ = [
    "CommandFacts",
    "Curve",
    "LossValues",
    "MachineFacts",
    "PaintingRecord",
    "PhotoFacts",
    "StyleFacts",
    "Times",
    "WeightsFacts",
    "iso_time",
]


def _in_utf8(text: object) -> object:
    """A name, with the bytes that are no UTF-8 as escapes: no JSON holds them."""
    return text.encode("utf-8", "backslashreplace").decode() if isinstance(text, str) else text


def _in_this_folder(name: str) -> str:
    """The record lies where others may write: what it names is read, and must lie beside it."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError("no name of a file in the painting's folder")
    return name


_Name = Annotated[str, BeforeValidator(_in_utf8)]
_FileName = Annotated[_Name, AfterValidator(_in_this_folder)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PhotoFacts(_Record):
    """The photo: its path in the inbox, SHA-256 and size. ``path_base64`` holds a path that is not UTF-8."""

    path: str
    path_base64: str | None = None
    sha256: str
    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, path: PurePosixPath, sha256: str, size_bytes: int, mtime_ns: int) -> Self:
        """Make a record of the photo at ``path``, whatever bytes its name has."""
        raw = os.fsencode(str(path))
        text = raw.decode("utf-8", "backslashreplace")
        encoded = None if text.encode() == raw else base64.b64encode(raw).decode()
        return cls(path=text, path_base64=encoded, sha256=sha256, size_bytes=size_bytes, mtime_ns=mtime_ns)

    def real_path(self) -> PurePosixPath:
        """Return the path as the file system has it."""
        raw = base64.b64decode(self.path_base64) if self.path_base64 is not None else self.path.encode()
        return PurePosixPath(os.fsdecode(raw))


class StyleFacts(_Record):
    """A style picture."""

    name: _Name
    sha256: str


class WeightsFacts(_Record):
    """The network's weights: where they came from, and the file's SHA-256."""

    source: _Name
    sha256: str


class MachineFacts(_Record):
    """What painted it. The same record gives the same picture on the same machine.

    ``precision`` is what the network computed in: fp32, tf32 or bf16. ``memory_bytes`` is what the painting was
    allowed; it decides ``tile``, the side in pixels of its tiles, and ``pairs``, how many moves L-BFGS could
    remember. None stands for no limit, for one piece, and for what an older version did not tell.
    """

    device: str
    device_name: str
    precision: str
    threads: int
    versions: dict[str, str]
    memory_bytes: int | None = None
    tile: int | None = None
    pairs: int | None = None


class Times(_Record):
    """When it was painted (ISO 8601, UTC), in how many attempts, and how long the last attempt took."""

    queued: str
    started: str
    finished: str
    seconds: float
    attempts: int


class LossValues(_Record):
    """Losses, each times its weight: total = style + content + tv."""

    total: float
    style: float
    content: float
    tv: float

    @classmethod
    def of(cls, losses: Losses) -> Self:
        """Make a record of ``losses``."""
        return cls(total=losses.total, style=losses.style, content=losses.content, tv=losses.tv)


class Curve(_Record):
    """The losses of every step, in columns; the first value belongs to step 1."""

    total: list[float]
    style: list[float]
    content: list[float]
    tv: list[float]

    @classmethod
    def of(cls, curve: Sequence[Losses]) -> Self:
        """Make a record of ``curve``."""
        return cls(
            total=[losses.total for losses in curve],
            style=[losses.style for losses in curve],
            content=[losses.content for losses in curve],
            tv=[losses.tv for losses in curve],
        )


class CommandFacts(_Record):
    """What became of the command of ``after_painting``.

    ``outcome`` is ``running`` while it runs, ``ended``, ``killed`` (it took too long), ``not started`` or
    ``interrupted`` (by a stop; it is not run again). ``status`` is its exit status, negative for a signal's number;
    ``output`` are the last lines of what it said.
    """

    program: _Name
    started: str
    outcome: Literal["running", "ended", "killed", "not started", "interrupted"]
    status: int | None = None
    seconds: float | None = None
    output: tuple[_Name, ...] = ()


class PaintingRecord(_Record):
    """The record of one painting. ``origins`` says for each setting which file and line it came from."""

    format: Literal[1] = 1
    identity: str
    settings_key: str
    photo: PhotoFacts
    painting: _FileName = Field(description="file name of the painting, beside this record")
    width: int
    height: int
    styles: tuple[StyleFacts, ...]
    recipe: Recipe
    origins: dict[str, _Name]
    weights: WeightsFacts
    machine: MachineFacts
    times: Times
    reason: str
    losses: LossValues
    delivered: LossValues
    stages: tuple[_FileName, ...]
    curve: Curve
    resumed_at_step: int | None = Field(
        None, description="step of the checkpoint from which the last attempt went on; None if it painted all of it"
    )
    remarks: tuple[str, ...] = Field((), description="what went otherwise than asked for, a line each")
    further: dict[Format, _FileName] = Field(
        default_factory=dict, description="the painting's files in other formats than PNG, by format"
    )
    timelapse: _FileName | None = Field(None, description="the file that shows how it was painted, if there is one")
    copied_from: str | None = Field(None, description="folder in the outbox whose files these are, if it is a copy")

    after_painting: CommandFacts | None = Field(None, description="what became of the command that follows a painting")

    def to_bytes(self) -> bytes:
        """Return the file's content: JSON in UTF-8, with whatever could steer a terminal escaped."""
        return json_escaped(self.model_dump_json(indent=1)).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a record. Raises OutboxError if it is none."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise OutboxError(f"This is not the record of a painting: {error.error_count()} faults.") from error


def iso_time(epoch_seconds: float) -> str:
    """Return a time as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="seconds")
