"""How things stand, as a text file for Prometheus (its node exporter's textfile collector reads such files).

A thread reads the ledger and writes the file, seen whole or not at all, every few seconds while the daemon runs; at the
end it says that it does not. After a kill the file stays as it was: its age, and
``monet_watch_written_timestamp_seconds``, tell that. After a power cut it may be empty until the daemon runs again.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from monet_watch import __version__
from monet_watch.clerk import Clerk, Office
from monet_watch.inbox.watch import Mode
from monet_watch.ledger import JobState, Ledger, Overview
from monet_watch.notices import Notice

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["WRITE_SECONDS", "Metrics", "faults_of_metrics", "registry_of"]

WRITE_SECONDS = 5.0
"""Between two times that the file is written."""

_EXTRA = "pip install 'monet-watch[metrics]'"
_MODES = tuple(mode.value for mode in Mode if mode is not Mode.AUTO)


def faults_of_metrics(path: Path | None) -> Iterator[str]:
    """Yield why there cannot be a file ``path`` of metrics."""
    if path is None:
        return
    if find_spec("prometheus_client") is None:
        yield f"metrics_file: this needs prometheus-client, which is not installed; run: {_EXTRA}"
    if not path.parent.is_dir():
        yield f"metrics_file: there is no folder {path.parent}; make it, or name a file in another one"


class Metrics:
    """Keeps the file that the config names. ``now`` gives seconds since the epoch."""

    def __init__(self, office: Office, now: Callable[[], float] = time.time) -> None:
        self._office = office
        self._now = now
        self._written: Path | None = None
        self._clerk = Clerk("writing of the metrics file", self._work, office)
        self.take_over()

    def take_over(self) -> None:
        """The config is another: the file may have another place, or is not wanted any more."""
        if self._office.config.metrics_file is not None or self._written is not None:
            self._clerk.wake()

    def heard(self, notice: Notice) -> None:
        """The daemon told something; the ledger knows it, too."""

    def end(self) -> None:
        """Say in the file that the daemon does not run any more."""
        self._clerk.end()

    @property
    def ended(self) -> bool:
        """Whether that is said."""
        return self._clerk.ended

    def give_up(self) -> None:
        """Nobody waits for the file."""

    def _work(self) -> float | None:
        path = self._office.config.metrics_file
        if self._written is not None and self._written != path:
            with contextlib.suppress(OSError):
                self._written.unlink()
            self._written = None
        if path is None:
            return None
        self._write(path)
        return WRITE_SECONDS

    def _write(self, path: Path) -> None:
        from prometheus_client import write_to_textfile

        with Ledger.open_read_only(self._office.ledger) as ledger:
            overview, kinds = ledger.overview(recent=1), ledger.kinds_of_problems()
            oldest = ledger.oldest_unpainted()
        registry = registry_of(overview, kinds.items(), oldest, self._now(), is_up=not self._clerk.ending)
        # It renames what it wrote, and does not wait for the disk as whoever writes a painting does: what that saves
        # from a power cut is out of date when the power comes back, and a slow disk would have to do it all the time.
        write_to_textfile(str(path), registry)
        self._written = path


def registry_of(
    overview: Overview, kinds: Iterable[tuple[str, int]], oldest: float | None, now: float, is_up: bool
) -> "CollectorRegistry":
    """Return everything as metrics. ``oldest`` is since when the oldest photo has been waiting to be painted."""
    from prometheus_client import CollectorRegistry, Gauge

    registry = CollectorRegistry()

    def gauge(name: str, words: str, values: Iterable[tuple[str, float]], label: str = "") -> None:
        metric = Gauge(f"monet_watch_{name}", words, [label] if label else [], registry=registry)
        for key, value in values:
            (metric.labels(key) if label else metric).set(value)

    watch = overview.watch
    states = [(state.value, float(overview.counts[state])) for state in JobState]
    modes = [(mode, float(is_up and watch is not None and watch.mode == mode)) for mode in _MODES]
    scanned_at = watch.scanned_at if watch is not None else None
    gauge("build_info", "The version that runs.", [(__version__, 1.0)], "version")
    gauge("up", "Whether the daemon runs.", [("", float(is_up))])
    gauge("written_timestamp_seconds", "When this file was written.", [("", now)])
    gauge("photos", "Photos by how they are.", states, "state")
    gauge("problems", "Photos that could not be painted, by kind.", [(kind or "other", n) for kind, n in kinds], "kind")
    gauge("oldest_waiting_seconds", "How long the oldest photo has waited.", [("", max(0.0, now - (oldest or now)))])
    gauge("seconds_per_step", "What a step takes or, where nothing is painted, took.", _paces(overview), "worker")
    gauge("watcher_mode", "How the inbox is watched: 1 for the mode that holds.", modes, "mode")
    gauge("watcher_trouble", "Whether the inbox is not watched as it should be.", [("", float(_is_blind(overview)))])
    gauge("last_scan_timestamp_seconds", "When the inbox was last looked through.", [("", scanned_at or 0.0)])
    gauge("resting", "Whether painting rests: paused, or not the hour for it.", [("", float(bool(overview.resting)))])
    gauge("trouble", "Whether something keeps all photos waiting.", [("", float(bool(overview.trouble)))])
    return registry


def _paces(overview: Overview) -> list[tuple[str, float]]:
    jobs = overview.running or overview.done[:1]
    return [(job.worker, job.seconds_per_step) for job in jobs if job.seconds_per_step is not None]


def _is_blind(overview: Overview) -> bool:
    return overview.watch is not None and bool(overview.watch.trouble)
