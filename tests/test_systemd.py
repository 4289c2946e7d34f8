"""The unit files are ones that systemd itself accepts, and the folders that it makes are ones that people can use."""

import configparser
import hashlib
import json
import multiprocessing
import os
import shutil
import subprocess
import tempfile
from pathlib import Path, PurePosixPath

import pytest

from monet_watch.aftercare import Aftercare
from monet_watch.outbox.files import Outbox

UNITS = Path(__file__).parent.parent / "systemd"
SYSTEM_UNIT = UNITS / "monet-watch.service"
RAY_UNIT = UNITS / "monet-watch-ray-worker.service"
USER_UNIT = UNITS / "user" / "monet-watch.service"
LONGEST_STOP_SECONDS = 10  # what the daemon promises
CARDS = {
    "char-nvidia",  # what NVIDIA's drivers call their devices in /proc/devices, early and late
    "char-nvidia-frontend",
    "char-nvidia-uvm",
    "char-nvidia-caps",
    "char-drm",  # /dev/dri, and what AMD computes with
    "char-kfd",
}


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


def test_systemd_finds_nothing_wrong_with_the_unit_of_a_cluster_s_machines(with_stand_in):
    done = systemd("systemd-analyze", "verify", with_stand_in(RAY_UNIT))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_cluster_s_machine_lets_nobody_in_without_the_token_and_comes_back_by_itself():
    text, service = RAY_UNIT.read_text(), section(RAY_UNIT, "Service")
    assert "Environment=RAY_AUTH_MODE=token\n" in text and "Environment=RAY_AUTH_TOKEN_PATH=%d/ray-token\n" in text
    assert (service["Restart"], section(RAY_UNIT, "Unit")["StartLimitIntervalSec"]) == ("always", "0")


def test_the_verification_notices_a_mistake(with_stand_in):
    unit = with_stand_in(SYSTEM_UNIT)
    unit.write_text(unit.read_text().replace("[Service]", "[Service]\nProtectSystm=strict"))
    assert "ProtectSystm" in systemd("systemd-analyze", "verify", unit).stderr


def test_the_service_exposes_little_of_the_machine(with_stand_in):
    done = systemd("systemd-analyze", "security", "--offline=true", "--threshold=15", with_stand_in(SYSTEM_UNIT))
    assert done.returncode == 0, done.stdout  # 15 of 100; the tool's own scale ends at 10.0


def test_every_exception_from_what_systemd_advises_is_explained(with_stand_in):
    done = systemd("systemd-analyze", "security", "--offline=true", "--json=short", with_stand_in(SYSTEM_UNIT))
    advised = {each["name"] for each in json.loads(done.stdout) if each["set"] is False}
    assert "MemoryDenyWriteExecute=" in advised
    comments = [line for line in SYSTEM_UNIT.read_text().splitlines() if line.startswith("#")]
    names = {name.partition("/")[0].partition("=")[0] for name in advised}
    assert not {
        name for name in names - {"DeviceAllow"} if not any(line.startswith(f"# - {name}=") for line in comments)
    }


def test_graphics_cards_of_every_make_can_be_used_and_no_other_devices():
    lines = [line.partition("=") for line in SYSTEM_UNIT.read_text().splitlines() if line.startswith("DeviceAllow=")]
    assert {value for _, _, value in lines} == {f"{card} rw" for card in CARDS}
    service = section(SYSTEM_UNIT, "Service")
    assert service["DevicePolicy"] == "closed"
    assert "PrivateDevices" not in service


@pytest.mark.parametrize("unit", [SYSTEM_UNIT, USER_UNIT])
def test_the_units_wait_longer_than_the_daemon_takes_and_spare_it_when_a_worker_dies(unit):
    service = section(unit, "Service")
    assert service["Type"] == "notify"
    assert int(service["TimeoutStopSec"].removesuffix("s")) > LONGEST_STOP_SECONDS
    assert service["KillMode"] == "mixed"
    assert service["OOMPolicy"] == "continue"
    assert "MemoryDenyWriteExecute" not in service


@pytest.mark.parametrize("unit", [SYSTEM_UNIT, USER_UNIT])
def test_the_units_start_the_daemon_again_for_ever_whatever_it_ended_with(unit):
    service = section(unit, "Service")
    assert service["Restart"] == "on-failure"
    assert "RestartPreventExitStatus" not in service, "a config that is mended must be enough"
    assert section(unit, "Unit")["StartLimitIntervalSec"] == "0"
    assert int(service["RestartSec"].removesuffix("s")) >= 10


@pytest.mark.parametrize("unit", [SYSTEM_UNIT, USER_UNIT])
def test_the_units_reload_the_config_keep_no_cores_and_let_others_go_first(unit):
    service = section(unit, "Service")
    assert service["ExecReload"].split()[1:] == ["-HUP", "$MAINPID"]
    assert service["LimitCORE"] == "0"
    assert int(service["Nice"]) > 0
    assert int(service["CPUWeight"]) < 100 > int(service["IOWeight"])


@pytest.fixture
def account(tmp_path):
    """Make the account in a root folder of its own; return that folder, the account's number and its group's."""
    with tempfile.TemporaryDirectory(dir=tempfile.gettempdir()) as root:  # pytest's own is closed to other accounts
        Path(root).chmod(0o755)
        Path(root, "etc").mkdir()
        made = systemd("systemd-sysusers", f"--root={root}", UNITS / "sysusers.d" / "monet-watch.conf")
        assert made.returncode == 0, made.stderr
        _, _, uid, gid, *_ = (Path(root) / "etc/passwd").read_text().strip().split(":")
        yield Path(root), int(uid), int(gid)


def test_the_account_is_that_of_the_unit_and_nobody_can_log_in_with_it(account):
    root, _, _ = account
    name, _, _, _, _, home, shell = (root / "etc/passwd").read_text().strip().split(":")
    service = section(SYSTEM_UNIT, "Service")
    assert name == service["User"] == service["Group"]
    assert home == f"/var/lib/{service['StateDirectory']}"
    assert shell.endswith("nologin")


@pytest.fixture
def share(account):
    """Make the shared folders of the account; return where they are, and both numbers."""
    root, uid, gid = account
    if os.geteuid() != 0:
        pytest.skip("only root can give folders to another account")
    made = systemd("systemd-tmpfiles", "--create", f"--root={root}", UNITS / "tmpfiles.d" / "monet-watch.conf")
    assert (made.returncode, made.stderr) == (0, "")
    return Path(f"{root}{section(SYSTEM_UNIT, 'Service')['ReadWritePaths']}"), uid, gid


def test_the_shared_folders_belong_to_the_account_and_its_group(share):
    folder, uid, gid = share
    for name in ("", "inbox", "outbox", "archive"):
        status = (folder / name).stat()
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o2775, uid, gid)


def as_account(uid, gid, umask, work):
    """Do ``work`` in a process of the account ``uid`` and the group ``gid``. Raises AssertionError where it fails."""

    def become():
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        os.umask(umask)
        work()

    process = multiprocessing.get_context("fork").Process(target=become)
    process.start()
    process.join(60)
    assert process.exitcode == 0


ANNA = 4242  # an account that is a member of the group


def test_whoever_belongs_to_the_group_reads_paintings_and_deletes_them_and_the_originals(share):
    """The daemon's umask is the unit's; that of the people is the usual 022, or a careful 077."""
    folder, uid, gid = share
    umask = int(section(SYSTEM_UNIT, "Service")["UMask"], 8)

    def paint():
        Outbox(folder / "outbox").write(PurePosixPath("trip/cat"), "cat.png", b"a painting")
        (folder / "inbox" / "by-the-daemon.jpg").write_bytes(b"a photo")

    def read_and_delete():
        painting = folder / "outbox/trip/cat/cat.png"
        assert painting.read_bytes() == b"a painting"
        painting.unlink()
        painting.parent.rmdir()
        (folder / "inbox" / "by-the-daemon.jpg").unlink()

    for careful in (0o022, 0o077):
        as_account(uid, gid, umask, paint)
        as_account(ANNA, gid, careful, read_and_delete)


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_daemon_moves_originals_out_of_the_folders_that_others_made(share, umask):
    folder, uid, gid = share

    def drop():
        (folder / "inbox/anna/trip").mkdir(parents=True)
        (folder / "inbox/anna/trip/cat.jpg").write_bytes(b"a photo")

    def put_away():
        photo = PurePosixPath("anna/trip/cat.jpg")
        digest = hashlib.sha256(b"a photo").hexdigest()
        assert Aftercare(folder / "inbox", "move", folder / "archive", 1000)(photo, digest)

    as_account(ANNA, gid, umask, drop)
    as_account(uid, gid, 0o002, put_away)
    assert not (folder / "inbox/anna/trip/cat.jpg").exists()
    assert (folder / "archive/anna/trip/cat.jpg").read_bytes() == b"a photo"
