"""What the gallery shows of this moment: what is being painted, what waits and why, and what cannot be painted."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from monet_watch.outbox.gallery.names import link, shown
from monet_watch.wording import finite

__all__ = ["Moment", "Sitting", "Standing"]


@dataclass(frozen=True, slots=True)
class Sitting:
    """A painting under way. ``photo`` is relative to the inbox, ``folder`` to the outbox; times are in seconds.

    ``steps`` is the most that it may take, ``expected_steps`` what it probably will. What is not known yet is None.
    """

    photo: PurePosixPath
    folder: PurePosixPath | None
    identity: str
    styles: tuple[str, ...]
    step: int
    steps: int
    loss: float | None
    remaining_seconds: float | None
    width: int | None = None
    height: int | None = None
    expected_steps: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A photo that waits, or that cannot be painted: why, and what to do. ``since`` is seconds since the epoch."""

    photo: PurePosixPath
    reason: str
    remedy: str
    since: float
    styles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Moment:
    """How things stand ``at`` a time, in seconds since the epoch. ``awake``: whether the program runs.

    Of what is ``queued``, ``waiting`` or has ``problems`` the first are listed; ``counts`` are those of all (of the
    keys queued, waiting, problems). ``resting`` says in words why nothing is painted at present, or is empty.
    ``remaining_seconds`` is about how long all takes that is queued and being painted.
    """

    at: float
    awake: bool
    counts: dict[str, int]
    running: tuple[Sitting, ...] = ()
    queued: tuple[Standing, ...] = ()
    waiting: tuple[Standing, ...] = ()
    problems: tuple[Standing, ...] = ()
    resting: str = ""
    remaining_seconds: float | None = None

    def plain(self, pictures: dict[str, dict[str, str]]) -> dict[str, Any]:
        """Return it as JSON takes it; ``pictures`` holds more about each running painting, by its identity."""
        return {
            "at": int(self.at),
            "awake": self.awake,
            "counts": self.counts,
            "resting": shown(self.resting),
            "remaining": _seconds(self.remaining_seconds),
            "running": [{**_sitting(each), **pictures.get(each.identity, {})} for each in self.running],
            "queued": [_standing(each) for each in self.queued],
            "waiting": [_standing(each) for each in self.waiting],
            "problems": [_standing(each) for each in self.problems],
        }


def _named(photo: PurePosixPath) -> dict[str, Any]:
    return {
        "photo": shown(photo),
        "title": shown(photo.stem),
        "within": "" if photo.parent == PurePosixPath() else shown(photo.parent),
    }


def _sitting(sitting: Sitting) -> dict[str, Any]:
    return {
        **_named(sitting.photo),
        "folder": "" if sitting.folder is None else link(sitting.folder),
        "styles": [shown(style) for style in sitting.styles],
        "step": sitting.step,
        "steps": sitting.steps,
        "expected": sitting.expected_steps or sitting.steps,
        "loss": None if (loss := finite(sitting.loss)) is None else float(f"{loss:.4g}"),
        "remaining": _seconds(sitting.remaining_seconds),
        "width": sitting.width or 0,
        "height": sitting.height or 0,
    }


def _seconds(left: float | None) -> int | None:
    """Whole seconds; None, too, where they are beyond all measure."""
    known = finite(left)
    return None if known is None else round(known)


def _standing(standing: Standing) -> dict[str, Any]:
    return {
        **_named(standing.photo),
        "reason": shown(standing.reason),
        "remedy": shown(standing.remedy),
        "since": int(standing.since),
        "styles": [shown(style) for style in standing.styles],
    }
