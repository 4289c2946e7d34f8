"""Processes of the daemon's own: spawned, not forked, and gone when it is.

CUDA does not survive a fork, and a child without the daemon's memory stays small.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.context import SpawnProcess

from monet_watch.errors import WorkerError

__all__ = ["SPAWN", "set_up_process", "start_process"]

SPAWN = multiprocessing.get_context("spawn")
"""Where pipes between processes come from."""


def start_process(target: Callable[..., None], arguments: tuple[object, ...], name: str) -> SpawnProcess:
    """Call ``target`` in a process of its own. Raises WorkerError where the machine starts none."""
    process = SPAWN.Process(target=target, args=arguments, name=name, daemon=True)
    try:
        process.start()
    except OSError as error:
        remedy = "Free some memory, or raise the limit of processes."
        raise WorkerError(f"The machine cannot start a process for {name}: {error.strerror}.", remedy) from error
    return process


def set_up_process() -> None:
    """End with the process that started this one, at any moment, and not by Ctrl-C, which is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_end_with_parent, name="end with parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # the main thread may load torch, or be in the middle of a step that takes a minute
