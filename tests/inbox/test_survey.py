"""What lies in the inbox is found, and read with care."""

import hashlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from queue import SimpleQueue

import pytest

from monet_watch.errors import PhotoError, PhotoTooLargeError
from monet_watch.inbox import survey as module
from monet_watch.inbox.ignore import IgnoreList, Kind, Sieve
from monet_watch.inbox.settle import FileFacts
from monet_watch.inbox.survey import (
    ChangedWhileReadError,
    Found,
    Hashed,
    HashedFile,
    HashFailed,
    InboxGone,
    InboxGoneError,
    PhotoGoneError,
    Scanned,
    Surveyor,
    Unreadable,
    UnreadablePhotoError,
    inbox_identity,
    look,
    look_at_all,
    read_photo,
    remove_photo,
    survey,
)

SIEVE = Sieve(IgnoreList(["ignored"]), lambda name: name == "style.yaml")
LIMIT = 10_000_000
WAIT_SECONDS = 20
X = PurePosixPath("x.jpg")
posix = pytest.mark.skipif(os.name != "posix", reason="these kinds of files are POSIX's")


@pytest.fixture(params=["relative to folders", "by paths"])
def root(request, tmp_path, monkeypatch):
    """An inbox, opened as on POSIX systems and as on those that cannot open relative to a folder."""
    if request.param == "by paths":
        monkeypatch.setattr(module, "_HAS_DIR_FD", False)
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def put(root: Path, path: str, data: bytes = b"photo") -> PurePosixPath:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return PurePosixPath(path)


def facts_of(path: Path) -> FileFacts:
    status = path.stat()
    return FileFacts(status.st_size, status.st_mtime_ns, status.st_ino)


def found(root: Path, sub: str = ".") -> list[str]:
    scanned = survey(root, SIEVE, PurePosixPath(sub))
    assert scanned.errors == ()
    return sorted(str(each.path) for each in scanned.found)


@contextmanager
def as_ordinary_user():
    """Permissions do not bind root, so root steps down for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_root():
    """An inbox that an ordinary user may enter, as pytest's own folders are closed to all but their owner."""
    folder = Path(tempfile.mkdtemp(prefix="inbox-"))
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


# Scanning.


def test_photos_and_settings_are_found_at_every_depth_and_nothing_else(root):
    for path in ("x.jpg", "a/y.PNG", "a/b/style.yaml", "notes.txt", ".hidden.jpg", "ignored/z.jpg", "@eaDir/t.jpg"):
        put(root, path)
    scanned = survey(root, SIEVE)
    assert sorted(scanned.found, key=lambda each: str(each.path)) == [
        Found(b"a/b/style.yaml", facts_of(root / "a/b/style.yaml"), Kind.SETTINGS),
        Found(b"a/y.PNG", facts_of(root / "a/y.PNG"), Kind.PHOTO),
        Found(b"x.jpg", facts_of(root / "x.jpg"), Kind.PHOTO),
    ]
    assert scanned.errors == ()


def test_a_scan_of_a_folder_finds_what_lies_below_it(root):
    for path in ("x.jpg", "a/y.jpg", "a/b/z.jpg", "ab/w.jpg"):
        put(root, path)
    assert found(root, "a") == ["a/b/z.jpg", "a/y.jpg"]


@pytest.mark.parametrize("sub", ["gone", "gone/deeper", "x.jpg", "ignored", "ignored/deeper", "..", "a/../..", "/etc"])
def test_a_folder_that_is_gone_ignored_or_none_of_the_inbox_holds_nothing(root, sub):
    put(root, "x.jpg")
    put(root, "ignored/deeper/y.jpg")
    put(root.parent, "outside.jpg")
    assert found(root, sub) == []


def test_an_empty_inbox_holds_nothing(root):
    assert survey(root, SIEVE) == Scanned(PurePosixPath(), ())


@posix
def test_fifos_sockets_devices_and_folders_with_photos_names_are_left_alone(root):
    os.mkfifo(root / "fifo.jpg")
    (root / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket.jpg"))
        assert found(root) == []
        for name in ("fifo.jpg", "folder.jpg", "socket.jpg"):
            assert look(root, PurePosixPath(name)) is None
            with pytest.raises(UnreadablePhotoError, match="no ordinary file"):
                read_photo(root, PurePosixPath(name), LIMIT)


@posix
def test_a_device_is_never_opened(root):
    try:
        os.mknod(root / "null.jpg", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:  # only root makes devices; a link to one says the same to everybody else
        (root / "null.jpg").symlink_to("/dev/null")
    assert found(root) == []
    assert look(root, PurePosixPath("null.jpg")) is None
    with pytest.raises(UnreadablePhotoError):
        read_photo(root, PurePosixPath("null.jpg"), LIMIT)


def test_a_symlink_to_a_file_inside_the_inbox_is_that_file(root):
    put(root, "a/x.jpg")
    (root / "b").mkdir()
    (root / "b/relative.jpg").symlink_to("../a/x.jpg")
    (root / "b/absolute.jpg").symlink_to(root / "a/x.jpg")
    (root / "b/chain.jpg").symlink_to("relative.jpg")
    assert found(root) == ["a/x.jpg", "b/absolute.jpg", "b/chain.jpg", "b/relative.jpg"]
    for name in ("relative.jpg", "absolute.jpg", "chain.jpg"):
        assert look(root, PurePosixPath("b", name)) == facts_of(root / "a/x.jpg")
        assert read_photo(root, PurePosixPath("b", name), LIMIT) == (b"photo", facts_of(root / "a/x.jpg"))


@pytest.mark.parametrize(
    "target", ["../outside.jpg", "{tmp}/outside.jpg", "a/../../outside.jpg", "hop.jpg", "/etc/passwd"]
)
def test_a_symlink_that_leads_out_of_the_inbox_is_refused(root, tmp_path, target):
    put(tmp_path, "outside.jpg")
    (root / "a").mkdir()
    (root / "hop.jpg").symlink_to("../outside.jpg")
    (root / "x.jpg").symlink_to(target.format(tmp=tmp_path))
    assert found(root) == []
    assert look(root, X) is None
    with pytest.raises(UnreadablePhotoError, match="leads out of the inbox"):
        read_photo(root, X, LIMIT)


def test_a_folder_whose_name_begins_like_the_inbox_is_outside(root):
    put(root.parent, "inbox-2/y.jpg")
    (root / "x.jpg").symlink_to("../inbox-2/y.jpg")
    assert look(root, X) is None


def test_a_symlink_that_leads_nowhere_is_no_file(root):
    (root / "x.jpg").symlink_to("gone.jpg")
    assert found(root) == []
    assert look(root, X) is None
    with pytest.raises(PhotoGoneError):
        read_photo(root, X, LIMIT)


def test_a_photo_is_removed_if_it_is_the_one_that_was_seen(root):
    put(root, "a/x.jpg")
    (root / "link.jpg").symlink_to("a/x.jpg")
    seen, path = facts_of(root / "a/x.jpg"), PurePosixPath("a/x.jpg")
    assert remove_photo(root, PurePosixPath("link.jpg"), seen)
    assert found(root) == ["a/x.jpg"]
    assert not remove_photo(root, path, seen._replace(mtime_ns=seen.mtime_ns + 1))
    assert found(root) == ["a/x.jpg"]
    assert remove_photo(root, path, seen)
    assert found(root) == []
    assert not remove_photo(root, path, seen)


def test_no_photo_is_removed_by_way_of_a_link_in_place_of_its_folder(root, tmp_path):
    put(root, "a/x.jpg")
    seen = facts_of(root / "a/x.jpg")
    (root / "a").rename(tmp_path / "outside")
    (root / "a").symlink_to(tmp_path / "outside")
    assert not remove_photo(root, PurePosixPath("a/x.jpg"), seen)
    assert (tmp_path / "outside/x.jpg").read_bytes() == b"photo"


def test_symlinks_that_lead_back_to_themselves_are_refused(root):
    (root / "x.jpg").symlink_to("y.jpg")
    (root / "y.jpg").symlink_to("x.jpg")
    (root / "self").symlink_to("self")
    assert found(root) == []
    assert look(root, X) is None
    with pytest.raises(UnreadablePhotoError, match="back to itself"):
        read_photo(root, X, LIMIT)


def test_symlinked_folders_are_never_entered(root, tmp_path):
    put(tmp_path, "outside/y.jpg")
    put(root, "a/x.jpg")
    (root / "round").symlink_to(root)
    (root / "a/round").symlink_to("..")
    (root / "out").symlink_to("../outside")
    (root / "inner").symlink_to("a")
    assert found(root) == ["a/x.jpg"]
    for sub in ("round", "out", "inner", "a/round/a"):
        assert found(root, sub) == []
    for path in ("inner/x.jpg", "out/y.jpg", "round/a/x.jpg"):
        assert look(root, PurePosixPath(path)) is None
        with pytest.raises(PhotoGoneError):
            read_photo(root, PurePosixPath(path), LIMIT)


def test_an_inbox_that_is_itself_reached_over_a_symlink_is_an_inbox(root, tmp_path):
    put(root, "a/x.jpg")
    (root / "a/y.jpg").symlink_to("x.jpg")
    (tmp_path / "link").symlink_to("inbox")
    assert found(tmp_path / "link") == ["a/x.jpg", "a/y.jpg"]
    assert read_photo(tmp_path / "link", PurePosixPath("a/y.jpg"), LIMIT)[0] == b"photo"


@pytest.mark.parametrize("path", ["../outside.jpg", "a/../../outside.jpg", "{tmp}/outside.jpg"])
def test_a_path_that_leaves_the_inbox_is_refused(root, tmp_path, path):
    put(tmp_path, "outside.jpg")
    (root / "a").mkdir()
    leaving = PurePosixPath(path.format(tmp=tmp_path))
    assert look(root, leaving) is None
    with pytest.raises(UnreadablePhotoError, match="does not lie in the inbox"):
        read_photo(root, leaving, LIMIT)


@posix
def test_a_folder_that_is_swapped_for_a_symlink_all_the_time_never_lets_a_reader_out(tmp_path):
    root = tmp_path / "inbox"
    put(root, "a/x.jpg", b"inside")
    put(tmp_path, "outside/x.jpg", b"a secret")
    (root / "link").symlink_to("../outside")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (root / "a").rename(root / "kept")
            (root / "link").rename(root / "a")
            (root / "a").rename(root / "link")
            (root / "kept").rename(root / "a")

    swapper = threading.Thread(target=swap)
    swapper.start()
    read = []
    try:
        while len(read) < 500:
            try:
                read.append(read_photo(root, PurePosixPath("a/x.jpg"), LIMIT)[0])
            except PhotoGoneError:
                assert all(each.facts.size == len(b"inside") for each in survey(root, SIEVE).found)
    finally:
        stop.set()
        swapper.join()
    assert set(read) == {b"inside"}


def test_a_name_of_255_bytes_and_fifty_levels_of_folders_are_no_matter(root):
    long = put(root, "é" * 125 + "x.jpg")
    assert len(os.fsencode(long.name)) == 255
    deep = put(root, "/".join(f"level {number}" for number in range(50)) + "/x.jpg")
    assert found(root) == sorted([str(long), str(deep)])
    assert read_photo(root, deep, LIMIT)[0] == b"photo"
    assert read_photo(root, long, LIMIT)[0] == b"photo"


def test_a_name_that_no_file_can_have_is_unreadable_not_gone(root):
    with pytest.raises(UnreadablePhotoError, match="too long"):
        look(root, PurePosixPath("x" * 300 + ".jpg"))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names must be Unicode")
def test_names_that_are_not_utf_8_come_back_as_the_same_bytes(root):
    raw = b"caf\xe9/\xff\xfe.jpg"
    (root / os.fsdecode(b"caf\xe9")).mkdir()
    Path(os.fsdecode(os.fsencode(root) + b"/" + raw)).write_bytes(b"photo")
    [photo] = survey(root, SIEVE).found
    assert os.fsencode(str(photo.path)) == raw
    assert look(root, photo.path) == photo.facts
    assert read_photo(root, photo.path, LIMIT) == (b"photo", photo.facts)


@posix
def test_names_with_newlines_backslashes_and_leading_dashes_are_names(root):
    names = ["-rf.jpg", "a\\b.jpg", "new\nline.jpg", "tab\t.jpg"]
    for name in names:
        put(root, name)
    assert found(root) == sorted(names)


@posix
def test_an_unreadable_folder_is_told_of_and_its_photos_do_not_count_as_gone(open_root):
    hidden = put(open_root, "closed/x.jpg")
    put(open_root, "open/y.jpg")
    (open_root / "closed").chmod(0)
    with as_ordinary_user():
        scanned = survey(open_root, SIEVE)
        with pytest.raises(UnreadablePhotoError, match="Permission denied"):
            look(open_root, hidden)
        with pytest.raises(UnreadablePhotoError, match="Permission denied") as refused:
            read_photo(open_root, hidden, LIMIT)
    assert [str(each.path) for each in scanned.found] == ["open/y.jpg"]
    assert scanned.errors == (Unreadable(PurePosixPath("closed"), "Permission denied"),)
    assert not scanned.covers(hidden)
    assert scanned.covers(PurePosixPath("open/gone.jpg"))
    assert not isinstance(refused.value, PhotoGoneError)


@posix
def test_a_folder_whose_files_may_be_listed_but_not_looked_at_is_told_of(open_root):
    hidden = put(open_root, "listed/x.jpg")
    (open_root / "listed").chmod(0o444)
    with as_ordinary_user():
        scanned = survey(open_root, SIEVE)
    assert scanned.found == ()
    assert not scanned.covers(hidden)


@posix
def test_a_photo_that_may_not_be_read_is_found_but_cannot_be_read(open_root):
    put(open_root, "x.jpg")
    (open_root / "x.jpg").chmod(0)
    with as_ordinary_user():
        assert [each.path for each in survey(open_root, SIEVE).found] == [X]
        with pytest.raises(UnreadablePhotoError, match=r"x\.jpg cannot be read: Permission denied\."):
            read_photo(open_root, X, LIMIT)


@posix
def test_an_inbox_that_may_not_be_read_is_gone_not_empty(open_root):
    put(open_root, "x.jpg")
    open_root.chmod(0)
    with as_ordinary_user():
        for call in (
            lambda: survey(open_root, SIEVE),
            lambda: look(open_root, X),
            lambda: read_photo(open_root, X, LIMIT),
        ):
            with pytest.raises(InboxGoneError, match="Permission denied"):
                call()


def test_a_scan_covers_what_lies_below_its_folder_only():
    scanned = Scanned(PurePosixPath("a"), (), (Unreadable(PurePosixPath("a/b"), "Permission denied"),))
    covered = [
        path
        for path in ("a/x.jpg", "a/b/x.jpg", "a/bc/x.jpg", "x.jpg", "ab/x.jpg")
        if scanned.covers(PurePosixPath(path))
    ]
    assert covered == ["a/x.jpg", "a/bc/x.jpg"]


def test_entries_that_vanish_during_the_scan_are_no_error(root):
    """A sieve is asked about each entry after it was listed, and before it is looked at."""

    class Removing(Sieve):
        def kind_inside(self, folder, name):
            (root / folder / name).unlink()
            return super().kind_inside(folder, name)

        def enters(self, folder):
            if folder.parts:
                shutil.rmtree(root / folder)
            return True

    for path in ("x.jpg", "y.jpg", "a/z.jpg", "b/c/w.jpg"):
        put(root, path)
    assert survey(root, Removing(IgnoreList(), lambda name: False)) == Scanned(PurePosixPath(), ())


def test_a_scan_that_is_given_up_ends_early(root):
    for number in range(5):
        put(root, f"{number}.jpg")
    answers = iter([False, False, True])
    assert len(survey(root, SIEVE, give_up=lambda: next(answers)).found) == 2


# An inbox that is gone.


@pytest.mark.parametrize("missing", ["gone", "x.jpg", "gone/inbox"])
def test_an_inbox_that_is_not_there_or_no_folder_is_gone(tmp_path, missing):
    put(tmp_path, "x.jpg")
    for call in (survey, lambda root, _: look(root, X), lambda root, _: read_photo(root, X, LIMIT)):
        with pytest.raises(InboxGoneError, match="nothing in it counts as deleted"):
            call(tmp_path / missing, SIEVE)


@pytest.mark.parametrize("back", [False, True], ids=["removed", "replaced"])
def test_an_inbox_that_is_removed_or_replaced_during_the_scan_is_gone_not_empty(root, back):
    class Unmounting(Sieve):
        def kind_inside(self, folder, name):
            root.rename(root.with_name("away"))
            if back:
                root.mkdir()
            return super().kind_inside(folder, name)

    put(root, "x.jpg")
    with pytest.raises(InboxGoneError):
        survey(root, Unmounting(IgnoreList(), lambda name: False))


def test_an_inbox_has_another_identity_than_the_one_that_takes_its_place(root):
    before = inbox_identity(root)
    root.rename(root.with_name("away"))
    root.mkdir()
    assert inbox_identity(root) != before
    assert inbox_identity(root.with_name("away")) == before


# Looking and reading.


def test_a_look_tells_size_modification_time_and_inode(root):
    put(root, "x.jpg", b"12345")
    os.utime(root / "x.jpg", ns=(0, 1_234_567_890))
    assert look(root, X) == FileFacts(5, 1_234_567_890, (root / "x.jpg").stat().st_ino)


@pytest.mark.parametrize("path", ["gone.jpg", "gone/x.jpg", "x.jpg/y.jpg", "."])
def test_a_look_at_what_is_no_file_shows_nothing(root, path):
    put(root, "x.jpg")
    assert look(root, PurePosixPath(path)) is None


def test_a_photo_is_read_with_its_facts(root):
    data = os.urandom(3_000_001)
    path = put(root, "a/x.jpg", data)
    assert read_photo(root, path, len(data)) == (data, facts_of(root / path))


def test_an_empty_photo_is_read_as_no_bytes(root):
    assert read_photo(root, put(root, "x.jpg", b""), 0)[0] == b""


def test_a_photo_of_more_bytes_than_the_limit_is_not_read(root):
    with pytest.raises(PhotoTooLargeError, match="1,235 bytes"):
        read_photo(root, put(root, "x.jpg", b"x" * 1235), 1234)


def test_a_photo_that_is_not_there_is_gone(root):
    with pytest.raises(PhotoGoneError, match=r"a/x\.jpg is not there"):
        read_photo(root, PurePosixPath("a/x.jpg"), LIMIT)


def test_a_reading_that_fails_is_an_error_of_the_photo(root):
    for error in (PhotoGoneError, ChangedWhileReadError, UnreadablePhotoError):
        assert issubclass(error, PhotoError)


@pytest.mark.parametrize("change", ["grows", "shrinks", "touched"])
def test_a_photo_that_changes_while_it_is_read_is_worth_nothing(root, change):
    path = put(root, "x.jpg", b"x" * 1000)
    with pytest.raises(ChangedWhileReadError), module._reading(root, path, LIMIT):
        match change:
            case "grows":
                with (root / path).open("ab") as file:
                    file.write(b"y")
            case "shrinks":
                os.truncate(root / path, 500)
            case _:
                os.utime(root / path, (1, 1))


def test_a_photo_that_another_program_writes_all_the_time_is_refused_until_it_rests(root):
    """A real writer, in another process, gives the file new content without end; each state is one byte repeated."""
    path = put(root, "x.jpg", b"\0" * 100_000)
    script = (
        "import itertools, sys\n"
        "with open(sys.argv[1], 'r+b', buffering=0) as file:\n"
        "    for number in itertools.count():\n"
        "        file.seek(0)\n"
        "        for _ in range(100): file.write(bytes([number % 256]) * 1000)\n"
        "        if number == 0: print(flush=True)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", script, str(root / path)], stdout=subprocess.PIPE)
    try:
        assert writer.stdout is not None
        writer.stdout.readline()
        refused = 0
        while refused < 3:
            try:
                read_photo(root, path, LIMIT)
            except ChangedWhileReadError:
                refused += 1
    finally:
        writer.kill()
        writer.communicate()
    assert len(set(read_photo(root, path, LIMIT)[0])) <= 2, "at rest, it is read as the writer left it"


# The thread.


@pytest.fixture
def posted():
    return SimpleQueue()


@pytest.fixture
def surveyor(root, posted):
    with Surveyor(root, SIEVE, posted.put, 1000) as surveyor:
        yield surveyor


def test_requests_are_answered_in_their_order(root, surveyor, posted):
    path = put(root, "a/x.jpg", b"12345")
    surveyor.hash(path)
    surveyor.scan()
    surveyor.scan(PurePosixPath("a"))
    file = HashedFile(path, hashlib.sha256(b"12345").hexdigest(), facts_of(root / path))
    assert posted.get(timeout=WAIT_SECONDS) == Hashed((file,))
    photo = Found(os.fsencode(path), facts_of(root / path), Kind.PHOTO)
    assert posted.get(timeout=WAIT_SECONDS) == Scanned(PurePosixPath(), (photo,))
    assert posted.get(timeout=WAIT_SECONDS) == Scanned(PurePosixPath("a"), (photo,))


def test_one_photo_and_a_scan_go_ahead_of_many_photos_that_were_to_be_hashed_before_them(root, posted):
    bulk = [put(root, f"bulk/{number:03d}.jpg", b"x") for number in range(100)]
    single = put(root, "single.jpg", b"y")
    begun, asked = threading.Event(), threading.Event()
    answers = []

    def post(message):
        answers.append(message)
        begun.set()
        assert asked.wait(WAIT_SECONDS)
        posted.put(message)

    with Surveyor(root, SIEVE, post, LIMIT) as surveyor:
        surveyor.hash(*bulk)
        assert begun.wait(WAIT_SECONDS)
        surveyor.hash(single)
        surveyor.scan(PurePosixPath("bulk"))
        asked.set()
        heard = list[PurePosixPath]()
        while len(heard) <= len(bulk):
            heard += paths_of(posted.get(timeout=WAIT_SECONDS))
    ahead = answers.index(next(each for each in answers if single in paths_of(each)))
    assert heard.index(single) < len(bulk) / 2
    assert isinstance(answers[ahead + 1], Scanned)
    assert [path for path in heard if path != single] == bulk


def paths_of(message):
    return [file.path for file in message.files] if isinstance(message, Hashed) else []


def test_a_small_file_waits_for_other_small_ones_but_for_no_large_one(root, posted):
    size = {"a.jpg": 1, "b.jpg": 2, "c.jpg": 2_000_000, "d.jpg": 3}
    paths = [put(root, name, b"x" * length) for name, length in size.items()]
    with Surveyor(root, SIEVE, posted.put, LIMIT) as surveyor:
        surveyor.hash(*paths)
        heard = [paths_of(posted.get(timeout=WAIT_SECONDS)) for _ in range(3)]
    assert heard == [paths[:2], paths[2:3], paths[3:]]


def test_the_hash_of_a_large_file_is_that_of_all_its_bytes(root, posted):
    data = os.urandom(3_000_001)
    with Surveyor(root, SIEVE, posted.put, LIMIT) as surveyor:
        surveyor.hash(put(root, "x.jpg", data))
        (file,) = posted.get(timeout=WAIT_SECONDS).files
        assert file.sha256 == hashlib.sha256(data).hexdigest()


def test_a_file_that_cannot_be_hashed_is_told_of_with_the_reason(root, surveyor, posted):
    surveyor.hash(PurePosixPath("gone.jpg"))
    surveyor.hash(put(root, "large.jpg", b"x" * 1001))
    gone, large = posted.get(timeout=WAIT_SECONDS), posted.get(timeout=WAIT_SECONDS)
    assert isinstance(gone, HashFailed)
    assert (gone.kind, gone.reason) == ("PhotoGoneError", "gone.jpg is not there.")
    assert (large.kind, large.remedy) == ("PhotoTooLargeError", "Make the file smaller.")


def test_of_many_hashes_each_is_what_it_is_alone(root, surveyor, posted):
    for name, data in (("a/1.jpg", b"one"), ("a/empty.jpg", b""), ("a/large.jpg", b"x" * 1001), ("b/3.jpg", b"three")):
        put(root, name, data)
    (root / "a" / "link.jpg").symlink_to(root / "b" / "3.jpg")
    (root / "a" / "out.jpg").symlink_to("/etc/passwd")
    os.mkfifo(root / "a" / "fifo.jpg")
    odd = ["a/large.jpg", "a/link.jpg", "a/out.jpg", "a/fifo.jpg", "a/none.jpg", "a/\0.jpg", "none/4.jpg"]
    paths = [PurePosixPath(name) for name in ("a/1.jpg", *odd, "a/empty.jpg", "b/3.jpg")]
    for path in paths:
        surveyor.hash(path)
    alone = [posted.get(timeout=WAIT_SECONDS) for _ in paths]
    surveyor.hash(*paths)
    assert [posted.get(timeout=WAIT_SECONDS) for _ in paths] == alone
    read = {str(file.path): file.sha256 for each in alone if isinstance(each, Hashed) for file in each.files}
    bytes_of = {"a/1.jpg": b"one", "a/link.jpg": b"three", "a/empty.jpg": b"", "b/3.jpg": b"three"}
    assert read == {name: hashlib.sha256(data).hexdigest() for name, data in bytes_of.items()}


def test_an_inbox_that_is_gone_is_told_of_by_scans_and_hashes(root, surveyor, posted):
    root.rename(root.with_name("away"))
    surveyor.scan()
    surveyor.hash(X)
    assert isinstance(posted.get(timeout=WAIT_SECONDS), InboxGone)
    assert isinstance(posted.get(timeout=WAIT_SECONDS), InboxGone)


def test_a_scan_that_fails_covers_nothing_and_the_thread_lives_on(root, posted):
    class Broken(Sieve):
        def kind_inside(self, folder, name):
            raise RuntimeError("a fault in the sieve")

    path = put(root, "x.jpg")
    with Surveyor(root, Broken(IgnoreList(), lambda name: False), posted.put, LIMIT) as surveyor:
        surveyor.scan()
        surveyor.hash(path)
        scanned = posted.get(timeout=WAIT_SECONDS)
        assert scanned.errors == (Unreadable(PurePosixPath(), "a fault in the sieve"),)
        assert not scanned.covers(path)
        assert isinstance(posted.get(timeout=WAIT_SECONDS), Hashed)


def test_a_look_at_many_says_of_each_what_a_look_at_it_alone_says(root):
    for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg"):
        put(root, name)
    (root / "a" / "link.jpg").symlink_to(root / "b" / "3.jpg")
    (root / "a" / "out.jpg").symlink_to("/etc/passwd")
    os.mkfifo(root / "a" / "fifo.jpg")
    names = ["a/1.jpg", "a/fifo.jpg", "a/link.jpg", "a/out.jpg", "a/none.jpg", "a/2.jpg", "b/3.jpg", "none/4.jpg"]
    paths = [PurePosixPath(name) for name in names]
    assert list(look_at_all(root, paths)) == [(path, look(root, path)) for path in paths]


def test_nothing_is_posted_after_the_end(root, posted):
    entered, leave = threading.Event(), threading.Event()

    class Slow(Sieve):
        def kind_inside(self, folder, name):
            entered.set()
            leave.wait(WAIT_SECONDS)
            return super().kind_inside(folder, name)

    put(root, "x.jpg")
    surveyor = Surveyor(root, Slow(IgnoreList(), lambda name: False), posted.put, LIMIT)
    surveyor.scan()
    surveyor.scan()
    assert entered.wait(WAIT_SECONDS)
    closer = threading.Thread(target=surveyor.close)
    closer.start()
    while not surveyor._closing.wait(WAIT_SECONDS):
        raise AssertionError("it does not close")
    leave.set()
    closer.join(WAIT_SECONDS)
    assert not closer.is_alive()
    assert posted.empty()
