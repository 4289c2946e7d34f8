"""The daemon's workers, a line each: where, what it does, how fast, how much it has done, what it waits for."""

from collections.abc import Mapping, Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from monet_watch.console.fitting import Block, Page, shortened
from monet_watch.ledger import WorkerState
from monet_watch.printable import printable
from monet_watch.wording import rate, time_of_day
from monet_watch.workers.base import Health

__all__ = ["worker_blocks"]

_LONGEST_NAME = 24
_LEAST_FOR_FACTS = 60  # columns
_DOES: Mapping[str, str] = {Health.UNSTARTED: "is started", Health.LOADING: "loads the network", Health.IDLE: "idle"}


def worker_blocks(workers: Sequence[WorkerState], page: Page) -> list[Block]:
    """Return a block for each worker; on a live view, where the paintings tell it, none for a single one."""
    if page.height is not None and len(workers) < 2:
        return []
    names = max((cell_len(_where(each)) for each in workers), default=0)
    return [_block(each, min(names, _LONGEST_NAME), page) for each in workers]


def _block(worker: WorkerState, name_width: int, page: Page) -> Block:
    name = set_cell_size(shortened(_where(worker), name_width), name_width)
    facts = "  " + " · ".join(_facts(worker)) if page.width >= _LEAST_FOR_FACTS else ""
    room = max(4, page.width - name_width - 4 - cell_len(facts))
    does = shortened(printable(_doing(worker, page.now)), room)
    style = "yellow" if worker.waits_for else ""
    line = Text.assemble("  ", name, "  ", (does, style), (facts, "dim"))
    return [line] if not worker.waits_for else [line, *_reason(worker, page.width)]


def _reason(worker: WorkerState, width: int) -> Block:
    return [Text("    " + shortened(printable(worker.waits_for), max(4, width - 4)), style="yellow")]


def _where(worker: WorkerState) -> str:
    return printable(f"{worker.device} on {worker.node}" if worker.node else worker.device)


def _doing(worker: WorkerState, now: float) -> str:
    if worker.retry_at is not None:
        return f"failed; tried again at {time_of_day(worker.retry_at, now)}"
    if worker.photo:
        return f"paints {worker.photo}"
    return "waits" if worker.waits_for else _DOES.get(worker.health, worker.health)


def _facts(worker: WorkerState) -> list[str]:
    pace = rate(worker.seconds_per_step) if worker.seconds_per_step else ""
    failures = f"{worker.failures} failure{'s' * (worker.failures > 1)}" if worker.failures else ""
    return [*filter(None, (pace, f"{worker.painted} painted", failures))]
