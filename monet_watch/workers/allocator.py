"""glibc's allocator, told to keep the large blocks that a step frees: the next step wants the same ones.

The activations of a step are tens of megabytes each. Left alone, glibc maps every such block afresh and unmaps it when
it is freed, and the kernel clears all of its pages again: a tenth of a step.
"""

import ctypes
import platform
import sys

__all__ = ["give_back_memory", "keep_large_blocks"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
_LARGEST_KEPT_BYTES = 2**30
_LARGEST_KEPT_BYTES_OF_OLD = 2**25  # the most that earlier versions of glibc accept


def keep_large_blocks() -> bool:
    """Let this process keep freed blocks of up to 1 GiB; return whether the allocator takes such an order.

    It is glibc's alone: elsewhere nothing happens.
    """
    libc = _glibc()
    if libc is None:
        return False
    libc.mallopt(_TRIM_THRESHOLD, _LARGEST_KEPT_BYTES)
    sizes = (_LARGEST_KEPT_BYTES, _LARGEST_KEPT_BYTES_OF_OLD)
    return any(libc.mallopt(_MMAP_THRESHOLD, size) for size in sizes)


def give_back_memory() -> None:
    """Give the kept blocks that are free back to the system, as between two paintings."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(ctypes.c_size_t(0))


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
