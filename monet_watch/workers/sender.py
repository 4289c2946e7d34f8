"""A worker's events on their way to the daemon, sent from a thread of their own: who paints need not wait for a pipe.

A checkpoint is tens of megabytes, and a pipe takes as long for it as a tenth of a step, or longer where the daemon is
busy.
"""

import contextlib
import queue
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from types import TracebackType
from typing import Self

from monet_watch.workers.base import WorkerEvent

__all__ = ["Deferred", "Sender"]

Deferred = Callable[[], WorkerEvent]
"""Makes an event that can be done without, such as a checkpoint, from the thread that sends it."""

_ROOM = 4  # events, of which each may be a checkpoint


class Sender:
    """Sends events through ``connection`` in the order in which they are given. Use it as a context manager.

    At most four events wait; then whoever gives the next one waits as well. At the end, all of them have been sent.
    An event that is made late, and cannot be made, is left out: a checkpoint that is missing costs time only. What
    else goes wrong in the thread, such as OSError where the other end is gone, is raised by the next `send`, or at the
    end; no event is sent after that.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: queue.Queue[WorkerEvent | Deferred | None] = queue.Queue(_ROOM)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="sender of events", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._waiting.put(None)
        self._thread.join()
        if error is None:
            self._raise()

    def send(self, event: WorkerEvent | Deferred) -> None:
        """Give an event, or what makes one. Raises whatever went wrong with one of those before."""
        self._raise()
        self._waiting.put(event)

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (event := self._waiting.get()) is not None:
            if self._error is None:  # else they are taken, and no more: nobody must wait for room in vain
                self._send(event)

    def _send(self, event: WorkerEvent | Deferred) -> None:
        try:
            data = _encoded(event)
            if data is not None:
                self._connection.send_bytes(data)
        except BaseException as error:  # the boundary: it is raised in the thread that paints
            self._error = error


def _encoded(event: WorkerEvent | Deferred) -> memoryview | None:
    """What `Connection.send` would send; None for one that cannot be made, most likely for want of memory."""
    if not callable(event):
        return ForkingPickler.dumps(event)
    with contextlib.suppress(Exception):
        return ForkingPickler.dumps(event())
    return None
