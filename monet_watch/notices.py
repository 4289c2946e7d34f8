"""What the daemon tells whoever listens (console, journal): one frozen record per event, in plain words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePath
from typing import Protocol

__all__ = ["About", "Detail", "Level", "Listener", "Notice", "Subject", "tell"]

Detail = str | int | float | bool | None
"""A plain value, for JSON lines."""


class Level(StrEnum):
    """How much a notice matters."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something happened. ``event`` is a stable name for programs, ``text`` a sentence for people.

    ``photo`` is the photo's path relative to the inbox (may be empty), ``job`` the number of the job that it is about
    in the ledger. ``details`` holds plain values (str, int,
    float, bool, None) for JSON lines. Neither text nor photo is safe to print as it is: file names come from
    strangers, and whoever prints them escapes control characters and markup.

    Events: ``started``, ``watching``, ``scanned``, ``waiting``, ``queued``, ``painting``, ``step``, ``snapshot``,
    ``done``, ``copied``, ``removed``, ``forgotten``, ``problem``, ``settings``, ``settings-broken``,
    ``settings-mended``, ``worker-ready``, ``worker-waits``, ``worker-said``, ``worker-died``, ``asked``, ``resting``,
    ``config``, ``config-broken``, ``contact-sheet``, ``after-painting``, ``notify``, ``stopping``, ``stopped``.
    """

    event: str
    text: str
    photo: str = ""
    level: Level = Level.INFO
    details: Mapping[str, Detail] = field(default_factory=dict)
    job: int | None = None


Listener = Callable[[Notice], None]
"""Whoever is told. A listener must not raise and must not block."""


class Subject(Protocol):
    """What a notice can be about beside a path: a job of the ledger, which is one of a photo."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def path(self) -> PurePath:
        """The photo's path, relative to the inbox."""


@dataclass(frozen=True, slots=True)
class About:
    """A job, by its number and its photo."""

    id: int
    path: PurePath


def tell(
    listener: Listener,
    event: str,
    text: str,
    about: PurePath | str | Subject = "",
    level: Level = Level.INFO,
    details: Mapping[str, Detail] | None = None,
) -> None:
    """Tell ``listener`` what happened. Whoever tells often keeps ``partial(tell, listener)``."""
    photo, job = (about, None) if isinstance(about, PurePath | str) else (about.path, about.id)
    listener(Notice(event, text, str(photo), level, details or {}, job))
