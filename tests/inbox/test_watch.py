"""File system events become plain messages, whatever the file system and the limits."""

import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest
from watchdog.events import DirDeletedEvent, FileDeletedEvent, FileOpenedEvent

from monet_watch.inbox import mounts
from monet_watch.inbox import watch as module
from monet_watch.inbox.hints import EventsLost, FileGone, FileTouched, FolderAppeared, FolderGone
from monet_watch.inbox.home import Home
from monet_watch.inbox.survey import InboxGoneError
from monet_watch.inbox.watch import Mode, ScriptedWatch, WatchdogWatch

WAIT_SECONDS = 20
POLLING_SECONDS = 0.05
INBOX = PurePosixPath()
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
        eventually(lambda: any(message.path == mark for message in self if message != EventsLost()), self)

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


@contextmanager
def watching(root: Path, posted: Posted, mode: Mode) -> Iterator[WatchdogWatch]:
    """A watch that has begun: what is polled tells of changes from its first look on."""
    with WatchdogWatch(root, posted.append, mode, POLLING_SECONDS) as watch:
        assert watch.mode is mode
        if mode is Mode.POLLING:
            posted.come(FolderAppeared(INBOX))
            posted.clear()
        yield watch


@pytest.fixture(params=["events", "polling", "another system"])
def watched(request, root, posted, monkeypatch):
    """An inbox that is watched, in each of the modes, and as on a system whose events watchdog knows best."""
    monkeypatch.setattr(module, "_HAS_INOTIFY", request.param == "events")
    mode = Mode.POLLING if request.param == "polling" else Mode.EVENTS
    with warnings.catch_warnings(), watching(root, posted, mode) as watch:
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)  # watchdog's own, of inotify alone
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
    posted.settle(root)  # a file made before its folder is watched is found by the scan of a folder above it
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


def test_folders_that_are_made_quickly_in_one_another_are_all_watched(by_events, root, posted):
    """Each while the one above it is about to be watched: what was made before that, the scan of the topmost finds."""
    for number in range(40):
        (root / f"{number}/a/b").mkdir(parents=True)
        (root / f"{number}/a/b/x.jpg").touch()
        posted.settle(root)
        assert FolderAppeared(PurePosixPath(str(number))) in posted
        (root / f"{number}/a/b/y.jpg").touch()
        posted.come(FileTouched(PurePosixPath(f"{number}/a/b/y.jpg")))
    assert not by_events.trouble()


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
        with watching(root, posted, mode):
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
        with watching(odd, posted, mode):
            (odd / mode).touch()
            posted.come(FileTouched(PurePosixPath(mode)))


def test_an_inbox_that_is_reached_over_a_symlink_is_watched(root, posted, tmp_path):
    (tmp_path / "link").symlink_to("inbox")
    for mode in (Mode.EVENTS, Mode.POLLING):
        with watching(tmp_path / "link", posted, mode) as watch:
            (root / mode).touch()
            posted.come(FileTouched(PurePosixPath(mode)))
            assert not watch.trouble()


def test_what_lies_behind_a_symlink_is_not_watched(root, posted, tmp_path):
    (tmp_path / "outside").mkdir()
    (root / "out").symlink_to("../outside")
    (root / "round").symlink_to(".")
    (root / "again").symlink_to(".")
    for mode in (Mode.EVENTS, Mode.POLLING):
        with watching(root, posted, mode):
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


@linux
def test_a_folder_that_takes_the_name_of_one_which_was_moved_into_a_new_folder_is_watched(root, posted):
    """The new folder is looked into, and the moved one found there, before it is told that this has gone."""
    begun, moved = threading.Event(), threading.Event()

    def post(message: object) -> None:
        posted.append(message)
        begun.set()
        moved.wait()

    (root / "camera/a").mkdir(parents=True)
    with WatchdogWatch(root, post, Mode.EVENTS):
        (root / "x.jpg").touch()
        begun.wait()
        (root / "today").mkdir()
        (root / "camera/a").rename(root / "today/a")
        moved.set()
        posted.come(FolderGone(PurePosixPath("camera/a")))
        (root / "camera/a").mkdir()
        posted.come(FolderAppeared(PurePosixPath("camera/a")))
        for path in (PurePosixPath("camera/a/x.jpg"), PurePosixPath("today/a/x.jpg")):
            (root / path).touch()
            eventually(lambda path=path: bool(posted.of(path)), posted)


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
    assert watch.trouble()
    with watch:
        assert not watch.trouble()
    assert watch.trouble()
    with watch:
        assert not watch.trouble(), "it can be entered again"


def test_no_thread_is_left_at_the_end(root, posted):
    before = set(threading.enumerate())
    for mode in (Mode.EVENTS, Mode.POLLING):
        with WatchdogWatch(root, posted.append, mode, 3600):
            assert set(threading.enumerate()) > before
        eventually(lambda: set(threading.enumerate()) <= before, threading.enumerate)


def test_a_watch_is_dead_when_the_inbox_is_removed(watched, root):
    root.rmdir()
    eventually(lambda: bool(watched.trouble()))


def test_a_watch_is_dead_when_the_inbox_is_renamed_or_replaced(watched, root):
    root.rename(root.with_name("away"))
    eventually(lambda: bool(watched.trouble()))
    root.mkdir()
    assert watched.trouble()


def test_nothing_counts_as_gone_when_the_inbox_itself_is_gone(watched, root, posted):
    (root / "x.jpg").write_bytes(b"photo")
    (root / "a").mkdir()
    posted.come(FileTouched(X), FolderAppeared(PurePosixPath("a")))
    root.rename(root.with_name("away"))
    root.mkdir()
    (root.with_name("away") / "x.jpg").unlink()
    (root.with_name("away") / "a").rmdir()
    eventually(lambda: bool(watched.trouble()))
    # A photo's going is told of, if at all, with the next poll or event; let one pass that is known to be told of.
    with watching(root, posted, watched.mode):
        posted.settle(root)
    assert not [message for message in posted if isinstance(message, FileGone | FolderGone)]


def test_a_watch_is_dead_when_one_of_its_threads_is(watched):
    for thread in module._watchdog_threads():
        thread.stop()
    if watched.mode is Mode.POLLING:
        watched._running._poller.stop()
    eventually(lambda: "has ended" in watched.trouble())


@pytest.mark.parametrize("mode", [Mode.EVENTS, Mode.POLLING])
def test_the_trouble_says_what_the_matter_is(root, posted, mode):
    with watching(root, posted, mode) as watch:
        root.rename(root.with_name("away"))
        assert "the inbox is not there, or is not the same folder" in watch.trouble()


def test_a_post_that_fails_ends_no_thread_but_the_watch_counts_as_dead(root):
    told = []

    def refuse(message):
        told.append(message)
        raise RuntimeError("the mailbox is closed")

    with WatchdogWatch(root, refuse, Mode.EVENTS) as watch:
        (root / "x.jpg").touch()
        eventually(lambda: bool(watch.trouble()))
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
    translator = module._Translator(Home(root), posted.append)
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


@pytest.mark.parametrize(("kind", "mode"), [("nfs4", Mode.POLLING), ("ext4", Mode.EVENTS)])
def test_the_file_system_decides_unless_the_settings_do(root, posted, says, kind, mode):
    says(f"27 1 254:0 / / rw - ext4 /dev/vda rw\n28 27 0:9 / {root} rw - {kind} x rw\n")
    with WatchdogWatch(root, posted.append, Mode.AUTO, POLLING_SECONDS) as watch:
        assert watch.mode is mode
        assert kind in watch.reason or mode is Mode.EVENTS
        posted.come(*[FolderAppeared(INBOX)] if mode is Mode.POLLING else [])
        (root / "x.jpg").touch()
        posted.come(FileTouched(X))
    for asked in (Mode.EVENTS, Mode.POLLING):
        with WatchdogWatch(root, posted.append, asked, POLLING_SECONDS) as watch:
            assert watch.mode is asked
            assert watch.reason == "The settings ask for it."


@linux
def test_a_system_without_mountinfo_has_events(root, posted, tmp_path, monkeypatch):
    monkeypatch.setattr(mounts, "_MOUNTINFO", tmp_path / "gone")
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
        for place in sys.argv[3:]:
            end = time.monotonic() + 20
            while not any(str(message.path) == place for message in posted) and time.monotonic() < end:
                (root / place).write_text(str(time.monotonic()))
                time.sleep(0.01)
        told = {str(message.path) for message in posted}
        print(watch.mode, not watch.trouble(), sorted(told & {*sys.argv[3:]}), watch.reason, sep="|")
except MonetWatchError as error:
    print(type(error).__name__, error, sep="|")
"""


def said_by(root: Path, mode: Mode, *places: str, before: str = "true", script: str = SCRIPT) -> list[str]:
    """What a watch says in a real process that is alone in a user namespace, after the shell's command ``before``."""
    command = ["unshare", "-Urm", "sh", "-c", f'{before} && exec "$0" -W error -c "$@"', sys.executable, script]
    here = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[2])}
    told = subprocess.run([*command, root, mode, *places], capture_output=True, text=True, env=here, timeout=120)
    assert told.returncode == 0, f"this machine must permit user namespaces (unshare -Urm) for this test: {told.stderr}"
    return told.stdout.strip().split("|")


def limit(name: str, value: int) -> str:
    return f"echo {value} > /proc/sys/user/{name}"


@linux
def test_when_there_is_not_one_watch_the_inbox_is_polled_and_the_reason_tells_how_to_raise_the_limit(root):
    said = said_by(root, Mode.AUTO, "x.jpg", before=limit("max_inotify_watches", 0))
    assert said[:3] == ["polling", "True", "['x.jpg']"]
    assert "sysctl fs.inotify.max_user_watches" in said[3]


@linux
@pytest.mark.parametrize("watches", [1, 3, 6])
def test_beyond_the_limit_of_watches_folders_are_polled_and_the_reason_counts_them(root, watches):
    """Six folders and the inbox; those further up are watched first, and none is left out."""
    places = ["x.jpg", *(f"{name}/x.jpg" for name in ("a", "b", "c", "a/d", "b/d", "c/d"))]
    for place in places:
        (root / place).parent.mkdir(exist_ok=True)
    mode, alive, told, reason = said_by(root, Mode.AUTO, *places, before=limit("max_inotify_watches", watches))
    assert (mode, alive, told) == ("events and polling", "True", str(sorted(places)))
    assert f"{watches} folders are watched by events; " in reason
    assert "are looked through every 0.05 s instead" in reason
    assert "raise it with sysctl fs.inotify.max_user_watches" in reason


@linux
def test_a_folder_that_is_made_when_the_limit_is_reached_is_polled(root):
    script = SCRIPT.replace("        for place", "        (root / 'late').mkdir()\n        for place")
    said = said_by(root, Mode.AUTO, "late/x.jpg", before=limit("max_inotify_watches", 1), script=script)
    assert said[:3] == ["events and polling", "True", "['late/x.jpg']"]
    assert "1 folders are watched by events; 1 more" in said[3]


@linux
def test_when_the_limit_of_instances_is_reached_the_inbox_is_polled(root):
    said = said_by(root, Mode.AUTO, "x.jpg", before=limit("max_inotify_instances", 0))
    assert said[:3] == ["polling", "True", "['x.jpg']"]
    assert "sysctl fs.inotify.max_user_instances" in said[3]


@linux
def test_one_instance_and_a_watch_for_each_folder_are_enough(root):
    (root / "a/b").mkdir(parents=True)
    assert said_by(root, Mode.AUTO, "a/b/x.jpg", before=limit("max_inotify_instances", 1))[0] == "events"
    assert said_by(root, Mode.AUTO, "a/b/x.jpg", before=limit("max_inotify_watches", 3))[0] == "events"


@linux
def test_events_that_are_asked_for_and_refused_are_an_error_that_says_why(root):
    name, text = said_by(root, Mode.EVENTS, before=limit("max_inotify_watches", 0))
    assert name == "WatchRefusedError"
    assert "fs.inotify.max_user_watches" in text
    assert "watch: auto" in text


@linux
@pytest.mark.parametrize("mode", [Mode.EVENTS, Mode.POLLING])
def test_folders_nested_deeper_than_the_stack_are_watched_to_the_bottom(root, mode):
    """With a third of Python's usual stack, so that the folders are made and removed quickly."""
    deep = "/".join(["d"] * 400)
    (root / deep).mkdir(parents=True)
    script = SCRIPT.replace("posted = []", "posted = []\nsys.setrecursionlimit(330)")
    assert said_by(root, mode, f"{deep}/x.jpg", script=script)[:3] == [mode, "True", f"['{deep}/x.jpg']"]


# More at once than the system remembers.


@linux
def test_events_that_the_system_has_dropped_are_told_of_and_what_is_there_by_then_is_watched(root, posted, tmp_path):
    """The thread that reads is held up while more happens than Linux's queue holds (max_queued_events)."""
    let_go = threading.Event()

    def hold_up(message):
        posted.append(message)
        let_go.wait(WAIT_SECONDS)

    (root / "one").touch()
    (root / "two").touch()
    (root / "moved/out").mkdir(parents=True)
    with WatchdogWatch(root, hold_up, Mode.EVENTS) as watch:
        (root / "first").touch()
        eventually(lambda: bool(posted))
        for moment in range(int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())):
            os.utime(root / ("one", "two")[moment % 2], (moment, moment))
        (root / "a/b").mkdir(parents=True)
        (root / "moved").rename(tmp_path / "moved")
        let_go.set()
        posted.come(EventsLost())
        (root / "a/b/x.jpg").touch()
        posted.come(FileTouched(PurePosixPath("a/b/x.jpg")))
        (tmp_path / "moved/out/x.jpg").touch()
        posted.settle(root)
        assert not [message for message in posted if message != EventsLost() and "moved" in message.path.parts]
        assert watch._running._events.folders == 3
        assert not watch.trouble()


# Mounts below the inbox.


def mounted(root: Path, *below: tuple[str, str]) -> str:
    lines = [
        f"{number} 27 0:{number} / {root / name} rw - {kind} x rw" for number, (name, kind) in enumerate(below, 30)
    ]
    return "\n".join(["27 1 254:0 / / rw - ext4 /dev/vda rw", *lines])


@pytest.fixture
def says(monkeypatch, tmp_path):
    """A function that makes the system say what is mounted."""
    place = tmp_path / "mountinfo"
    monkeypatch.setattr(mounts, "_MOUNTINFO", place)
    return place.write_text


@linux
def test_network_mounts_below_the_inbox_are_polled_and_the_rest_has_events(root, posted, says):
    for name in ("local", "nas/deep", "nas/disk"):
        (root / name).mkdir(parents=True)
    says(mounted(root, ("nas", "nfs4")) + f"\n31 30 0:31 / {root}/nas/disk rw - ext4 x rw")
    with WatchdogWatch(root, posted.append, Mode.AUTO, POLLING_SECONDS) as watch:
        assert watch.mode is Mode.MIXED
        assert "But nas lies on nfs4, where changes made elsewhere cause no events." in watch.reason
        assert not watch.limited
        posted.come(FolderAppeared(PurePosixPath("nas")))
        for place, closed in (("local/x.jpg", True), ("nas/disk/x.jpg", True), ("nas/deep/x.jpg", False)):
            (root / place).write_bytes(b"photo")
            posted.come(FileTouched(PurePosixPath(place), closed))  # only events tell of closing
        assert FileTouched(PurePosixPath("nas/deep/x.jpg"), closed=True) not in posted


@linux
def test_a_share_that_is_mounted_or_unmounted_below_the_inbox_ends_the_watch_so_that_another_one_suits_it(
    root, posted, says
):
    (root / "nas").mkdir()
    says(mounted(root))
    with WatchdogWatch(root, posted.append, Mode.AUTO, POLLING_SECONDS) as watch:
        says(mounted(root) + "\n99 27 0:99 / /elsewhere rw - nfs4 x rw")
        assert not watch.trouble()
        says(mounted(root, ("nas", "nfs4")))
        for _ in range(2):
            assert "what is mounted in the inbox has changed" in watch.trouble(), "however often it is asked"


def test_folders_without_interest_are_not_watched(root, posted):
    (root / "skipped").mkdir()
    for mode in (Mode.EVENTS, Mode.POLLING):
        watch = WatchdogWatch(root, posted.append, mode, POLLING_SECONDS, lambda folder: folder.name != "skipped")
        with watch:
            posted.come(*[FolderAppeared(INBOX)] if mode is Mode.POLLING else [])
            (root / "skipped" / mode).touch()
            posted.settle(root)
    assert not any("skipped" in message.path.parts for message in posted)


def test_scans_alone_can_be_asked_for(root, posted):
    with WatchdogWatch(root, posted.append, Mode.SCANS) as watch:
        assert (watch.mode, watch.reason, watch.trouble()) == (Mode.SCANS, "The settings ask for it.", "")
        root.rename(root.with_name("away"))
        assert watch.trouble()


# The twin for tests.


def test_a_scripted_watch_posts_what_it_is_told_while_it_lives(posted):
    watch = ScriptedWatch(posted.append, Mode.POLLING, "because")
    watch.say(FileTouched(X))
    assert (bool(watch.trouble()), posted) == (True, [])
    with watch:
        watch.say(FileTouched(X), FileGone(X))
        assert (watch.trouble(), watch.mode, watch.reason) == ("", Mode.POLLING, "because")
        watch.die()
        watch.say(FileTouched(Y))
        assert watch.trouble()
    assert posted == [FileTouched(X), FileGone(X)]
