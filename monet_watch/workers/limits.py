"""Bounds on the memory of this process: what goes beyond them is refused, and the system need not end anybody.

Linux keeps both kinds of them, and only there they are set.
"""

import os
import re
from pathlib import Path

__all__ = ["address_space_bytes", "limit_address_space", "limit_private_memory", "private_bytes"]


def address_space_bytes() -> int | None:
    """The size of this process's address space; None where the system does not tell."""
    return _of_status("VmSize")


def private_bytes() -> int | None:
    """What this process has of memory that is its own and can be written to; None where the system does not tell."""
    return _of_status("VmData")


def limit_address_space(size_bytes: int) -> None:
    """Refuse this process an address space of more than ``size_bytes``."""
    _limit("RLIMIT_AS", size_bytes)


def limit_private_memory(size_bytes: int) -> None:
    """Refuse this process more than ``size_bytes`` of `private_bytes`. It can be called again, with more or less.

    Programs and drivers that reserve large address spaces, as torch's do, are not held up by it.
    """
    _limit("RLIMIT_DATA", size_bytes)


def _of_status(field: str) -> int | None:
    try:
        found = re.search(
            rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="utf-8"), re.MULTILINE
        )
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _limit(name: str, size_bytes: int) -> None:
    if os.name != "posix":
        return
    import resource

    which = getattr(resource, name)
    _, hard = resource.getrlimit(which)
    resource.setrlimit(which, (size_bytes if hard == resource.RLIM_INFINITY else min(size_bytes, hard), hard))
