"""File system events become plain messages, whatever the file system and the limits."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from watchdog.events import DirDeletedEvent, FileDeletedEvent, FileOpenedEvent

from monet_watch.inbox import watch as module
from monet_watch.inbox.survey import InboxGoneError
from monet_watch.inbox.watch import (
    FileGone,
    FileTouched,
    FolderAppeared,
    FolderGone,
    Mode,
    ScriptedWatch,
    WatchdogWatch,
    file_system_of,
    needs_polling,
)

WAIT_SECONDS = 20
POLLING_SECONDS = 0.05
X, Y = PurePosixPath("x.jpg"), PurePosixPath("y.jpg")

linux = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


def eventually(holds: Callable[[], bool], what: object = "") -> None:
    """Wait until ``holds`` is true, or fail after a time that no machine is too slow for."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"it never came to that: {what}"
        time.sleep(0.01)


class Posted(list):
    """The messages so far."""

    def come(self, *messages: object) -> None:
        eventually(lambda: all(message in self for message in messages), (messages, self))

    def settle(self, root: Path) -> None:
        """Wait until everything that happened before has been told of: messages keep their order."""
        mark = PurePosixPath(f"mark-{len(self)}-{time.monotonic_ns()}")
        (root / mark).touch()
        eventually(lambda: any(message.path == mark for message in self), self)

    def of(self, path: PurePosixPath) -> list:
        return [message for message in self if message.path == path]


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def posted():
    return Posted()


@pytest.fixture(params=[Mode.EVENTS, Mode.POLLING])
def watched(request, root, posted):
    """An inbox that is watched, in each of the modes."""
    with WatchdogWatch(root, posted.append, request.param, POLLING_SECONDS) as watch:
        assert watch.mode is request.param
        yield watch


@pytest.fixture
def by_events(root, posted):
    with WatchdogWatch(root, posted.append, Mode.EVENTS) as watch:
        yield watch


# What is told, in both modes.


def test_a_file_that_is_made_is_told_of(watched, root, posted):
    (root / "x.jpg").write_bytes(b"photo")
    eventually(lambda: bool(posted.of(X)), posted)
    assert all(isinstance(message, FileTouched) for message in posted.of(X))


def test_a_file_that_is_written_again_is_told_of(root, posted, watched):
    (root / "x.jpg").write_bytes(b"photo")
    eventually(lambda: bool(posted.of(X)), posted)
    posted.settle(root)
    before = len(posted.of(X))
    with (root / "x.jpg").open("ab") as file:
        file.write(b"more")
        file.flush()
        eventually(lambda: len(posted.of(X)) > before, posted)


def test_a_file_that_is_deleted_is_gone(watched, root, posted):
    (root / "x.jpg").write_bytes(b"photo")
    posted.come(FileTouched(X))
    (root / "x.jpg").unlink()
    posted.come(FileGone(X))


def test_a_rename_is_a_going_and_a_coming(watched, root, posted):
    (root / "x.jpg").write_bytes(b"photo")
    posted.come(FileTouched(X))
    posted.settle(root)
    (root / "x.jpg").rename(root / "y.jpg")
    posted.come(FileGone(X), FileTouched(Y))
    assert FileTouched(Y, closed=True) not in posted, "whoever renames inside the inbox may still write"


def test_a_file_that_is_moved_out_is_gone(watched, root, posted, tmp_path):
    (root / "x.jpg").write_bytes(b"photo")
    posted.come(FileTouched(X))
    (root / "x.jpg").rename(tmp_path / "x.jpg")
    posted.come(FileGone(X))


def test_a_folder_with_files_that_is_moved_in_has_appeared(watched, root, posted, tmp_path):
    (tmp_path / "album/deeper").mkdir(parents=True)
    (tmp_path / "album/deeper/x.jpg").write_bytes(b"photo")
    (tmp_path / "album").rename(root / "album")
    posted.come(FolderAppeared(PurePosixPath("album")))
    (root / "album/deeper/y.jpg").write_bytes(b"photo")
    posted.come(FileTouched(PurePosixPath("album/deeper/y.jpg")))


def test_a_folder_that_is_made_is_watched(watched, root, posted):
    (root / "a/b/c").mkdir(parents=True)
    posted.come(FolderAppeared(PurePosixPath("a")))
    (root / "a/b/c/x.jpg").write_bytes(b"photo")
    posted.come(FileTouched(PurePosixPath("a/b/c/x.jpg")))


def test_a_folder_that_is_renamed_is_gone_and_has_appeared_and_is_watched_on(watched, root, posted):
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/x.jpg").write_bytes(b"photo")
    posted.come(FolderAppeared(PurePosixPath("a")))
    posted.settle(root)
    (root / "a").rename(root / "z")
    posted.come(FolderGone(PurePosixPath("a")), FolderAppeared(PurePosixPath("z")))
    (root / "z/b/y.jpg").write_bytes(b"photo")
    posted.come(FileTouched(PurePosixPath("z/b/y.jpg")))


def test_nested_folders_that_are_made_quickly_do_not_end_the_watch(by_events, root, posted):
    """Each while watchdog comes to watch the one above. Its own warning, an error here, would end its thread."""
    for number in range(40):
        (root / f"{number}/a/b").mkdir(parents=True)
        (root / f"{number}/a/b/x.jpg").touch()
        posted.come(FileTouched(PurePosixPath(f"{number}/a/b/x.jpg")))
    assert by_events.alive()


def test_of_a_folder_that_is_renamed_the_files_are_left_to_the_scan(by_events, root, posted):
    (root / "a").mkdir()
    (root / "a/x.jpg").write_bytes(b"photo")
    posted.settle(root)
    (root / "a").rename(root / "z")
    posted.settle(root)
    assert FolderAppeared(PurePosixPath("z")) in posted
    assert posted.of(PurePosixPath("z/x.jpg")) == []


def test_a_folder_that_is_deleted_or_moved_out_is_gone(watched, root, posted, tmp_path):
    for name in ("deleted", "moved"):
        (root / name).mkdir()
        posted.come(FolderAppeared(PurePosixPath(name)))
    (root / "deleted").rmdir()
    (root / "moved").rename(tmp_path / "moved")
    posted.come(FolderGone(PurePosixPath("deleted")), FolderGone(PurePosixPath("moved")))


def test_what_was_there_before_is_not_told_of(root, posted):
    (root / "x.jpg").write_bytes(b"photo")
    for mode in (Mode.EVENTS, Mode.POLLING):
        with WatchdogWatch(root, posted.append, mode, POLLING_SECONDS):
            posted.settle(root)
    assert posted.of(X) == []


@linux
def test_names_that_are_not_utf_8_come_as_surrogate_escapes(watched, root, posted):
    raw = b"caf\xe9.jpg"
    name = PurePosixPath(os.fsdecode(raw))
    place = Path(os.fsdecode(os.fsencode(root) + b"/" + raw))
    place.write_bytes(b"photo")
    posted.come(FileTouched(name))
    assert os.fsencode(str(name)) == raw
    place.unlink()
    posted.come(FileGone(name))


@linux
def test_an_inbox_whose_own_name_is_not_utf_8_is_watched(tmp_path, posted):
    odd = tmp_path / os.fsdecode(b"in\xffbox")
    odd.mkdir()
    for mode in (Mode.EVENTS, Mode.POLLING):
        with WatchdogWatch(odd, posted.append, mode, POLLING_SECONDS):
            (odd / mode).touch()
            posted.come(FileTouched(PurePosixPath(mode)))


def test_an_inbox_that_is_reached_over_a_symlink_is_watched(root, posted, tmp_path):
    (tmp_path / "link").symlink_to("inbox")
    for mode in (Mode.EVENTS, Mode.POLLING):
        with WatchdogWatch(tmp_path / "link", posted.append, mode, POLLING_SECONDS) as watch:
            (root / mode).touch()
            posted.come(FileTouched(PurePosixPath(mode)))
            assert watch.alive()


def test_what_lies_behind_a_symlink_is_not_watched(root, posted, tmp_path):
    (tmp_path / "outside").mkdir()
    (root / "out").symlink_to("../outside")
    (root / "round").symlink_to(".")
    (root / "again").symlink_to(".")
    for mode in (Mode.EVENTS, Mode.POLLING):
        with WatchdogWatch(root, posted.append, mode, POLLING_SECONDS):
            (tmp_path / "outside" / f"{mode}.jpg").touch()
            (root / f"{mode}.jpg").touch()
            posted.settle(root)
    assert not [message for message in posted if len(message.path.parts) > 1]


# What only events can tell.


def test_a_file_is_closed_when_its_writer_has_closed_it(by_events, root, posted):
    with (root / "x.jpg").open("wb") as file:
        file.write(b"pho")
        file.flush()
        posted.come(FileTouched(X))
        posted.settle(root)
        assert FileTouched(X, closed=True) not in posted
    posted.come(FileTouched(X, closed=True))


@linux
def test_a_file_that_is_moved_in_comes_closed(by_events, root, posted, tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"photo")
    (tmp_path / "x.jpg").rename(root / "x.jpg")
    posted.come(FileTouched(X, closed=True))


def test_reading_a_file_is_nothing_to_tell(by_events, root, posted):
    (root / "x.jpg").write_bytes(b"photo")
    posted.settle(root)
    before = len(posted.of(X))
    (root / "x.jpg").read_bytes()
    posted.settle(root)
    assert len(posted.of(X)) == before


def test_a_file_that_is_touched_or_made_readable_is_told_of(by_events, root, posted):
    (root / "x.jpg").write_bytes(b"photo")
    posted.settle(root)
    for change in (lambda: os.utime(root / "x.jpg", (1, 1)), lambda: (root / "x.jpg").chmod(0o600)):
        before = len(posted.of(X))
        change()
        eventually(lambda before=before: len(posted.of(X)) > before, posted)


@linux
def test_a_folder_that_was_moved_out_says_nothing_about_the_one_that_took_its_name(by_events, root, posted, tmp_path):
    (root / "a").mkdir()
    (root / "a/x.jpg").write_bytes(b"photo")
    posted.settle(root)
    (root / "a").rename(tmp_path / "a")
    posted.come(FolderGone(PurePosixPath("a")))
    (root / "a").mkdir()
    (root / "a/x.jpg").write_bytes(b"photo")
    posted.settle(root)
    (tmp_path / "a/x.jpg").unlink()
    posted.settle(root)
    assert FileGone(PurePosixPath("a/x.jpg")) not in posted


def test_a_hundred_files_that_come_and_go_are_all_told_of(by_events, root, posted):
    paths = [PurePosixPath(f"{number}.jpg") for number in range(100)]
    for path in paths:
        (root / path).write_bytes(b"photo")
    for path in paths:
        (root / path).unlink()
    posted.come(*(FileGone(path) for path in paths))


# Life and death.


def test_a_watch_lives_from_its_beginning_to_its_end(root, posted):
    watch = WatchdogWatch(root, posted.append, Mode.EVENTS)
    assert not watch.alive()
    with watch:
        assert watch.alive()
    assert not watch.alive()
    with watch:
        assert watch.alive(), "it can be entered again"


def test_no_thread_is_left_at_the_end(root, posted):
    before = set(threading.enumerate())
    for mode in (Mode.EVENTS, Mode.POLLING):
        with WatchdogWatch(root, posted.append, mode, 3600):
            assert set(threading.enumerate()) > before
        eventually(lambda: set(threading.enumerate()) <= before, threading.enumerate)


def test_a_watch_is_dead_when_the_inbox_is_removed(watched, root):
    root.rmdir()
    eventually(lambda: not watched.alive())


def test_a_watch_is_dead_when_the_inbox_is_renamed_or_replaced(watched, root):
    root.rename(root.with_name("away"))
    eventually(lambda: not watched.alive())
    root.mkdir()
    assert not watched.alive()


def test_nothing_counts_as_gone_when_the_inbox_itself_is_gone(watched, root, posted):
    (root / "x.jpg").write_bytes(b"photo")
    (root / "a").mkdir()
    posted.come(FileTouched(X), FolderAppeared(PurePosixPath("a")))
    root.rename(root.with_name("away"))
    root.mkdir()
    (root.with_name("away") / "x.jpg").unlink()
    (root.with_name("away") / "a").rmdir()
    eventually(lambda: not watched.alive())
    # A photo's going is told of, if at all, with the next poll or event; let one pass that is known to be told of.
    with WatchdogWatch(root, posted.append, watched.mode, POLLING_SECONDS):
        posted.settle(root)
    assert not [message for message in posted if isinstance(message, FileGone | FolderGone)]


def test_a_watch_is_dead_when_its_observer_is(watched):
    watched._running._observer.stop()
    eventually(lambda: not watched.alive())


def test_a_watch_is_dead_when_one_of_its_emitters_is(watched):
    [emitter] = watched._running._observer.emitters
    emitter.stop()
    eventually(lambda: not watched.alive())


def test_a_post_that_fails_ends_no_thread_but_the_watch_counts_as_dead(root):
    told = []

    def refuse(message):
        told.append(message)
        raise RuntimeError("the mailbox is closed")

    with WatchdogWatch(root, refuse, Mode.EVENTS) as watch:
        (root / "x.jpg").touch()
        eventually(lambda: not watch.alive())
        so_far = len(told)
        (root / "y.jpg").touch()
        eventually(lambda: len(told) > so_far)


@pytest.mark.parametrize("missing", ["gone", "file"])
@pytest.mark.parametrize("mode", list(Mode))
def test_an_inbox_that_is_not_there_cannot_be_watched(tmp_path, posted, mode, missing):
    (tmp_path / "file").touch()
    with pytest.raises(InboxGoneError), WatchdogWatch(tmp_path / missing, posted.append, mode):
        pass


def test_events_of_the_inbox_itself_and_of_places_outside_are_dropped(root, posted, tmp_path):
    translator = module._Translator(module._Home(root), posted.append)
    for event in (
        DirDeletedEvent(str(root)),
        FileDeletedEvent(str(tmp_path / "x.jpg")),
        FileDeletedEvent(str(tmp_path / "inbox-2/x.jpg")),
        FileDeletedEvent(""),
        FileOpenedEvent(str(root / "x.jpg")),
        FileDeletedEvent(os.fsencode(root / "x.jpg")),
    ):
        translator.dispatch(event)
    assert posted == [FileGone(X)]
    assert not translator.failed


# Which way to watch.


MOUNTS = r"""
21 27 0:20 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
30 27 0:40 / /mnt/nas rw,relatime shared:2 master:7 - nfs4 nas:/export rw,vers=4.2
31 30 8:1 /photos /mnt/nas/local rw - xfs /dev/sda1 rw
32 27 0:41 / /mnt/Photos\040and\040Films rw - cifs //nas/photos rw
33 27 0:42 / /mnt/tab\011new\012line\134back\043hash rw - fuse.sshfs me@host: rw
34 27 254:0 /home/me/pictures /srv/bound rw shared:1 - ext4 /dev/vda rw
35 27 0:40 /export/sub /srv/from-nas rw - nfs4 nas:/export rw
36 27 0:50 / /mnt/auto rw - autofs systemd-1 rw,fd=51
37 36 0:51 / /mnt/auto rw - nfs nas:/auto rw
38 27 0:52 / /mnt/hidden/below rw - nfs nas:/hidden rw
39 27 8:2 / /mnt/hidden rw - btrfs /dev/sdb rw
40 27 0:53 / /mnt/optional rw - 9p share rw
a line that is none
"""


@pytest.mark.parametrize(
    ("path", "file_system"),
    [
        ("/", "ext4"),
        ("/home/me/inbox", "ext4"),
        ("/mnt", "ext4"),
        ("/mnt/nas", "nfs4"),
        ("/mnt/nas/a/b", "nfs4"),
        ("/mnt/nas-2", "ext4"),
        ("/mnt/nas/local/inbox", "xfs"),
        ("/mnt/Photos and Films/inbox", "cifs"),
        ("/mnt/tab\tnew\nline\\back#hash", "fuse.sshfs"),
        ("/srv/bound/inbox", "ext4"),
        ("/srv/from-nas/inbox", "nfs4"),
        ("/mnt/auto/inbox", "nfs"),
        ("/mnt/hidden/below/inbox", "btrfs"),
        ("/mnt/optional", "9p"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_the_mount_it_is_reached_through(path, file_system):
    assert file_system_of(PurePosixPath(path), MOUNTS) == file_system
    shuffled = "\n".join(reversed(MOUNTS.split("\n")))
    assert file_system_of(PurePosixPath(path), shuffled) == file_system


def test_the_file_system_is_found_where_the_topmost_mount_is_its_own_parent_or_out_of_sight():
    assert file_system_of(PurePosixPath("/a"), "1 1 0:1 / / rw - rootfs rootfs rw") == "rootfs"
    assert file_system_of(PurePosixPath("/data/a"), "9 5 0:1 / /data rw - nfs nas:/ rw") == "nfs"


@pytest.mark.parametrize("mountinfo", ["", "\n", "nonsense", "21 27 0:20 / /proc rw - proc proc rw"])
def test_a_file_system_that_cannot_be_told_is_nameless(mountinfo):
    assert file_system_of(PurePosixPath("/home"), mountinfo) == ""


@linux
def test_the_file_system_of_a_real_folder_is_what_the_system_says(root):
    said = subprocess.run(["stat", "-f", "-c", "%T", "/proc"], capture_output=True, text=True, check=True).stdout
    assert file_system_of(PurePosixPath("/proc"), Path("/proc/self/mountinfo").read_text()) == said.strip() == "proc"


@pytest.mark.parametrize(
    "file_system",
    [
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse", "fuse.sshfs", "fuse.rclone", "9p", "afs"),
        *("ceph", "glusterfs", "virtiofs", "vboxsf", "drvfs", "prl_fs"),
    ],
)
def test_file_systems_that_others_change_unseen_are_polled(file_system):
    assert needs_polling(file_system)


@pytest.mark.parametrize("file_system", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "vfat", ""])
def test_file_systems_of_this_machine_have_events(file_system):
    assert not needs_polling(file_system)


@pytest.mark.parametrize(("kind", "mode"), [("nfs4", Mode.POLLING), ("ext4", Mode.EVENTS)])
def test_the_file_system_decides_unless_the_settings_do(root, posted, tmp_path, monkeypatch, kind, mode):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"27 1 254:0 / / rw - ext4 /dev/vda rw\n28 27 0:9 / {root} rw - {kind} x rw\n")
    monkeypatch.setattr(module, "_MOUNTS", mounts)
    with WatchdogWatch(root, posted.append, Mode.AUTO, POLLING_SECONDS) as watch:
        assert watch.mode is mode
        assert kind in watch.reason or mode is Mode.EVENTS
        (root / "x.jpg").touch()
        posted.come(FileTouched(X))
    for asked in (Mode.EVENTS, Mode.POLLING):
        with WatchdogWatch(root, posted.append, asked, POLLING_SECONDS) as watch:
            assert watch.mode is asked
            assert watch.reason == "The settings ask for it."


@linux
def test_a_system_without_mountinfo_has_events(root, posted, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MOUNTS", tmp_path / "gone")
    with WatchdogWatch(root, posted.append) as watch:
        assert watch.mode is Mode.EVENTS


# A system that refuses.


SCRIPT = """
import sys, time
from pathlib import Path
from monet_watch.errors import MonetWatchError
from monet_watch.inbox.watch import Mode, WatchdogWatch
posted = []
root = Path(sys.argv[1])
try:
    with WatchdogWatch(root, posted.append, Mode(sys.argv[2]), 0.05) as watch:
        (root / "x.jpg").write_bytes(b"photo")
        end = time.monotonic() + 20
        while not posted and time.monotonic() < end:
            time.sleep(0.01)
        print(watch.mode, watch.alive(), posted[0].path, watch.reason, sep="|")
except MonetWatchError as error:
    print(type(error).__name__, error, sep="|")
"""


def in_a_system_with(limit: str, value: int, root: Path, mode: Mode) -> list[str]:
    """What a watch says in a real process whose inotify limit is ``value``, in a user namespace of its own."""
    limited = f'echo {value} > /proc/sys/user/{limit} && exec "$0" -W error -c "$1" "$2" "$3"'
    command = ["unshare", "-Ur", "sh", "-c", limited, sys.executable, SCRIPT, str(root), mode]
    here = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, env=here, timeout=120)
    assert done.returncode == 0, f"this machine must permit user namespaces (unshare -Ur) for this test: {done.stderr}"
    return done.stdout.strip().split("|")


@linux
@pytest.mark.parametrize("watches", [0, 1, 2])
def test_when_the_limit_of_watches_is_reached_the_inbox_is_polled_and_the_reason_tells_how_to_raise_it(root, watches):
    for name in ("a", "b", "c"):
        (root / name).mkdir()
    mode, alive, path, reason = in_a_system_with("max_inotify_watches", watches, root, Mode.AUTO)
    assert (mode, alive, path) == ("polling", "True", "x.jpg")
    assert "sysctl fs.inotify.max_user_watches" in reason


@linux
def test_when_the_limit_of_instances_is_reached_the_inbox_is_polled(root):
    mode, alive, path, reason = in_a_system_with("max_inotify_instances", 0, root, Mode.AUTO)
    assert (mode, alive, path) == ("polling", "True", "x.jpg")
    assert "sysctl fs.inotify.max_user_instances" in reason


@linux
def test_one_instance_and_enough_watches_are_enough(root):
    assert in_a_system_with("max_inotify_instances", 1, root, Mode.AUTO)[0] == "events"
    (root / "x.jpg").unlink()
    assert in_a_system_with("max_inotify_watches", 10, root, Mode.AUTO)[0] == "events"


@linux
def test_events_that_are_asked_for_and_refused_are_an_error_that_says_why(root):
    name, text = in_a_system_with("max_inotify_watches", 0, root, Mode.EVENTS)
    assert name == "WatchRefusedError"
    assert "fs.inotify.max_user_watches" in text
    assert "watch: auto" in text


@linux
@pytest.mark.parametrize(
    ("asked", "got"), [(Mode.AUTO, "polling"), (Mode.POLLING, "polling"), (Mode.EVENTS, "WatchRefusedError")]
)
def test_folders_nested_deeper_than_the_stack_do_not_end_the_watch(root, asked, got):
    """With a third of Python's usual stack, so that the folders are made and removed quickly."""
    root.joinpath(*["d"] * 400).mkdir(parents=True)
    script = SCRIPT.replace("posted = []", "posted = []\nsys.setrecursionlimit(330)")
    command = [sys.executable, "-W", "error", "-c", script, str(root), asked]
    here = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, env=here, timeout=120, check=True)
    said = done.stdout.strip().split("|")
    assert said[0] == got
    assert said[1:3] == ["True", "x.jpg"] or "nested too deep" in said[1]


# The twin for tests.


def test_a_scripted_watch_posts_what_it_is_told_while_it_lives(posted):
    watch = ScriptedWatch(posted.append, Mode.POLLING, "because")
    watch.say(FileTouched(X))
    assert (watch.alive(), posted) == (False, [])
    with watch:
        watch.say(FileTouched(X), FileGone(X))
        assert (watch.alive(), watch.mode, watch.reason) == (True, Mode.POLLING, "because")
        watch.die()
        watch.say(FileTouched(Y))
        assert not watch.alive()
    assert posted == [FileTouched(X), FileGone(X)]
