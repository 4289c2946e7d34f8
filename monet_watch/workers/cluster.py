"""What the daemon and the process that drives a Ray cluster say to each other: frozen records, and no ray."""

from dataclasses import dataclass, field
from pathlib import Path

from monet_watch.workers.base import PaintJob, WorkerEvent

__all__ = [
    "NAMESPACE_PREFIX",
    "CancelAt",
    "Close",
    "Cluster",
    "Connected",
    "Dismiss",
    "Dismissed",
    "Hire",
    "NodeFacts",
    "OfferTo",
    "Order",
    "Report",
    "Said",
    "Unreachable",
]


NAMESPACE_PREFIX = "monet-watch-"
"""How the namespaces of this program's daemons begin, each of which has its own."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster and what a worker takes of it.

    ``address`` is ``auto``, ``host:port`` or ``ray://host:port``. ``namespace`` tells this daemon's actors from those
    of others. An actor to which nobody listens ends after ``linger_seconds``.
    """

    address: str
    namespace: str
    gpus_per_worker: float = 1.0
    cpus_per_worker: float = 1.0
    linger_seconds: float = 600.0
    token_file: Path | None = None

    @property
    def is_by_client(self) -> bool:
        """Whether Ray's client stands between this program and the cluster."""
        return self.address.startswith("ray://")

    @property
    def words(self) -> str:
        """How a message begins."""
        return "The Ray cluster of this machine" if self.address == "auto" else f"The Ray cluster at {self.address}"

    @property
    def demand(self) -> str:
        """What a worker wants, for people."""
        wanted = [(self.gpus_per_worker, "GPU"), (self.cpus_per_worker, "CPU")]
        return " and ".join(f"{count:g} {name}" for count, name in wanted if count)


@dataclass(frozen=True, slots=True)
class Hire:
    """Find or make an actor for ``worker``, and tell what it says."""

    worker: str


@dataclass(frozen=True, slots=True)
class OfferTo:
    """Have ``worker`` begin ``job``."""

    worker: str
    job: PaintJob = field(repr=False)


@dataclass(frozen=True, slots=True)
class CancelAt:
    """Have ``worker`` stop its job after the present step."""

    worker: str


@dataclass(frozen=True, slots=True)
class Dismiss:
    """End ``worker``; by force after ``timeout_seconds``."""

    worker: str
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Close:
    """End the process that drives the cluster; actors that nobody dismissed go on."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The cluster is there, and has so many nodes; Ray's own page about it is at ``dashboard``, where there is one."""

    nodes: int
    dashboard: str = ""

    @property
    def words(self) -> str:
        """It, for people."""
        page = f"; Ray's own dashboard is at http://{self.dashboard}" if self.dashboard else ""
        return f"connected to a cluster of {self.nodes} node{'s' * (self.nodes != 1)}{page}"


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The cluster is not there, or cannot be used; ``remedy`` says what to do about it (may be empty)."""

    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What was found at a node of a cluster, or at one of its cards.

    ``node`` is its name for people, and ``room`` how many workers it can hold. Of a device that paints ``device``, its
    own ``name``, its ``precision``, the ``memory_bytes`` (a card's own, else those that are free on the machine), the
    ``seconds_per_step`` and the version of ``torch`` are known. Else ``remark`` says why nobody looked, as where it is
    busy, or ``fault`` what is wrong, and ``remedy`` what to do about it (may be empty).
    """

    node: str
    device: str = ""
    name: str = ""
    precision: str = ""
    memory_bytes: int | None = None
    seconds_per_step: float | None = None
    torch: str = ""
    room: int = 0
    remark: str = ""
    fault: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """``worker`` has said ``event``."""

    worker: str
    event: WorkerEvent = field(repr=False)


@dataclass(frozen=True, slots=True)
class Dismissed:
    """``worker`` has ended."""

    worker: str


Order = Hire | OfferTo | CancelAt | Dismiss
"""From the daemon."""

Report = Connected | Unreachable | Said | Dismissed
"""To the daemon."""
