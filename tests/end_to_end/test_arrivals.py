"""Every way in which a photo comes into the inbox, and all that happens to the watch: none is missed or taken half."""

import contextlib
import errno
import hashlib
import io
import json
import os
import shlex
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monet_watch.ledger import JobState
from tests.end_to_end.house import Apart, DaemonProcess, Home, program, wait_until

pytestmark = pytest.mark.slow

QUICK = {"image_size": 32, "steps": 1, "save_every": 1}
EVENT_QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


def photo(number: int) -> bytes:
    """A small photo, another one for each number."""
    coarse = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((48, 40), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def painted(home: Home) -> Mapping[str, set[str]]:
    """The SHA-256 of what was painted, by the photo's name."""
    found: dict[str, set[str]] = {}
    for folder in home.records():
        facts = home.record(folder).photo
        found.setdefault(str(facts.real_path()), set()).add(facts.sha256)
    return found


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wait_for_paintings(home: Home, daemon: DaemonProcess, expected: Mapping[str, bytes]) -> None:
    """Wait until each of the photos is painted as it is, and no other, nor any of them half."""
    wanted = {name: {sha256(data)} for name, data in expected.items()}
    for name, data in expected.items():
        what = f"{name} is painted as it is\n{daemon.log}"
        wait_until(lambda name=name, data=data: sha256(data) in painted(home).get(name, ()), what)
    assert painted(home) == wanted, daemon.log


def status(home: Home) -> dict:
    done = program("status", "--config", home.config, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Arriving:
    """Ways to put photos into an inbox; ``expected`` is what is to be painted in the end."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.elsewhere = home.folder / "elsewhere"
        self.elsewhere.mkdir()
        self.expected: dict[str, bytes] = {}

    def comes(self, name: str) -> bytes:
        """Another photo, to be painted as ``name``."""
        return self.expected.setdefault(name, photo(len(self.expected)))

    def place(self, name: str) -> Path:
        place = self.home.inbox / name
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def plainly(self, name: str) -> Path:
        """Written in one go, under its own name."""
        place = self.place(name)
        place.write_bytes(self.comes(name))
        return place

    def over(self, temporary: str, name: str) -> None:
        """Written under another name beside it, and renamed; with the time of a photo from the last century."""
        beside = self.place(temporary)
        beside.write_bytes(self.comes(name))
        os.utime(beside, (1e8, 1e8))
        beside.rename(self.place(name))

    def moved(self, name: str) -> None:
        """Moved in from elsewhere on the same file system: no write, no close."""
        (self.elsewhere / "moved").write_bytes(self.comes(name))
        (self.elsewhere / "moved").rename(self.place(name))

    def linked(self, name: str) -> None:
        """A second name of a file that lies elsewhere."""
        (self.elsewhere / "linked").write_bytes(self.comes(name))
        os.link(self.elsewhere / "linked", self.place(name))

    def in_a_folder(self, *names: str) -> None:
        """Inside a folder that is moved in whole: its files have no events."""
        for name in names:
            inside = self.elsewhere / name
            inside.parent.mkdir(parents=True, exist_ok=True)
            inside.write_bytes(self.comes(name))
        (self.elsewhere / names[0].split("/")[0]).rename(self.home.inbox / names[0].split("/")[0])


# The names that the tools give to what they are still writing, beside the name that it gets.
TEMPORARIES = {
    "rsync.png": ".rsync.png.Xa3Fq9",
    "delayed.png": ".~tmp~/delayed.png",
    "kde.png": "kde.png.part",
    "samba.png": "~$samba.png",
    "nfs.png": ".nfs00000000002a4f13",
    "rclone.png": "rclone.png.5af1c3d2.partial",
    "nextcloud.png": "nextcloud.png.~2fb6a1",
    "syncthing.png": ".syncthing.syncthing.png.tmp",
    "gnome.png": ".goutputstream-4TZ3W2",
    "winscp.png": "winscp.png.filepart",
    "firefox.png": "firefox.png.crdownload",
}


def test_every_way_of_arriving_leads_to_one_painting_of_the_whole_photo(tmp_path):
    """Written in pieces with long pauses, filled late, renamed, moved, linked, in folders, with any name and time."""
    home = Home(tmp_path / "home", rescan_seconds=3600, defaults=QUICK)
    arriving = Arriving(home)
    with (home.inbox / "before.png").open("wb") as copied, (home.inbox / "pieces.png").open("wb") as pieces:
        before, after = arriving.comes("before.png"), arriving.comes("pieces.png")
        copied.write(before[: len(before) // 2])
        copied.flush()
        with home.daemon() as daemon:
            daemon.wait_for("scanned")
            pieces.write(after[: len(after) // 2])
            pieces.flush()
            placeholder = arriving.place("placeholder.png")
            placeholder.touch()
            half = arriving.place("half.png")
            half.write_bytes(photo(99)[:900])
            for name in ("before.png", "pieces.png", "half.png"):
                daemon.wait_for("waiting", name)
                wait_until(lambda name=name: "ends too early" in said(daemon, "waiting", name), f"{name} is cut off")
            unfinished = {"before.png", "pieces.png", "half.png", "placeholder.png"}
            assert {str(path) for path in home.ledger().known_paths()} >= unfinished, "none is out of sight"
            assert not painted(home).keys() & unfinished
            half.unlink()
            copied.write(before[len(before) // 2 :])
            copied.close()
            pieces.write(after[len(after) // 2 :])
            pieces.close()
            placeholder.write_bytes(arriving.comes("placeholder.png"))
            arriving.plainly("plain.png")
            arriving.moved("moved.png")
            arriving.linked("linked.png")
            arriving.in_a_folder("folder/a.png", "folder/deeper/b.png")
            for name, temporary in TEMPORARIES.items():
                arriving.over(temporary, name)
            for name in ("IMG.png", "img.png", "caf\u00e9.png", "cafe\u0301.png", "caf\udce9.png"):
                arriving.plainly(name)
            arriving.plainly("n" * 251 + ".png")
            arriving.plainly("d/" * 50 + "deep.png")
            wait_for_paintings(home, daemon, arriving.expected)
            assert "half.png" not in {str(path) for path in home.ledger().known_paths()}
            again = photo(100)
            with (home.inbox / "plain.png").open("r+b") as rewritten:
                rewritten.truncate()
                rewritten.write(again)
            wait_until(
                lambda: painted(home)["plain.png"] == {sha256(arriving.expected["plain.png"]), sha256(again)}, ""
            )
    assert daemon.returncode == 0
    assert not [path for path in home.outbox.rglob("*") if len(os.fsencode(path.name)) > 255]


def said(daemon: DaemonProcess, event: str, name: str) -> str:
    return " ".join(each["text"] for each in daemon.told(event, name))


def waiting(home: Home) -> set[str]:
    known = home.ledger().known_paths().items()
    return {str(path) for path, each in known if each.state is JobState.WAITING}


def test_without_any_events_every_photo_is_painted(tmp_path):
    home = Home(tmp_path / "home", watch="scans", rescan_seconds=1, defaults=QUICK)
    arriving = Arriving(home)
    arriving.plainly("early.png")
    with home.daemon() as daemon:
        daemon.wait_for("done", "early.png")
        arriving.plainly("late.png")
        arriving.moved("a/moved.png")
        arriving.in_a_folder("folder/a.png", "folder/b.png")
        wait_for_paintings(home, daemon, arriving.expected)
        assert status(home)["watch"]["mode"] == "scans"


def stop(daemon: DaemonProcess) -> None:
    """Stop the process, all of its threads."""
    daemon.signal(signal.SIGSTOP)

    def state(task: Path) -> str:
        return task.read_text().rpartition(")")[2].split()[0]

    wait_until(lambda: {state(task) for task in Path(f"/proc/{daemon.pid}/task").glob("*/stat")} == {"T"}, "it stops")


def test_an_overflow_of_the_systems_queue_costs_no_photo_and_no_time(tmp_path):
    """While the daemon is stopped more happens than the queue holds; the next scan would be in an hour."""
    home = Home(tmp_path / "home", rescan_seconds=3600, defaults=QUICK)
    arriving = Arriving(home)
    files = [home.write(name, "no photo") for name in ("one.txt", "two.txt")]
    with home.daemon() as daemon:
        daemon.wait_for("scanned")
        stop(daemon)
        for moment in range(int(EVENT_QUEUE.read_text()) + 1000):
            os.utime(files[moment % 2], (moment, moment))
        arriving.plainly("a.png")
        arriving.over("b.png.part", "new/b.png")
        daemon.signal(signal.SIGCONT)
        wait_for_paintings(home, daemon, arriving.expected)
        assert "everything is looked through" in " ".join(each["text"] for each in daemon.told("watching"))
        arriving.plainly("new/later.png")
        wait_for_paintings(home, daemon, arriving.expected)


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_of_twenty_thousand_photos_that_come_while_it_is_stopped_none_is_missed(tmp_path):
    home = Home(tmp_path / "home", rescan_seconds=36000, defaults=QUICK)
    names, data = {f"{number % 100}/{number}.png" for number in range(20_000)}, photo(1)
    for folder in range(100):  # watched from the start, so that each file is three events
        (home.inbox / str(folder)).mkdir()
    with home.daemon() as daemon:
        daemon.wait_for("scanned")
        stop(daemon)
        for name in names:
            home.write(name, data + name.encode())
        daemon.signal(signal.SIGCONT)

        def all_known() -> bool:
            return {str(path) for path in home.ledger().known_paths()} == names

        wait_until(all_known, "every one of them is known", limit_seconds=3000)
        assert "everything is looked through" in said(daemon, "watching", "")


# The watch.


def test_folders_beyond_the_limit_of_watches_are_polled_and_a_line_says_how_to_raise_it(tmp_path):
    home = Home(tmp_path / "home", rescan_seconds=3600, polling_seconds=0.2, defaults=QUICK)
    arriving = Arriving(home)
    for name in ("a", "b", "a/b/c"):
        (home.inbox / name).mkdir(parents=True, exist_ok=True)
    with Apart(home, "echo 2 > /proc/sys/user/max_inotify_watches") as daemon:
        daemon.wait_for("scanned")
        line = daemon.wait_for("watching", mode="events and polling")
        assert line["level"] == "warning"
        assert "sysctl fs.inotify.max_user_watches=" in line["text"]
        for name in ("x.png", "a/x.png", "b/x.png", "a/b/c/x.png", "new/x.png"):
            arriving.plainly(name)
        wait_for_paintings(home, daemon, arriving.expected)
        assert status(home)["watch"]["limited"] is True
        assert "sysctl" in program("status", "--config", home.config).stdout


def test_an_inbox_that_is_unmounted_forgets_no_photo_and_goes_on_when_it_is_mounted_again(tmp_path):
    """A bind mount stands for the share; what is left of it is an empty folder, at a restart, too."""
    home = Home(tmp_path / "home", with_style=False, defaults=QUICK)
    arriving = Arriving(home)
    share = tmp_path / "share"
    (share / "held").mkdir(parents=True)
    (share / "held/waits.png").write_bytes(arriving.comes("held/waits.png"))
    (share / "held/style.yaml").write_text("stepz: 1\n")
    mount = shlex.join(["mount", "--bind", str(share), str(home.inbox)])
    unmount = shlex.join(["umount", str(home.inbox)])
    with Apart(home, mount) as daemon:
        daemon.wait_for("waiting", "held/waits.png")
        daemon.does(unmount)
        wait_until(lambda: "not mounted" in (status(home)["watch"]["trouble"] or ""), "the status says what is away")
        assert waiting(home) == {"held/waits.png"}
    with Apart(home, "true") as daemon:
        daemon.wait_for("problem")
        assert waiting(home) == {"held/waits.png"}
        daemon.does(mount)
        daemon.wait_for("started", since=len(daemon.events))
        (share / "held/style.yaml").unlink()
        (share / "new.png").write_bytes(arriving.comes("new.png"))
        wait_for_paintings(home, daemon, arriving.expected)
        assert not list(daemon.told("removed"))


def test_a_share_that_is_mounted_below_the_inbox_is_watched_and_its_photos_wait_when_it_goes(tmp_path):
    home = Home(tmp_path / "home", rescan_seconds=3600, defaults=QUICK)
    arriving = Arriving(home)
    share = home.folder / "share"
    share.mkdir()
    (home.inbox / "nas").mkdir()
    with Apart(home, "true") as daemon:
        daemon.wait_for("scanned")
        (share / "style.yaml").write_text("stepz: 1\n")
        (share / "a.png").write_bytes(arriving.comes("nas/a.png"))
        daemon.does(shlex.join(["mount", "--bind", str(share), str(home.inbox / "nas")]))
        wait_until(lambda: "what is mounted in the inbox has changed" in said(daemon, "watching", ""), "it is noticed")
        wait_until(lambda: "stepz" in said(daemon, "waiting", "nas/a.png"), "its settings are found to be broken")
        daemon.does(shlex.join(["umount", str(home.inbox / "nas")]))
        wait_until(lambda: "not mounted" in said(daemon, "problem", "nas"), "it is told that the share is away")
        assert waiting(home) == {"nas/a.png"}
        arriving.plainly("b.png")
        daemon.wait_for("done", "b.png")
        (share / "style.yaml").unlink()
        daemon.does(shlex.join(["mount", "--bind", str(share), str(home.inbox / "nas")]))
        wait_for_paintings(home, daemon, arriving.expected)
        assert "what is mounted in the inbox has changed" in status(home)["watch"]["restarted_for"]


def listens(daemon: DaemonProcess) -> bool:
    """Whether the system tells it of changes."""
    links = []
    for file in Path(f"/proc/{daemon.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links.append(str(file.readlink()))
    return "anon_inode:inotify" in links


def test_an_inbox_that_is_taken_away_and_brought_back_is_watched_again(tmp_path):
    home = Home(tmp_path / "home", rescan_seconds=3600, defaults=QUICK)
    arriving = Arriving(home)
    arriving.plainly("held/a.png")
    (home.inbox / "held/style.yaml").write_text("stepz: 1\n")
    with home.daemon() as daemon:
        daemon.wait_for("waiting", "held/a.png")
        home.inbox.rename(home.folder / "away")
        daemon.wait_for("problem")
        wait_until(lambda: not listens(daemon), "the watch on the folder that was the inbox is left")
        (home.folder / "away/held/style.yaml").unlink()
        (home.folder / "away").rename(home.inbox)
        daemon.wait_for("done", "held/a.png")
        arriving.plainly("b.png")
        wait_for_paintings(home, daemon, arriving.expected)
        assert not list(daemon.told("removed"))
        watch = status(home)["watch"]
        assert watch["trouble"] is None
        assert "not the same folder" in watch["restarted_for"]


def test_what_is_no_ordinary_file_of_the_inbox_is_never_opened(tmp_path):
    home = Home(tmp_path / "home", rescan_seconds=1, defaults=QUICK)
    arriving = Arriving(home)
    secret = tmp_path / "secret.png"
    secret.write_bytes(photo(50))
    read_at = secret.stat().st_atime_ns
    os.mkfifo(home.inbox / "fifo.png")
    (home.inbox / "out.png").symlink_to(secret)
    (home.inbox / "device.png").symlink_to("/dev/zero")
    (home.inbox / "self.png").symlink_to("self.png")
    (home.inbox / "round").symlink_to(".")
    (home.inbox / "painted").symlink_to(home.outbox)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(home.inbox / "socket.png"))
        with home.daemon() as daemon:
            arriving.plainly("x.png")
            wait_for_paintings(home, daemon, arriving.expected)
            scans = len(list(daemon.told("scanned")))
            wait_until(lambda: len(list(daemon.told("scanned"))) > scans, "another scan")
            with pytest.raises(OSError) as refused:  # nobody reads from it
                os.open(home.inbox / "fifo.png", os.O_WRONLY | os.O_NONBLOCK)
            assert refused.value.errno == errno.ENXIO
    assert secret.stat().st_atime_ns == read_at
    assert {str(path) for path in home.ledger().known_paths()} == {"x.png"}


def test_paintings_can_never_be_taken_for_photos(tmp_path):
    """An outbox in the inbox is refused, over whatever links it is reached."""
    home = Home(tmp_path / "home")
    (home.folder / "shortcut").symlink_to(home.inbox / "painted")
    for outbox in ("inbox", "inbox/painted", "shortcut", "inbox/../inbox/painted"):
        home.configure(outbox=outbox)
        done = program("run", "--once", "--config", home.config)
        assert done.returncode == 2
        assert "would be painted again" in done.stderr + done.stdout


def test_a_photo_that_is_replaced_while_it_is_read_is_painted_as_it_is_in_the_end(tmp_path):
    """Two files take turns under one name, each whole, while the daemon settles, hashes and paints."""
    home = Home(tmp_path / "home", settle_seconds=0.01, defaults=QUICK)
    large = photo(1) + bytes(3_000_000)  # hashing it takes a while
    with home.daemon() as daemon:
        daemon.wait_for("scanned")
        for number in range(60):
            spare = home.folder / "spare.png"
            spare.write_bytes(large + str(number).encode())
            spare.rename(home.inbox / "turns.png")
        last = sha256((home.inbox / "turns.png").read_bytes())
        wait_until(lambda: last in painted(home).get("turns.png", ()), f"the last one is painted\n{daemon.log}")
    whole = {sha256(large + str(number).encode()) for number in range(60)}
    assert painted(home)["turns.png"] <= whole
