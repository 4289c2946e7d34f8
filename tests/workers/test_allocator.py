"""A process told to keep large blocks gets them back without new pages, and gives them back when asked."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from monet_watch.workers.allocator import give_back_memory, keep_large_blocks

glibc_only = pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="glibc's allocator only"
)

BLOCK_BYTES = 20 * 2**20
ROUNDS = 20

SCRIPT = f"""
import ctypes, os, resource, sys
from pathlib import Path
from monet_watch.workers.allocator import give_back_memory, keep_large_blocks

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p

def touch_blocks(count):
    for _ in range(count):  # two at once, as a step has several
        blocks = [ctypes.c_void_p(libc.malloc(ctypes.c_size_t({BLOCK_BYTES}))) for _ in range(2)]
        for block in blocks:
            libc.memset(block, 1, ctypes.c_size_t({BLOCK_BYTES}))
        for block in blocks:
            libc.free(block)

def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

if sys.argv[1] == "keep":
    assert keep_large_blocks()
touch_blocks(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
touch_blocks({ROUNDS})
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
kept = resident_bytes()
give_back_memory()
print(faults, kept - resident_bytes())
"""


def run(how):
    """Page faults of the rounds after the first, and bytes given back at the end."""
    command = [sys.executable, "-c", SCRIPT, how]
    # The size at which glibc begins to map blocks adapts itself, unless it is set: 128 KiB is where it begins.
    environment = {"MALLOC_MMAP_THRESHOLD_": "131072"} if how == "plain" else {}
    root = Path(__file__).parents[2]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=True)
    return tuple(map(int, done.stdout.split()))


@glibc_only
def test_blocks_that_were_freed_are_used_again_with_the_pages_that_they_have():
    plain_faults, _ = run("plain")
    kept_faults, _ = run("keep")

    assert plain_faults >= ROUNDS  # at least one for each round, even where a page is as large as a block
    assert kept_faults < plain_faults / 10


@glibc_only
def test_what_was_kept_is_given_back_when_asked():
    _, returned = run("keep")

    assert returned >= 2 * BLOCK_BYTES * 0.9


def test_where_the_allocator_is_another_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")

    assert not keep_large_blocks()
    give_back_memory()
