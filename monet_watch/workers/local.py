"""Workers on this machine: one spawned process per device, each with a thread here that posts what it says.

Another one sends it what it is told: the daemon does not wait for a process that takes nothing in.
"""

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from monet_watch.engine.devices import TorchFacts, look_at_torch
from monet_watch.errors import MonetWatchError, WorkerError
from monet_watch.service import leave_no_core, step_back
from monet_watch.workers.base import (
    Allowance,
    Cancel,
    Capabilities,
    Health,
    PaintJob,
    Post,
    Stop,
    WeightsFile,
    WorkerDied,
    WorkerEvent,
    WorkerSaid,
)
from monet_watch.workers.monitor import Monitor
from monet_watch.workers.murmur import listen, speak_into
from monet_watch.workers.process import SPAWN, set_up_process, start_process

__all__ = ["LocalWorker", "measured_step", "torch_facts"]

_KILL_SECONDS = 10.0  # that a killed process may take to go; one that the kernel itself holds up is left behind


class LocalWorker:
    """A process that holds the network on one device. See `monet_watch.workers.base.Worker`.

    ``device`` is ``auto`` or a name that torch knows. ``threads`` and what follows are those of its `Allowance`.
    ``post`` is called from another thread.
    """

    def __init__(
        self,
        device: str,
        weights: WeightsFile,
        post: Post,
        threads: int | None = None,
        memory_bytes: int | None = None,
        sharers: int = 1,
        nice: int = 0,
        decode_seconds: float = 120.0,
        sharers_of_card: int = 1,
        finds_others: bool = False,
    ) -> None:
        self._device = device
        self._weights = weights
        self._post = post
        self._allowance = Allowance(threads, memory_bytes, sharers, nice, decode_seconds, sharers_of_card, finds_others)
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._heard: Connection | None = None
        self._reader: threading.Thread | None = None
        self._outgoing: queue.SimpleQueue[PaintJob | Cancel | Stop | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._end_told = False
        self._monitor = Monitor()

    @property
    def name(self) -> str:
        """The device's name."""
        return self._device

    @property
    def pid(self) -> int | None:
        """The process's id, while there is one."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the process. `WorkerReady` follows when the network is loaded, or `WorkerDied`.

        A worker can be started once. Raises WorkerError the second time.
        """
        if self._connection is not None:
            raise WorkerError(f"The worker {self._device} was started before.")
        self._monitor.started()
        try:
            self._begin()
        except (WorkerError, OSError, RuntimeError, MemoryError) as error:  # the third where there are threads enough
            self._take_back()
            reason = str(error) if isinstance(error, WorkerError) else f"the machine has no room for it: {error}"
            self._tell_end(reason)

    def _begin(self) -> None:
        with contextlib.ExitStack() as theirs_to_keep:  # closed here, the end of the process is the end of the pipes
            self._connection, theirs = SPAWN.Pipe()
            theirs_to_keep.enter_context(theirs)
            heard, said = SPAWN.Pipe(duplex=False)
            self._heard = heard
            theirs_to_keep.enter_context(said)
            arguments = (theirs, said, self._weights, self._device, self._allowance)
            self._process = start_process(_serve, arguments, f"monet-watch worker {self._device}")
        self._reader = threading.Thread(target=self._read, name=f"events of {self._device}", daemon=True)
        self._writer = threading.Thread(target=self._write, name=f"messages to {self._device}", daemon=True)
        listener = threading.Thread(target=self._listen, args=(heard,), name=f"murmur of {self._device}", daemon=True)
        for thread in (self._reader, self._writer, listener):
            thread.start()

    def _take_back(self) -> None:
        """End what was begun of a start that failed; nobody hears of that."""
        self._stopping.set()
        self._outgoing.put(None)
        if self._process is not None:
            self._process.kill()
            is_read = self._reader is not None and self._reader.is_alive()  # then that thread waits for the process
            (self._reader if is_read else self._process).join(_KILL_SECONDS)  # type: ignore[union-attr]
        for end in (self._connection, self._heard):
            if end is not None:
                end.close()
        self._process = self._reader = None

    def offer(self, job: PaintJob) -> None:
        """Begin ``job``. If the process is dying, `WorkerDied` follows in its place.

        Returns at once, even if the process hangs and takes nothing in.
        """
        if self._connection is not None:
            self._monitor.offered()
        self._send(job)

    def cancel(self) -> None:
        """Ask the job under way to stop after the present step."""
        self._send(Cancel())

    def alive(self) -> bool:
        """Whether somebody listens to the process, or its end was told."""
        return self._end_told or (self._reader is not None and self._reader.is_alive())

    def health(self) -> Health:
        """How it is, from what it has said last."""
        return self._monitor.health

    def capabilities(self) -> Capabilities | None:
        """What it can do, once it is ready."""
        return self._monitor.capabilities

    def ask_to_stop(self, timeout_seconds: float) -> None:
        """Have the process end after the present step, and return at once."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._monitor.ended()
        self._outgoing.put(Stop())
        self._outgoing.put(None)

    def stop(self, timeout_seconds: float) -> None:
        """End the process, by force if it has not ended after ``timeout_seconds``.

        A process that even that does not end, because the kernel waits for a device, is left behind.
        """
        self.ask_to_stop(timeout_seconds)
        if self._process is None or self._connection is None or self._reader is None:
            return
        self._reader.join(timeout_seconds)
        if self._reader.is_alive():
            self._process.kill()
            self._reader.join(_KILL_SECONDS)
        if not self._reader.is_alive():
            self._writer.join()
            self._connection.close()
            self._process.close()
        self._process = self._reader = None

    def _send(self, message: PaintJob | Cancel | Stop) -> None:
        if self._connection is None:
            raise WorkerError(f"The worker {self._device} was not started.")
        self._outgoing.put(message)

    def _write(self) -> None:
        assert self._connection is not None
        with contextlib.suppress(OSError):  # its end is told once, by the thread that reads
            while (message := self._outgoing.get()) is not None:
                self._connection.send(message)

    def _read(self) -> None:
        """Post every event until the pipe ends, and then, unless that was asked for, how the process ended.

        This thread alone waits for the process, so that nobody else takes its exit code.
        """
        assert self._process is not None
        reason = self._post_events()
        exitcode = _wait_for(self._process)
        if not self._stopping.is_set():
            self._tell_end(reason or _how_it_ended(exitcode))

    def _listen(self, heard: Connection) -> None:
        """Post what the process says beside its events; on Windows, where a pipe is no file, it says it to all."""
        if os.name == "posix":
            listen(os.dup(heard.fileno()), self._pass_on)
        heard.close()

    def _pass_on(self, text: str) -> None:
        if not self._stopping.is_set():
            self._post(WorkerSaid(text))

    def _tell_end(self, reason: str) -> None:
        self._end_told = True
        self._tell(WorkerDied(reason))

    def _tell(self, event: WorkerEvent) -> None:
        self._monitor.heard(event)
        self._post(event)

    def _post_events(self) -> str:
        """Post events until there are no more; return the process's own reason for its end, if it could say one."""
        assert self._connection is not None
        with contextlib.suppress(EOFError, OSError):
            while True:
                event = self._connection.recv()
                if isinstance(event, WorkerDied):
                    return event.reason
                if not self._stopping.is_set():
                    self._tell(event)
        return ""


def measured_step(weights: WeightsFile, device: str, threads: int | None = None, image_size: int = 256) -> float:
    """Return the seconds that a step of the recipe swift takes at ``image_size`` squared, measured on ``device``.

    It is measured in a process of its own. Raises WorkerError where that fails.
    """
    answer = _answer(_measure, (weights, device, threads, image_size), "monet-watch measurement")
    if isinstance(answer, float):
        return answer
    raise WorkerError(f"A step on {device} cannot be measured: {answer}.")


def torch_facts(devices: Sequence[str]) -> TorchFacts:
    """Return what torch and these ``devices`` are like; they are looked at in a process of its own.

    A torch that ends the process, as one for another processor does, is a fault. Raises WorkerError where there can be
    no process.
    """
    answer = _answer(_look_at_torch, (tuple(devices),), "monet-watch doctor")
    return answer if isinstance(answer, TorchFacts) else TorchFacts(fault=f"whoever imports it does not live: {answer}")


def _answer(target: Callable[..., None], arguments: tuple[object, ...], name: str) -> object:
    """What ``target`` sends from a process of its own, to which a connection is given first, or how that ended."""
    ours, theirs = SPAWN.Pipe(duplex=False)
    process = start_process(target, (theirs, *arguments), name)
    theirs.close()
    with ours:
        try:
            answer = ours.recv()
        except (EOFError, OSError):
            answer = None
    exitcode = _wait_for(process)
    process.close()
    return _how_it_ended(exitcode) if answer is None else answer


# Torch is imported below, in the new process, and never in the daemon.


def _serve(connection: Connection, said: Connection, weights: WeightsFile, device: str, allowance: Allowance) -> None:
    set_up_process()
    if os.name == "posix":
        speak_into(os.dup(said.fileno()))
    said.close()
    step_back(allowance.nice)
    leave_no_core()
    from monet_watch.workers.worker import serve

    serve(connection, weights, device, allowance)
    os._exit(0)  # torch takes seconds to take itself down, and nothing is left to be saved


def _measure(connection: Connection, weights: WeightsFile, device: str, threads: int | None, image_size: int) -> None:
    set_up_process()
    from monet_watch.workers.worker import measure_step

    try:
        connection.send(measure_step(weights, device, threads, image_size))
    except (MonetWatchError, RuntimeError) as error:
        connection.send(str(error).rstrip("."))


def _look_at_torch(connection: Connection, devices: tuple[str, ...]) -> None:
    set_up_process()
    connection.send(look_at_torch(devices))


def _wait_for(process: SpawnProcess) -> int:
    """Wait for the end of ``process`` and return its exit code."""
    while (exitcode := process.exitcode) is None:
        process.join(timeout=1)
    return exitcode


def _how_it_ended(exitcode: int) -> str:
    if exitcode >= 0:
        return f"it ended with exit code {exitcode}"
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:  # a real-time signal has no name
        name = f"signal {-exitcode}"
    hint = ", perhaps because memory ran out" if name == "SIGKILL" else ""
    return f"it was ended by {name}{hint}"
