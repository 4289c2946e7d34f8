"""What takes time, off the loop: a thread that does one thing after the other and posts what came of each."""

import threading
from collections.abc import Callable, Iterable
from itertools import count
from queue import PriorityQueue
from types import TracebackType
from typing import Generic, Self, TypeVar

__all__ = ["Errands"]

_CLOSE_SECONDS = 5.0
_AT_ONCE, _IN_TURN, _CAN_WAIT = range(3)  # what comes first, of all that is asked for

_Message = TypeVar("_Message")


class Errands(Generic[_Message]):
    """A background thread named ``name``, at work until `close`. ``post`` is called from it, and must only post.

    Nothing is posted after `close`. What it is asked to do must not raise, and returns the messages to post, each of
    which is posted as soon as it is there.
    """

    def __init__(self, name: str, post: Callable[[_Message], None]) -> None:
        self._post = post
        self._closing = threading.Event()
        self._requests: PriorityQueue[tuple[int, int, Callable[[], Iterable[_Message]] | None]] = PriorityQueue()
        self._tickets = count()
        # A daemon thread: one that hangs on a dead network mount must not keep the program from ending.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def ask(self, errand: Callable[[], Iterable[_Message]], can_wait: bool = False) -> None:
        """Have ``errand`` done after all that was asked for before, but ahead of what ``can_wait``."""
        self._requests.put((_CAN_WAIT if can_wait else _IN_TURN, next(self._tickets), errand))

    def closing(self) -> bool:
        """Whether what is under way is to be broken off."""
        return self._closing.is_set()

    def alive(self) -> bool:
        """Whether anything that is asked for will be done: the thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End the thread. What it has not begun is dropped; what it has begun has a moment to come to its end."""
        self._closing.set()
        self._requests.put((_AT_ONCE, next(self._tickets), None))
        self._thread.join(_CLOSE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _work(self) -> None:
        while (errand := self._requests.get()[-1]) is not None and not self._closing.is_set():
            for message in errand():
                if self._closing.is_set():
                    break
                self._post(message)
