"""The machine that is measured on: what it is, and processes of which each has its memory to itself."""

import argparse
import json
import os
import platform
import re
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from monet_watch import __version__
from monet_watch.workers.base import Allowance
from monet_watch.workers.machine import physical_cores

__all__ = ["add_common_options", "alone", "describe_machine", "peak_bytes", "set_up_as_worker", "write_json"]

# Torch is imported late: what measures the daemon has as little of it as the daemon.

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def alone(function: Callable[Parameters, Result], *arguments: Parameters.args, **named: Parameters.kwargs) -> Result:
    """Return what ``function`` returns in a fresh process that does nothing else; it raises what it raises there."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(function, *arguments, **named).result()


def peak_bytes() -> int:
    """Return the most memory that this process has had at a time: its peak resident set."""
    try:
        # Unlike getrusage's, this one does not begin with that of the process which started it.
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        found = None
    if found:
        return int(found[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def set_up_as_worker(threads: int | None) -> None:
    """Set torch and the allocator as monet-watch's worker does it for its process."""
    from monet_watch.workers.worker import set_up_torch

    set_up_torch(Allowance(threads))


def describe_machine(threads: int | None) -> dict[str, Any]:
    """Return in general terms what is measured on, for JSON."""
    import numpy as np
    import torch

    from monet_watch.engine.precision import best_precision

    return {
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": physical_cores(),
        "logical_cores": os.cpu_count(),
        "threads": threads or "as each program chooses",
        "best_precision": best_precision(torch.device("cpu")),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "monet-watch": __version__,
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def add_common_options(parser: argparse.ArgumentParser, output: str) -> None:
    """Let ``parser`` take what every script takes; ``output`` is the folder for results."""
    parser.add_argument("--threads", type=int, help="threads of every program; by default each chooses for itself")
    parser.add_argument("--weights", default="oxford", help="oxford, torchvision, or the path of a weights file")
    parser.add_argument("--output", type=Path, default=Path(output), help="folder for the results (%(default)s)")


def write_json(path: Path, value: object) -> None:
    """Write ``value`` to ``path``, which at no time holds half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)
