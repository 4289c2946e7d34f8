"""What runs on a node of a cluster: a worker process, and beside it an actor that keeps what it says.

The actor itself is small, and knows neither torch nor codecs: a photo that crashes them ends the process, and the actor
lives to tell. The painting is made by the same program as at home, so that it is the same to the byte.
"""

import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from monet_watch import __version__
from monet_watch.workers.base import Allowance, PaintJob, WeightsFile, WorkerEvent, WorkerReady
from monet_watch.workers.chronicle import Chronicle
from monet_watch.workers.local import LocalWorker

__all__ = ["Studio", "WeightsData"]

_LOOK_SECONDS = 1.0
_MOST_AT_ONCE = 16  # events


@dataclass(frozen=True, slots=True)
class WeightsData:
    """Network weights as they travel: ``data`` are the bytes of the file ``name``, whose hash is ``sha256``."""

    source: str
    name: str
    sha256: str
    data: bytes = field(repr=False)

    @classmethod
    def of(cls, file: WeightsFile) -> "WeightsData":
        """Read a file. Raises OSError."""
        return cls(file.source, file.path.name, file.sha256, file.path.read_bytes())

    def unpacked(self, folder: Path) -> WeightsFile:
        """Write the file into ``folder``. Raises OSError."""
        path = folder / self.name
        path.write_bytes(self.data)
        return WeightsFile(self.source, path, self.sha256)


class Studio:
    """A worker process and what it has said. Its methods may run at the same time, in several threads.

    ``end`` is called when it is closed, which it is as well when nobody has said to listen for ``linger_seconds`` and
    nothing is being painted.
    """

    def __init__(
        self, weights: WeightsData, device: str, allowance: Allowance, linger_seconds: float, end: Callable[[], None]
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="monet-watch-")
        self._chronicle = Chronicle()
        self._lonely_since = time.monotonic()
        self._offering = threading.Lock()
        self._end = end
        file = weights.unpacked(Path(self._folder.name))
        self._worker = LocalWorker(device, file, self._heard, **asdict(allowance))
        self._worker.start()
        threading.Thread(target=self._linger, args=(linger_seconds,), name="linger", daemon=True).start()

    def version(self) -> str:
        """The version of monet-watch on this node."""
        return __version__

    def holds(self) -> str:
        """The identity of the painting that is under way, or finished and not yet followed by another; else empty."""
        return self._chronicle.holds

    def pids(self) -> tuple[int, ...]:
        """The ids of the worker process, while there is one."""
        return () if self._worker.pid is None else (self._worker.pid,)

    def listen(self) -> Iterator[WorkerEvent]:
        """Yield what the worker says, as `Chronicle.listen`."""
        self.attend()
        yield from self._chronicle.listen()

    def attend(self) -> None:
        """Somebody listens: to be called now and then, for who listens to a stream may be gone without a word."""
        self._lonely_since = time.monotonic()

    def attach(self) -> int:
        """Begin to listen by `read`, where nothing can be streamed; see `Chronicle.attach`."""
        return self._chronicle.attach()

    def read(self, listener: int) -> list[WorkerEvent] | None:
        """Return what there is to hear, as `Chronicle.read`."""
        self.attend()
        return self._chronicle.read(listener, _MOST_AT_ONCE)

    def offer(self, job: PaintJob) -> None:
        """Begin ``job``, or go on with it if it is what is being painted. Whatever else is under way is given up."""
        with self._offering:
            if self._chronicle.adopt(job):
                return
            if self._chronicle.under_way:
                self._worker.cancel()
                self._chronicle.wait_for_end()
            self._chronicle.begin(job)
            self._worker.offer(job)

    def cancel(self) -> None:
        """Stop the job under way after the present step."""
        self._worker.cancel()

    def close(self, timeout_seconds: float) -> None:
        """End the worker process, and then itself: whoever said so may be gone, and nobody is to find it empty."""
        self._worker.stop(timeout_seconds)
        self._folder.cleanup()
        self._end()

    def _heard(self, event: WorkerEvent) -> None:
        self._chronicle.write(replace(event, node=socket.gethostname()) if isinstance(event, WorkerReady) else event)

    def _linger(self, linger_seconds: float) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            if self._chronicle.under_way:
                self.attend()
            elif time.monotonic() - self._lonely_since > linger_seconds:
                self.close(0)
                return
