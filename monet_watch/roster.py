"""Which places are to have a worker: a pure function over what is known of each.

Places on a cluster have one as long as there is work for it, and give it back when they have been idle for a while:
what waits for room is the demand that a cluster which can grow grows by, and what is idle may be taken from others.
While the cluster cannot be reached one place there goes on trying, and places at home may serve meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Kind", "Seat", "wanted"]


class Kind(StrEnum):
    """What a place is for."""

    HOME = "home"
    CLUSTER = "cluster"
    FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class Seat:
    """A place, as the choice needs to know it.

    ``staffed``: it has a worker, or gets one after a pause. ``ready`` is one that can paint, ``busy`` one that does.
    ``rested`` is one that has been idle for as long as it may. ``failed`` is one whose last start has failed.
    """

    number: int
    kind: Kind
    staffed: bool = False
    ready: bool = False
    busy: bool = False
    rested: bool = False
    failed: bool = False


def wanted(seats: Sequence[Seat], waiting: int) -> frozenset[int]:
    """Return the numbers of the places that are to have a worker while ``waiting`` jobs wait for one."""
    cluster = [seat for seat in seats if seat.kind is Kind.CLUSTER]
    is_away = any(seat.failed for seat in cluster) and not any(seat.ready for seat in cluster)
    home = {seat.number for seat in seats if seat.kind is Kind.HOME}
    away = _scout(cluster) if is_away else _manned(cluster, waiting)
    return frozenset(home | away | _stopgaps(seats, is_away, waiting))


def _scout(cluster: Sequence[Seat]) -> set[int]:
    """The one that goes on trying: the one that has just tried."""
    return {max(cluster, key=lambda seat: (seat.staffed, seat.failed, -seat.number)).number}


def _manned(cluster: Sequence[Seat], waiting: int) -> set[int]:
    """Who paints, who is ready and not idle for long, and as many more as jobs wait, of whom some may be on their way.

    One that is on its way when nobody is there yet is waited for: it tells whether the cluster can be used.
    """
    stay = {seat.number for seat in cluster if seat.busy or (seat.ready and not seat.rested)}
    free = sum(seat.ready and not seat.busy for seat in cluster if seat.number in stay)
    others = [seat for seat in cluster if seat.number not in stay]
    others.sort(key=lambda seat: (not seat.ready, not seat.staffed))
    is_coming = not stay and any(seat.staffed and not seat.ready for seat in others)
    return stay | {seat.number for seat in others[: max(waiting - free, int(is_coming))]}


def _stopgaps(seats: Sequence[Seat], is_away: bool, waiting: int) -> set[int]:
    """Who paints at home meanwhile; a painting that was begun there is finished there."""
    fallback = [seat for seat in seats if seat.kind is Kind.FALLBACK]
    needed = is_away and (waiting > 0 or any(seat.staffed for seat in fallback))
    return {seat.number for seat in fallback if seat.busy or needed}
