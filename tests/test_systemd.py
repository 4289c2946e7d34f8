"""The unit files are ones that systemd itself accepts."""

import configparser
import os
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parent.parent / "systemd"
SYSTEM_UNIT = UNITS / "monet-watch.service"
USER_UNIT = UNITS / "user" / "monet-watch.service"
LONGEST_STOP_SECONDS = 10  # what the daemon promises


def systemd(tool, *arguments, **options):
    """Run one of systemd's own programs; return what it did."""
    program = shutil.which(tool)
    if program is None:
        pytest.fail(f"{tool} is missing: install systemd (Debian and Ubuntu: apt-get install systemd)")
    command = [program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)


def section(path, name):
    """Return a section of a unit: each key with its last value, as systemd takes it where a key is no list."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str
    parser.read(path)
    return dict(parser[name])


@pytest.fixture
def with_stand_in(tmp_path):
    """Return a function that copies a unit, with a program in ExecStart that exists on this machine."""

    def copied(unit):
        program = section(unit, "Service")["ExecStart"].split()[0]
        stand_in = tmp_path / "monet-watch"
        stand_in.write_text("#!/bin/sh\n")
        stand_in.chmod(0o755)
        copy = tmp_path / unit.name
        copy.write_text(unit.read_text().replace(f"ExecStart={program} ", f"ExecStart={stand_in} "))
        return copy

    return copied


def test_systemd_finds_nothing_wrong_with_the_system_unit(with_stand_in):
    done = systemd("systemd-analyze", "verify", with_stand_in(SYSTEM_UNIT))
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_finds_nothing_wrong_with_the_user_unit(with_stand_in, tmp_path):
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = systemd("systemd-analyze", "--user", "verify", with_stand_in(USER_UNIT), env=environ)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_verification_notices_a_mistake(with_stand_in):
    unit = with_stand_in(SYSTEM_UNIT)
    unit.write_text(unit.read_text().replace("[Service]", "[Service]\nProtectSystm=strict"))
    assert "ProtectSystm" in systemd("systemd-analyze", "verify", unit).stderr


def test_the_service_exposes_little_of_the_machine(with_stand_in):
    done = systemd("systemd-analyze", "security", "--offline=true", "--threshold=15", with_stand_in(SYSTEM_UNIT))
    assert done.returncode == 0, done.stdout  # 15 of 100; the tool's own scale ends at 10.0


@pytest.mark.parametrize("unit", [SYSTEM_UNIT, USER_UNIT])
def test_the_units_wait_longer_than_the_daemon_takes_and_spare_it_when_a_worker_dies(unit):
    service = section(unit, "Service")
    assert service["Type"] == "notify"
    assert int(service["TimeoutStopSec"].removesuffix("s")) > LONGEST_STOP_SECONDS
    assert service["KillMode"] == "mixed"
    assert service["OOMPolicy"] == "continue"
    assert service["Restart"] == "on-failure"
    assert "MemoryDenyWriteExecute" not in service


def test_the_account_and_the_shared_folders_are_made(tmp_path):
    (tmp_path / "etc").mkdir()
    account = UNITS / "sysusers.d" / "monet-watch.conf"
    made = systemd("systemd-sysusers", f"--root={tmp_path}", account)
    assert made.returncode == 0, made.stderr
    name, _, uid, gid, _, home, shell = (tmp_path / "etc/passwd").read_text().strip().split(":")
    service = section(SYSTEM_UNIT, "Service")
    assert name == service["User"] == service["Group"]
    assert home == f"/var/lib/{service['StateDirectory']}"
    assert shell.endswith("nologin")
    if os.geteuid() != 0:
        pytest.skip("only root can give folders to another account")
    folders = UNITS / "tmpfiles.d" / "monet-watch.conf"
    made = systemd("systemd-tmpfiles", "--create", f"--root={tmp_path}", folders)
    assert made.returncode == 0, made.stderr
    for folder in ("", "inbox", "outbox", "archive"):
        status = Path(f"{tmp_path}{service['ReadWritePaths']}", folder).stat()
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o2775, int(uid), int(gid))
