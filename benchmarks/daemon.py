"""What the daemon itself costs: a large inbox, a restart, the way from a drop to the brush, rest, and `status`.

    python -m benchmarks.daemon [--photos 100000] [--folders 10000] [--drops 100] [--idle-seconds 300]
    python -m benchmarks.daemon --parts large

Everything is done to the real program, as a process of its own, in folders below the place for temporary files. While
the large inbox is scanned, painting is paused, so that the queue stays as long as it is.
"""

import argparse
import io
import os
import statistics
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.machine import add_common_options, describe_machine, write_json
from monet_watch.ledger import JobState
from tests.end_to_end.house import DaemonProcess, Home, children, program, wait_until
from tests.end_to_end.service_manager import Manager

__all__ = ["Figure", "main", "photos"]

_SIDE = 32  # pixels of the photos
_IN_A_FOLDER = 1000  # photos of the large inbox
_SETTLE_SECONDS = 0.2
_LIMIT_SECONDS = 3600.0
_STATUS_RUNS = 5
_MEBI = 1 << 20
_PNG_HEADER_BYTES = 33  # the signature, and the chunk that every PNG begins with

Figures = Iterator["Figure"]


@dataclass(frozen=True, slots=True)
class Figure:
    """Something that was measured, in ``unit``; below ``goal`` is what was aimed at, None where nothing was."""

    name: str
    measured: float
    unit: str
    goal: float | None = None


def photos() -> Iterator[bytes]:
    """Small photos without end, as PNG files' bytes: the same pixels, and a comment that no two of them share."""
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    data, number = file.getvalue(), 0
    while True:
        text = b"tEXtComment\0%d" % number
        chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
        yield data[:_PNG_HEADER_BYTES] + chunk + data[_PNG_HEADER_BYTES:]
        number += 1


# ---- a process, by Linux's record of it -----------------------------------------------------------------------------


def _resident_bytes(pid: int, which: str = "VmRSS") -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{which}:")) * 1024


def _processor_seconds(pid: int) -> float:
    """The time of the processor that the process itself has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _with_descendants(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        found += children(each)
    return found


# ---- houses ---------------------------------------------------------------------------------------------------------


@contextmanager
def _home(options: argparse.Namespace, **settings: object) -> Iterator[Home]:
    defaults = {"image_size": _SIDE, "steps": 2, "save_every": 1, "least_gain": 0.0}
    common = {
        "weights": options.weights,
        "threads": options.threads or 1,
        "settle_seconds": _SETTLE_SECONDS,
        "log": {"level": "info"},
        "defaults": defaults,
    }
    with tempfile.TemporaryDirectory(prefix="monet-watch-") as folder:
        yield Home(Path(folder, "home"), **{**common, **settings})


def _wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait as `wait_until` does, and look seldom enough to take nothing worth a word from what is measured."""

    def rarely() -> bool:
        time.sleep(0.1)
        return condition()

    wait_until(rarely, what, _LIMIT_SECONDS)


def _wait_for_first_scan(home: Home) -> None:
    def is_scanned() -> bool:
        with home.ledger() as ledger:
            state = ledger.watch_state()
        return state is not None and state.scanned_at is not None and bool(state.mode)

    _wait_until(is_scanned, "the first scan")


# ---- what is measured -----------------------------------------------------------------------------------------------


def _at_rest(options: argparse.Namespace) -> Figures:
    """Memory of a daemon that has just started, and of one that has painted; and how soon a photo is begun."""
    with _home(options) as home, home.daemon() as daemon:
        daemon.wait_for("worker-ready")
        _wait_for_first_scan(home)
        started = _resident_bytes(daemon.pid)
        seconds = [_drop_to_start(home, daemon, data) for data in islice(photos(), options.drops)]
        painted = _resident_bytes(daemon.pid)
    last = statistics.quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]
    yield Figure("memory at rest, just started", started / _MEBI, "MiB", 100)
    yield Figure(f"memory at rest, {options.drops} paintings later", painted / _MEBI, "MiB", 100)
    yield Figure(f"drop until it is begun, p95 of {options.drops}", last, "s", _SETTLE_SECONDS + 0.3)
    yield Figure("drop until it is begun, median", statistics.median(seconds), "s")


def _drop_to_start(home: Home, daemon: DaemonProcess, data: bytes) -> float:
    """Seconds from the moment when a photo has its name until the worker, idle until then, says that it has begun."""
    since = len(daemon.events)
    name = f"photo-{since}.png"
    partial = home.write(f"{name}.part", data)
    began = time.monotonic()
    partial.rename(home.inbox / name)
    daemon.wait_for("painting", name, since)
    took = time.monotonic() - began
    daemon.wait_for("done", name, since)
    return took


def _idle(options: argparse.Namespace) -> Figures:
    """The processor's time that watching takes, in a while that has its share of the scans."""
    with _home(options) as home:
        for number in range(options.folders):
            (home.inbox / f"{number // 100:03d}" / f"{number:05d}").mkdir(parents=True)
        with home.daemon() as daemon:
            daemon.wait_for("worker-ready")
            _wait_for_first_scan(home)
            shares = _shares(daemon.pid, options.idle_seconds)
    of_all = f"with {options.folders} folders"
    yield Figure(f"processor while idle, {of_all}", 100 * shares[0], "% of a core", 0.5)
    yield Figure("processor while idle, the worker included", 100 * shares[1], "% of a core")


def _shares(pid: int, seconds: float) -> tuple[float, float]:
    """The share of a core that the process uses in the next ``seconds``, alone and with all that it has started."""
    everybody = _with_descendants(pid)
    before, began = [_processor_seconds(each) for each in everybody], time.monotonic()
    time.sleep(seconds)
    used = [_processor_seconds(each) - was for each, was in zip(everybody, before, strict=True)]
    took = time.monotonic() - began
    return used[0] / took, sum(used) / took


def _large(options: argparse.Namespace) -> Figures:
    """An inbox of very many photos: scanned, queued, told of; and the same after a restart."""
    with _home(options) as home:
        for number, data in enumerate(islice(photos(), options.photos)):
            home.write(f"{number // _IN_A_FOLDER:03d}/photo-{number:06d}.png", data)
        paused = program("pause", "--config", home.config)
        assert paused.returncode == 0, paused.stderr
        os.sync()
        yield from _cold(home, options.photos)
        yield from _restarted(home, options.photos)


def _cold(home: Home, count: int) -> Figures:
    began = time.monotonic()
    with home.daemon() as daemon:
        _wait_until(lambda: _known(home) == count, "all are known")
        yield Figure(f"scan of {count} new photos, until all are known", time.monotonic() - began, "s", 10)
        _wait_until(lambda: _queued(home) == count, "all are queued")
        yield Figure(f"scan of {count} new photos, until all are queued", time.monotonic() - began, "s", 10)
        yield Figure(f"scan of {count} new photos, time of the processor", _processor_seconds(daemon.pid), "s")
        yield from _memory(daemon, f"memory with {count} queued")
        yield Figure(f"status with {count} jobs, median", statistics.median(_status_seconds(home)), "s", 0.5)


def _restarted(home: Home, count: int) -> Figures:
    home.configure(log={"level": "debug"})  # which tells when a scan has been compared with the record
    manager = Manager(home.folder / "notify")
    began = time.monotonic()
    with home.daemon(NOTIFY_SOCKET=manager.address) as daemon:
        with manager:
            manager.hear(lambda word: word == "READY=1")
        ready = time.monotonic()
        yield Figure(f"restart with {count} queued, until READY", ready - began, "s", 2)
        daemon.wait_for("scanned")
        yield Figure(f"scan of {count} unchanged photos, from there", time.monotonic() - ready, "s", 3)
        yield Figure("restart and scan, time of the processor", _processor_seconds(daemon.pid), "s")
        assert _queued(home) == count
        yield from _memory(daemon, "memory after that restart")


def _memory(daemon: DaemonProcess, name: str) -> Figures:
    yield Figure(name, _resident_bytes(daemon.pid) / _MEBI, "MiB", 250)
    yield Figure(f"{name}, at its peak", _resident_bytes(daemon.pid, "VmHWM") / _MEBI, "MiB")


def _known(home: Home) -> int:
    with home.ledger() as ledger:
        return sum(ledger.overview(recent=0).counts.values())


def _queued(home: Home) -> int:
    with home.ledger() as ledger:
        return ledger.overview(recent=0).counts[JobState.QUEUED]


def _status_seconds(home: Home) -> list[float]:
    seconds = []
    for _ in range(_STATUS_RUNS):
        began = time.monotonic()
        done = program("status", "--config", home.config)
        seconds.append(time.monotonic() - began)
        assert done.returncode == 0, done.stdout + done.stderr
    return seconds


# ---- told -----------------------------------------------------------------------------------------------------------


def _show(figures: Sequence[Figure]) -> None:
    table = Table("", "goal", "measured", "")
    for each in figures:
        goal = "" if each.goal is None else f"{each.goal:g}"
        missed = "" if each.goal is None or each.measured < each.goal else "missed"
        table.add_row(each.name, goal, f"{each.measured:.3g} {each.unit}", missed)
    Console(width=120, highlight=False).print(table)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=100_000, help="of the large inbox (%(default)s)")
    parser.add_argument("--folders", type=int, default=10_000, help="watched while nothing happens (%(default)s)")
    parser.add_argument("--drops", type=int, default=100, help="photos that are dropped one by one (%(default)s)")
    seconds = "that the idle daemon is looked at; the default is the time between two scans (%(default)s)"
    parser.add_argument("--idle-seconds", type=float, default=300.0, help=seconds)
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=_PARTS, help="what is measured; all by default")
    add_common_options(parser, "benchmarks/results/daemon")
    return parser.parse_args(arguments)


_PARTS: dict[str, Callable[[argparse.Namespace], Figures]] = {"rest": _at_rest, "idle": _idle, "large": _large}


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    names = ("photos", "folders", "drops", "idle_seconds")
    return {**{name: getattr(options, name) for name in names}, "settle_seconds": _SETTLE_SECONDS}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print what was found and write JSON."""
    options = _parsed(arguments)
    figures = [figure for part in options.parts for figure in _PARTS[part](options)]
    results = {"machine": describe_machine(options.threads), "settings": _settings(options)}
    write_json(options.output / "daemon.json", {**results, "figures": [asdict(each) for each in figures]})
    _show(figures)


if __name__ == "__main__":
    main()
