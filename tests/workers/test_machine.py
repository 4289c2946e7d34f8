"""What a worker may take of a machine: the least of what the machine has and what the control groups leave."""

import os

import pytest

from monet_watch.workers.machine import available_memory, memory_for_a_painting, physical_cores

GIB = 2**30
MEMINFO = "MemTotal:       16777216 kB\nMemFree:         1000000 kB\nMemAvailable:    8388608 kB\n"  # 8 GiB available


@pytest.fixture
def root(tmp_path):
    """The system's files of a machine with 8 GiB to spare and no limits."""
    put(tmp_path, "proc/meminfo", MEMINFO)
    return tmp_path


def put(root, path, text):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(f"{text}\n")


def test_without_a_limit_it_is_what_the_kernel_says(root):
    assert available_memory(root) == 8 * GIB


def test_the_second_version_of_control_groups_counts(root):
    put(root, "proc/self/cgroup", "0::/system.slice/monet.service")
    group = "sys/fs/cgroup/system.slice/monet.service"
    put(root, f"{group}/memory.max", 4 * GIB)
    put(root, f"{group}/memory.current", 3 * GIB)
    put(root, f"{group}/memory.stat", f"anon {GIB}\nfile {2 * GIB}\ninactive_file {GIB}")

    assert available_memory(root) == 2 * GIB  # of the 3 used, 1 GiB are pages of files that can be dropped


def test_the_tightest_of_the_groups_counts(root):
    put(root, "proc/self/cgroup", "0::/a/b")
    for group, limit in (("a/b", "max"), ("a", 3 * GIB), ("", 6 * GIB)):
        put(root, f"sys/fs/cgroup/{group}/memory.max", limit)
        put(root, f"sys/fs/cgroup/{group}/memory.current", GIB)

    assert available_memory(root) == 2 * GIB


def test_the_first_version_of_control_groups_counts(root):
    put(root, "proc/self/cgroup", "9:name=systemd:/\n4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc")
    group = "sys/fs/cgroup/memory/docker/abc"
    put(root, f"{group}/memory.limit_in_bytes", 2 * GIB)
    put(root, f"{group}/memory.usage_in_bytes", GIB)
    put(root, f"{group}/memory.stat", f"inactive_file 0\ntotal_inactive_file {GIB // 2}")
    put(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", 9223372036854771712)  # what stands for no limit
    put(root, "sys/fs/cgroup/memory/memory.usage_in_bytes", GIB)

    assert available_memory(root) == 3 * GIB // 2


def test_a_container_that_sees_its_own_group_as_the_root_is_limited_by_it(root):
    """The kernel names the path as the host has it, and only the container's own part of it is mounted."""
    put(root, "proc/self/cgroup", "0::/docker/abc")
    put(root, "sys/fs/cgroup/memory.max", GIB)
    put(root, "sys/fs/cgroup/memory.current", GIB // 4)

    assert available_memory(root) == 3 * GIB // 4


def test_a_group_that_is_over_its_limit_leaves_nothing(root):
    put(root, "proc/self/cgroup", "0::/")
    put(root, "sys/fs/cgroup/memory.max", GIB)
    put(root, "sys/fs/cgroup/memory.current", 2 * GIB)

    assert available_memory(root) == 0


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="needs sysconf")
def test_where_the_kernel_does_not_say_the_system_s_configuration_does(tmp_path):
    assert 0 < available_memory(tmp_path) <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_where_only_the_size_is_known_half_of_it_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sysconf_names", {"SC_PHYS_PAGES": 1, "SC_PAGE_SIZE": 2}, raising=False)
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.__getitem__, raising=False)

    assert available_memory(tmp_path) == 500 * 4096


def test_where_nothing_is_known_nothing_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sysconf_names", {}, raising=False)

    assert available_memory(tmp_path) is None
    assert memory_for_a_painting(None, None, 1) is None


def test_this_machine_has_memory_to_spare():
    assert available_memory() > 0


def test_a_painting_gets_three_quarters_of_a_share_of_what_is_free():
    assert memory_for_a_painting(8 * GIB, None, 1) == 6 * GIB
    assert memory_for_a_painting(8 * GIB, None, 2) == 3 * GIB


def test_a_painting_gets_what_the_settings_give_it_whatever_is_free():
    assert memory_for_a_painting(8 * GIB, GIB, 2) == GIB
    assert memory_for_a_painting(None, GIB, 1) == GIB


def processor(root, monkeypatch, cores):
    """A processor whose threads 0, 1, ... lie on ``cores``, all of which this process may use."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(len(cores))), raising=False)
    for number, core in enumerate(cores):
        put(root, f"sys/devices/system/cpu/cpu{number}/topology/physical_package_id", core // 8)
        put(root, f"sys/devices/system/cpu/cpu{number}/topology/core_id", core % 8)


def test_two_threads_of_a_core_are_one_core(root, monkeypatch):
    processor(root, monkeypatch, [0, 0, 1, 1, 8, 8, 9, 9])

    assert physical_cores(root) == 4


@pytest.mark.parametrize(
    ("groups", "files"),
    [
        ("0::/a", {"a/cpu.max": "150000 100000"}),
        ("2:cpuacct,cpu:/a\n0::/", {"cpu/a/cpu.cfs_quota_us": 150000, "cpu/a/cpu.cfs_period_us": 100000}),
    ],
    ids=["second version", "first version"],
)
def test_a_share_of_the_processor_s_time_counts_as_so_many_cores(root, monkeypatch, groups, files):
    processor(root, monkeypatch, [0, 1, 2, 3])
    put(root, "proc/self/cgroup", groups)
    for path, text in files.items():
        put(root, f"sys/fs/cgroup/{path}", text)

    assert physical_cores(root) == 2


def test_no_quota_takes_no_core_away(root, monkeypatch):
    processor(root, monkeypatch, [0, 1, 2, 3])
    put(root, "proc/self/cgroup", "2:cpu:/a\n0::/b")
    put(root, "sys/fs/cgroup/b/cpu.max", "max 100000")
    put(root, "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", -1)
    put(root, "sys/fs/cgroup/cpu/a/cpu.cfs_period_us", 100000)

    assert physical_cores(root) == 4


def test_where_the_processor_s_shape_is_not_told_nothing_is_said(tmp_path, monkeypatch):
    assert physical_cores(tmp_path) is None
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert physical_cores() is None
