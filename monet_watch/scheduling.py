"""Which queued job goes to which idle worker: a pure function over records.

The ledger says whose turn it is (see `monet_watch.ledger`): the highest priority, then round after round, in a round
small new drops before the bulk. What it leaves equal is one *tie*, within which this rule decides:

1. **Which jobs begin.** As many as workers are idle, tie after tie: nothing begins while somebody before it waits.
   Within a tie, those that some worker can paint in one piece come first, then the longest. A long job that is left
   to the end keeps one worker busy while the others have nothing more to do; begun first, it ends with the rest
   (longest processing time first: Graham, *Bounds on multiprocessing timing anomalies*, 1969, whose whole is at most
   4/3 of the shortest possible). A slow worker leaves to others, as long as there is something else in the tie, what it
   would still be at when the queue is empty and one of the others, beginning then, were done with it. Where there is
   one worker, the whole takes as long in any order, and the quickest come first: they have the most to win. Of what
   takes about as long, a job comes first whose style a worker holds, then whoever was queued first.
2. **Who paints which.** The most work is placed first, where it is done soonest: at the fastest worker, or, of those
   that are about as fast, at one that need not tile it, then at one that holds its style.

A picture that is too large for every idle worker is painted in tiles by the one that is quickest even so, and no
worker is left idle because it is slow. One exception: a job in the middle of which a worker died goes to another one,
where there is one, busy or not: if the device is to blame, it must not fail the job for good.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

__all__ = ["Assignment", "Candidate", "IdleWorker", "Prospect", "assign"]

_TILED = 1.3  # times as long as in one piece: tiles compute their surroundings, too
_ALIKE = 2.0  # steps in a doubling: what lies within one of them counts as about as long


@dataclass(frozen=True, slots=True)
class Candidate:
    """A queued job. ``turn`` is its place in the order, of which the smallest is the first; equal ones are a tie.

    ``pixels`` is how large the painting is expected to be, ``work`` how many pixels are computed over all its steps.
    ``style`` is the same for jobs whose worker measures the same of the style pictures. Of two with one ``identity``
    the second will be a copy.
    """

    job_id: int
    identity: str
    turn: tuple[int, ...]
    pixels: float
    work: float
    style: str = ""


@dataclass(frozen=True, slots=True)
class IdleWorker:
    """A worker that waits for a job, at the place with this ``number``.

    ``speed`` is the work it does in a second, ``largest`` how many pixels it paints in one piece; None: not known.
    ``styles`` are those that it has measured and remembers, ``failed`` the jobs that last failed at its place.
    """

    number: int
    speed: float | None = None
    largest: float | None = None
    styles: frozenset[str] = frozenset()
    failed: frozenset[int] = frozenset()

    def pieces(self, pixels: float) -> int:
        """In about how many pieces it paints a picture."""
        return 1 if self.largest is None else max(1, math.ceil(pixels / max(1.0, self.largest)))


@dataclass(frozen=True, slots=True)
class Prospect:
    """What is to be expected: the queue is empty in so many ``seconds``, and others paint with this ``speed``."""

    seconds: float
    speed: float

    def is_outlasted_by(self, work: float, worker: IdleWorker) -> bool:
        """Whether ``worker`` would be the last to finish, if it did that ``work``, which others do sooner."""
        return worker.speed is not None and work / worker.speed > self.seconds + work / self.speed


@dataclass(frozen=True, slots=True)
class Assignment:
    """The job begins at the place with this number."""

    number: int
    job_id: int


def assign(
    candidates: Sequence[Candidate], idle: Iterable[IdleWorker], workers: int, prospect: Prospect | None = None
) -> tuple[Assignment, ...]:
    """Return which of ``candidates`` begin, and where, by the rule above; the first in turn comes first.

    Candidates that are equal in turn are in the order in which they were queued. ``workers`` counts all, busy or not.
    Without a ``prospect`` the queue is taken to be endless.
    The effort grows with the number of candidates times that of idle workers.
    """
    if workers == 1:
        idle = [replace(worker, failed=frozenset()) for worker in idle]  # there is no other
    usual = _usual_speed(idle := tuple(idle))
    free = sorted(idle, key=lambda worker: (-(worker.speed or usual), -(worker.largest or math.inf), worker.number))
    chosen = _chosen(candidates, free, workers == 1, prospect)
    places = _placed([job for job, _ in chosen], free, usual)
    if any(job_id in worker.failed for worker in free for job_id in places if places[job_id] == worker.number):
        places = {job.job_id: worker.number for job, worker in chosen}
    return tuple(Assignment(places[job.job_id], job.job_id) for job, _ in chosen)


def _usual_speed(idle: Sequence[IdleWorker]) -> float:
    """What a worker is taken to do of which nothing is known."""
    known = [worker.speed for worker in idle if worker.speed]
    return sum(known) / len(known) if known else 1.0


def _chosen(
    candidates: Sequence[Candidate], free: Sequence[IdleWorker], quickest_first: bool, prospect: Prospect | None
) -> list[tuple[Candidate, IdleWorker]]:
    """The candidates that begin: each worker in turn takes the best for it out of the first tie that has any."""
    ties = [list(tie) for _, tie in groupby(sorted(candidates, key=lambda each: each.turn), lambda each: each.turn)]
    chosen: list[tuple[Candidate, IdleWorker]] = []
    taken: set[str] = set()
    for position, worker in enumerate(free):
        others = frozenset[str]().union(*(other.styles for other in free[position + 1 :]))
        wish = _Wish(worker, others, quickest_first, prospect)
        ties = [left for tie in ties if (left := [each for each in tie if each.identity not in taken])]
        best = next((found for tie in ties if (found := wish.best(tie)) is not None), None)
        if best is not None:
            taken.add(best.identity)
            chosen.append((best, worker))
    return sorted(chosen, key=lambda pair: pair[0].turn)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a worker would take first out of a tie; ``others`` are the styles that those hold who choose after it."""

    worker: IdleWorker
    others: frozenset[str]
    quickest_first: bool
    prospect: Prospect | None

    def best(self, tie: Sequence[Candidate]) -> Candidate | None:
        able = (pair for pair in enumerate(tie) if pair[1].job_id not in self.worker.failed)
        found = min(able, key=lambda pair: self._rank(pair[1], pair[0]), default=None)
        return None if found is None else found[1]

    def _rank(self, candidate: Candidate, index: int) -> tuple[bool, int, int, int, int]:
        length = _class(candidate.work)
        style = 0 if candidate.style in self.worker.styles else 1 + (candidate.style in self.others)
        is_tiled = self.worker.pieces(candidate.pixels) > 1
        is_last = self.prospect is not None and self.prospect.is_outlasted_by(candidate.work, self.worker)
        return is_last, int(is_tiled), length if self.quickest_first or is_last else -length, style, index


def _placed(chosen: Sequence[Candidate], free: Sequence[IdleWorker], usual: float) -> dict[int, int]:
    """For each job that begins, the number of its place."""
    places: dict[int, int] = {}
    left = list(free)
    for candidate in sorted(chosen, key=lambda each: -each.work):
        best = min(left, key=lambda worker: _cost(candidate, worker, usual))
        left.remove(best)
        places[candidate.job_id] = best.number
    return places


def _cost(candidate: Candidate, worker: IdleWorker, usual: float) -> tuple[bool, int, int, bool, int]:
    seconds = candidate.work / (worker.speed or usual)
    pieces = worker.pieces(candidate.pixels)
    tiled = _TILED if pieces > 1 else 1.0
    has_failed = candidate.job_id in worker.failed
    return has_failed, _class(seconds * tiled), pieces, candidate.style not in worker.styles, worker.number


def _class(amount: float) -> int:
    """The same number for amounts that are about alike."""
    return round(_ALIKE * math.log2(max(amount, 1e-9)))
