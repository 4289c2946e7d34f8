"""Workers on this machine: one spawned process per device, each with a thread here that posts what it says.

Spawned, not forked: CUDA does not survive a fork, and a child without the daemon's memory stays small.
"""

import contextlib
import multiprocessing
import signal
import threading
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from monet_watch.errors import WorkerError
from monet_watch.workers.base import Cancel, PaintJob, Post, Stop, WeightsFile, WorkerDied

__all__ = ["LocalWorker"]

_SPAWN = multiprocessing.get_context("spawn")


class LocalWorker:
    """A process that holds the network on one device. See `monet_watch.workers.base.Worker`.

    ``device`` is ``auto`` or a name that torch knows. ``threads`` bounds what one step uses of the processor;
    None leaves it to torch. ``post`` is called from another thread.
    """

    def __init__(self, device: str, weights: WeightsFile, post: Post, threads: int | None = None) -> None:
        self._device = device
        self._weights = weights
        self._post = post
        self._threads = threads
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._reader: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def name(self) -> str:
        """The device's name."""
        return self._device

    @property
    def pid(self) -> int | None:
        """The process's id, while there is one."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the process. `WorkerReady` follows when the network is loaded, or `WorkerDied`."""
        self._connection, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=_serve,
            args=(theirs, self._weights, self._device, self._threads),
            name=f"monet-watch worker {self._device}",
            daemon=True,
        )
        self._process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        self._reader = threading.Thread(target=self._read, name=f"events of {self._device}", daemon=True)
        self._reader.start()

    def offer(self, job: PaintJob) -> None:
        """Begin ``job``. If the process is dying, `WorkerDied` follows in its place."""
        self._send(job)

    def cancel(self) -> None:
        """Ask the job under way to stop after the present step."""
        self._send(Cancel())

    def stop(self, timeout_seconds: float) -> None:
        """End the process, by force if it has not ended after ``timeout_seconds``."""
        self._stopping.set()
        if self._process is None or self._connection is None:
            return
        self._send(Stop())
        self._process.join(timeout_seconds)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        if self._reader is not None:
            self._reader.join()
        self._connection.close()
        self._process.close()
        self._process = None

    def _send(self, message: PaintJob | Cancel | Stop) -> None:
        if self._connection is None:
            raise WorkerError(f"The worker {self._device} was not started.")
        with contextlib.suppress(OSError):  # its end is told once, by the thread that reads
            self._connection.send(message)

    def _read(self) -> None:
        """Post every event until the pipe ends; then say how the process ended."""
        assert self._connection is not None and self._process is not None
        with contextlib.suppress(EOFError, OSError):
            while True:
                event = self._connection.recv()
                if not self._stopping.is_set():
                    self._post(event)
                if isinstance(event, WorkerDied):
                    return  # it could still say itself why
        if not self._stopping.is_set():
            self._process.join()
            self._post(WorkerDied(_how_it_ended(self._process.exitcode)))


def _serve(connection: Connection, weights: WeightsFile, device: str, threads: int | None) -> None:
    """Run the worker's loop. Torch is imported here, in the new process, and never in the daemon."""
    from monet_watch.workers.worker import serve

    serve(connection, weights, device, threads)


def _how_it_ended(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"it was ended by {signal.Signals(-exitcode).name}"
    return f"it ended with exit code {exitcode}"
