"""What passes, done to the real program: full disks, permissions taken away, a worker that hangs.

The small disks are tmpfs in a mount namespace of the daemon's own, seen from here through ``/proc``.
"""

import errno
import os
import shlex
import signal
import sqlite3
from pathlib import Path

import pytest
from PIL import Image

from monet_watch.outbox.gallery.gallery import PAGE_NAME
from tests.end_to_end.house import Apart, DaemonProcess, Home, Photos, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="mounts in a namespace, as Linux has them"),
]

STEPS = 24
PATIENT = {"steps": STEPS, "save_every": 4, "least_gain": 0.0}
QUICK = {"settle_seconds": 0.2, "retry_seconds": 0.5, "rescan_seconds": 2.0}


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home", defaults=PATIENT, **QUICK)
    for folder in (home.outbox, home.state, home.archive):
        folder.mkdir()
    return home


def small_disk(path: Path, mebibytes: int) -> str:
    return f"mount -t tmpfs -o size={mebibytes}m tmpfs {shlex.quote(str(path))}"


def fill(folder: Path) -> Path:
    """Leave no room on the disk of ``folder``; return the file that takes it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC
    return ballast


def processor_seconds(pid: int) -> float:
    """What the process has used so far, by the kernel's own record."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def assert_idle(daemon: DaemonProcess) -> None:
    """For five seconds the daemon uses less of the processor than a loop without a pause would in a fifth of them."""
    switches = processor_seconds(daemon.pid)
    begun = os.times().elapsed
    wait_until(lambda: os.times().elapsed > begun + 5, "five seconds")
    assert processor_seconds(daemon.pid) - switches < 1.0


def in_mid_painting(daemon: DaemonProcess, photo: str) -> None:
    daemon.wait_for("step", photo, step=6)


def assert_whole(folder: Path, photo: str) -> None:
    """All files of the painting are there and whole, and no others but its page, which comes later."""
    names = {path.name for path in folder.iterdir() if path.name != PAGE_NAME and not path.name.startswith(".")}
    stages = {f"progress_{number:04d}.png" for number in range(4, STEPS + 1, 4)}
    assert names == {f"{Path(photo).stem}.png", "loss.png", "photo.webp", "painting.json", *stages}
    for path in folder.glob("*.png"):
        with Image.open(path) as picture:
            picture.load()


def is_told(daemon: DaemonProcess, words: str) -> None:
    wait_until(lambda: any(words in each["text"] for each in daemon.events), f"{words}\n{daemon.log}")


def test_while_the_outbox_is_full_a_painting_is_kept_and_not_painted_again(home):
    with Apart(home, small_disk(home.outbox, 16)) as daemon:
        daemon.wait_for("started")
        home.drop(Photos.coffee)
        in_mid_painting(daemon, "coffee.png")
        ballast = fill(daemon.sees(home.outbox))
        is_told(daemon, "until then nothing is begun")
        home.drop(Photos.rocket)
        daemon.wait_for("queued", "rocket.jpg")
        assert_idle(daemon)
        assert not list(daemon.sees(home.outbox).rglob("painting.json"))
        ballast.unlink()
        for photo, folder in (("coffee.png", "coffee"), ("rocket.jpg", "rocket")):
            daemon.wait_for("done", photo)
            assert_whole(daemon.sees(home.outbox) / folder, photo)
        assert len(list(daemon.told("painting", "coffee.png"))) == 1
        assert not list(daemon.sees(home.outbox).rglob("*.tmp"))


def test_while_the_state_folder_is_full_nothing_is_lost(home):
    with Apart(home, small_disk(home.state, 32)) as daemon:
        daemon.wait_for("started")
        home.drop(Photos.coffee)
        in_mid_painting(daemon, "coffee.png")
        ballast = fill(daemon.sees(home.state))
        for number in range(50):
            home.drop(Photos.rocket, f"{number}/{'x' * 200}.jpg")
        is_told(daemon, "what is being painted goes on")
        assert_idle(daemon)
        ballast.unlink()
        daemon.wait_for("done", "coffee.png")
        is_told(daemon, "can be used again")
        assert_whole(home.outbox / "coffee", "coffee.png")
        wait_until(lambda: len(home.records()) == 51, f"one of them painted, and copied for the others\n{daemon.log}")
        with sqlite3.connect(daemon.sees(home.state) / "ledger.sqlite3") as ledger:
            assert ledger.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        ledger.close()


def test_a_start_on_a_full_disk_of_the_state_folder_waits_for_room(home):
    ballast = shlex.quote(str(home.state / "ballast"))
    filled = f"(cat /dev/zero > {ballast} 2> /dev/null; true)"
    with Apart(home, small_disk(home.state, 32), filled) as daemon:
        is_told(daemon, "until then nothing is begun")
        home.drop(Photos.coffee)
        assert_idle(daemon)
        assert not list(daemon.told("started"))
        (daemon.sees(home.state) / "ballast").unlink()
        daemon.wait_for("done", "coffee.png")
        assert_whole(home.outbox / "coffee", "coffee.png")


def test_while_the_archive_is_full_the_original_stays(home):
    home.configure(after="move", archive=str(home.archive))
    with Apart(home, small_disk(home.archive, 1)) as daemon:
        daemon.wait_for("started")
        ballast = fill(daemon.sees(home.archive))
        photo = home.drop(Photos.coffee)
        data = photo.read_bytes()
        is_told(daemon, "The original stays where it is")
        assert photo.read_bytes() == data
        assert [path.name for path in daemon.sees(home.archive).iterdir()] == ["ballast"]
        ballast.unlink()
        daemon.wait_for("removed", "coffee.png")
        assert not photo.exists()
        assert (daemon.sees(home.archive) / "coffee.png").read_bytes() == data


def test_no_original_goes_into_what_an_unmounted_archive_leaves_behind(home):
    """A bind mount stands for the share."""
    home.configure(after="move", archive=str(home.archive))
    share = home.folder / "share"
    share.mkdir()
    mount = shlex.join(["mount", "--bind", str(share), str(home.archive)])
    with Apart(home, mount) as daemon:
        home.drop(Photos.cat, "cat.png")
        daemon.wait_for("removed", "cat.png")
        daemon.does(shlex.join(["umount", "-l", str(home.archive)]))
        coffee = home.drop(Photos.coffee, "coffee.png")
        is_told(daemon, "not mounted")
        assert coffee.exists()
        assert not list(home.archive.iterdir())
        daemon.does(mount)
        daemon.wait_for("removed", "coffee.png")
    assert sorted(path.name for path in share.iterdir()) == ["cat.png", "coffee.png"]


def test_an_inbox_that_can_only_be_read_is_painted(home):
    photo = home.drop(Photos.coffee)
    data = photo.read_bytes()
    inbox = shlex.quote(str(home.inbox))
    with Apart(home, f"mount --bind {inbox} {inbox}", f"mount -o remount,bind,ro {inbox}") as daemon:
        daemon.wait_for("done", "coffee.png")
        with pytest.raises(OSError, match="Read-only"):
            (daemon.sees(home.inbox) / "new.txt").touch()
        assert photo.read_bytes() == data
        assert_whole(home.outbox / "coffee", "coffee.png")


class Restricted(DaemonProcess):
    """The daemon as somebody whom permissions keep from writing, as they do not keep root."""

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        if os.geteuid() == 0:
            self._command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *map(str, self._command)]


def test_permissions_that_are_taken_away_from_the_outbox_and_the_state_folder_and_given_back_lose_nothing(home):
    with Restricted(home) as daemon:
        daemon.wait_for("started")
        home.drop(Photos.coffee)
        in_mid_painting(daemon, "coffee.png")
        for folder in (home.outbox, home.outbox / "coffee", home.state, home.state / "checkpoints"):
            folder.chmod(0o500)
        is_told(daemon, "until then nothing is begun")
        assert not home.records()
        assert_idle(daemon)
        for folder in (home.state, home.state / "checkpoints", home.outbox, home.outbox / "coffee"):
            folder.chmod(0o700)
        daemon.wait_for("done", "coffee.png")
        assert_whole(home.outbox / "coffee", "coffee.png")


def test_an_outbox_that_cannot_even_be_looked_into_is_waited_for(home):
    """A copy of what is painted asks for the painting; another photo, for room and a place."""
    with Restricted(home) as daemon:
        daemon.wait_for("started")
        home.drop(Photos.coffee)
        daemon.wait_for("done", "coffee.png")
        home.outbox.chmod(0)
        home.drop(Photos.coffee, "copy.png")
        home.drop(Photos.rocket)
        is_told(daemon, "until then nothing is begun")
        assert_idle(daemon)
        home.outbox.chmod(0o700)
        daemon.wait_for("copied", "copy.png")
        daemon.wait_for("done", "rocket.jpg")
        assert len(list(daemon.told("painting"))) == 2
        assert_whole(home.outbox / "copy", "copy.png")


def test_a_worker_that_hangs_is_replaced_and_the_painting_goes_on_from_its_checkpoint(home):
    """Twenty seconds are long enough for a step, however busy the machine is, and six times that to load torch."""
    home.configure(hang_seconds=20.0)
    home.drop(Photos.coffee)
    with home.daemon("--once") as daemon:
        in_mid_painting(daemon, "coffee.png")
        hanging = daemon.worker()
        os.kill(hanging, signal.SIGSTOP)
        died = daemon.wait_for("worker-died")
        assert "no sign of life" in died["text"]
        wait_until(lambda: not Path(f"/proc/{hanging}").exists(), "the end of the worker that hangs")
        assert daemon.ended() == 0, daemon.log
    assert "going on" in list(daemon.told("painting", "coffee.png"))[1]["text"]
    assert home.record("coffee").times.attempts == 2
    assert len(home.record("coffee").curve.total) == STEPS


def test_nothing_is_painted_into_what_an_unmounted_outbox_leaves_behind(home):
    """A bind mount stands for the share; the original, which is to be deleted, stays meanwhile."""
    home.configure(after="delete")
    share = home.folder / "share"
    share.mkdir()
    mount = shlex.join(["mount", "--bind", str(share), str(home.outbox)])
    with Apart(home, mount) as daemon:
        home.drop(Photos.cat, "cat.png")
        daemon.wait_for("removed", "cat.png")
        daemon.does(shlex.join(["umount", "-l", str(home.outbox)]))
        coffee = home.drop(Photos.coffee, "coffee.png")
        wait_until(lambda: any("not mounted" in each["text"] for each in daemon.events), daemon.log)
        assert coffee.exists()
        assert not [path for path in home.outbox.rglob("*") if not path.name.startswith(".")]
        daemon.does(mount)
        daemon.wait_for("removed", "coffee.png")
    assert sorted(path.parent.name for path in share.rglob("painting.json")) == ["cat", "coffee"]
