"""A thread for what nobody who paints may wait for: reports that take a while, or that may hang.

It works when it is woken, and when the time has come that it named itself. What it finds it leaves in the mailbox as
notices, for the loop to tell.
"""

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from monet_watch.config import Config
from monet_watch.notices import Level, Listener, tell

__all__ = ["Clerk", "Office"]

_AFTER_A_FAULT_SECONDS = 60.0


class Office:
    """What clerks share: the ``config`` that holds at present, the ledger's file, and where notices are left.

    ``once`` says that the run ends when all is painted; what is to be reported of that is then finished before.
    """

    def __init__(self, config: Config, ledger: Path, post: Listener, once: bool = False) -> None:
        self.config = config
        self.ledger = ledger
        self.tell = partial(tell, post)
        self.once = once


class Clerk:
    """Calls ``work`` in a thread. It returns after how many seconds to call it again; None: when `wake` is called.

    The thread begins with the first `wake`. Whatever ``work`` raises is told once, and tried again after a minute.
    """

    def __init__(self, name: str, work: Callable[[], float | None], office: Office) -> None:
        self._work = work
        self._office = office
        self._name = name
        self._changed = threading.Condition()
        self._woken = False
        self._ending = threading.Event()
        self._fault = ""
        self._thread: threading.Thread | None = None

    @property
    def ending(self) -> bool:
        """Whether the daemon waits for this thread to end."""
        return self._ending.is_set()

    def wake(self) -> None:
        """Have ``work`` called soon; from any thread."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()
            if self._thread is None and not self.ending:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def end(self) -> None:
        """Have ``work`` called once more, and no more after that."""
        self._ending.set()
        if self._thread is not None:
            self.wake()

    @property
    def ended(self) -> bool:
        """Whether the thread has come to its end, or never began."""
        return self._thread is None or not self._thread.is_alive()

    def _run(self) -> None:
        due: float | None = None
        while True:
            with self._changed:
                pause = None if due is None else max(0.0, due - time.monotonic())
                self._changed.wait_for(lambda: self._woken, pause)
                self._woken = False
            is_last = self.ending
            seconds = self._guarded()
            if is_last:
                return
            due = None if seconds is None else time.monotonic() + seconds

    def _guarded(self) -> float | None:
        try:
            seconds = self._work()
        except Exception as error:  # the boundary: whatever is wrong with a report, painting goes on
            fault = f"{type(error).__name__}: {error}"
            if fault != self._fault:
                self._office.tell("problem", f"The {self._name} fails: {fault}. Painting goes on.", level=Level.WARNING)
            self._fault = fault
            return _AFTER_A_FAULT_SECONDS
        self._fault = ""
        return seconds
