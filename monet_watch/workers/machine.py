"""What the machine has to give to a worker: memory and processor cores.

A container or a service has less than the machine: the limits of the control groups that this process belongs to count,
of either version. ``root`` is where the system's own files lie, for tests.
"""

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

__all__ = ["available_memory", "memory_for_a_painting", "physical_cores"]

_ROOT = Path("/")


def memory_for_a_painting(free_bytes: int | None, given_bytes: int | None, sharers: int) -> int | None:
    """Return how many bytes one painting may use: what is given, else three quarters of a worker's share of the free.

    ``sharers`` workers share the memory. None where neither is known.
    """
    if given_bytes is not None or free_bytes is None:
        return given_bytes
    return free_bytes * 3 // 4 // sharers


def available_memory(root: Path = _ROOT) -> int | None:
    """Return the bytes that can be used without the system having to swap, or a control group to end somebody.

    Where only the size of the memory can be known, half of it. None where not even that is.
    """
    of_groups = [limit - used for limit, used in _limits_and_use(root)]
    of_machine = _of_meminfo(root) or _of_sysconf()
    known = [*of_groups, *([] if of_machine is None else [of_machine])]
    return max(0, min(known)) if known else None


def _of_meminfo(root: Path) -> int | None:
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", _text(root / "proc/meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _of_sysconf() -> int | None:
    names = getattr(os, "sysconf_names", {})  # Windows has none
    for name, share in (("SC_AVPHYS_PAGES", 1), ("SC_PHYS_PAGES", 2)):
        if name in names and os.sysconf(name) > 0:
            return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE") // share
    return None


def _limits_and_use(root: Path) -> Iterator[tuple[int, int]]:
    """The limit of each control group that has one, and what is used of it, in bytes.

    Pages of files that nobody has looked at lately count as free: the kernel drops them when memory gets short.
    """
    names = (("memory.max", "memory.current", "inactive_file"),
             ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"))  # fmt: skip
    for folder in _groups(root, "memory"):
        for limit_name, use_name, idle_name in names:
            limit, use = _number(folder / limit_name), _number(folder / use_name)
            idle = re.search(rf"^{idle_name} (\d+)$", _text(folder / "memory.stat"), re.MULTILINE)
            if limit is not None and use is not None:
                yield limit, use - (int(idle[1]) if idle else 0)


def physical_cores(root: Path = _ROOT) -> int | None:
    """Return how many cores this process may use, a core with two threads counted once. None where it is not known.

    A control group's share of the processor's time counts as so many cores, rounded up.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    topologies = (root / f"sys/devices/system/cpu/cpu{number}/topology" for number in os.sched_getaffinity(0))
    cores = {(_text(each / "physical_package_id"), _text(each / "core_id")) for each in topologies}
    if ("", "") in cores:
        return None
    return min([len(cores), *_quotas(root)])


def _quotas(root: Path) -> Iterator[int]:
    for folder in _groups(root, "cpu"):
        quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        both = re.fullmatch(r"(\d+) (\d+)", _text(folder / "cpu.max"))
        if both:
            quota, period = int(both[1]), int(both[2])
        if quota and period:
            yield max(1, math.ceil(quota / period))


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of the control groups that hold this process, for ``controller``, from the innermost outwards.

    In a container they may lie elsewhere than the kernel says; then all but the outermost may not be there.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        mount = root / "sys/fs/cgroup"
        if number != "0":
            if controller not in controllers.split(","):
                continue
            mount /= controller
        inner = PurePosixPath(path.lstrip("/"))
        yield from (mount / each for each in (inner, *inner.parents))


def _number(path: Path) -> int | None:
    """The whole number in a file; None where there is no file, or it says that there is no limit."""
    text = _text(path)
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
