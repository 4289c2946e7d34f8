"""What is a photo, what is settings, and what is left alone."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monet_watch.inbox.ignore import PHOTO_SUFFIXES, IgnoreList, Kind, Sieve, is_photo_name

names = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=20).filter(lambda name: name != ".")
paths = st.lists(names, min_size=1, max_size=5).map(lambda parts: PurePosixPath(*parts))


def ignores(path: str, *globs: str) -> bool:
    return IgnoreList(globs).ignores(PurePosixPath(path))


def sieve(*globs: str) -> Sieve:
    return Sieve(IgnoreList(globs), lambda name: name.lower() in ("style.yaml", "style.jpg"))


@pytest.mark.parametrize("name", ["a.jpg", "A.JPG", "IMG 1.HeIc", "x.y.webp", "ü.avif", "bad\udcff.png"])
def test_a_file_is_a_photo_by_its_suffix_in_any_case(name):
    assert is_photo_name(name)


@pytest.mark.parametrize("name", ["notes.txt", "jpg", ".jpg", "a.jpg ", "film.mp4", "a.jpg.part", "a.", "", "raw.cr2"])
def test_other_files_are_not_photos(name):
    assert not is_photo_name(name)


def test_everything_that_pillow_saves_as_a_common_photo_format_is_a_photo():
    assert {"jpg", "jpeg", "png", "webp", "tif", "tiff", "gif", "bmp", "heic", "heif", "avif"} <= PHOTO_SUFFIXES


@pytest.mark.parametrize(
    "name",
    [
        *(".hidden.jpg", "Thumbs.db", "THUMBS.DB", ".DS_Store", "desktop.ini", "Desktop.ini", "._IMG_1.jpg", "Icon\r"),
        *("a.jpg.part", "a.crdownload", "a.tmp", "A.TMP", "a.partial", "a.filepart", "~a.jpg", "~$a.jpg", ".~a.jpg"),
        *("a.jpg~", ".a.jpg.swp", "a.jpg.sb-1a2b3c4d-xyz123"),
    ],
)
def test_system_files_and_unfinished_ones_are_left_alone(name):
    assert ignores(name)
    assert ignores(f"deep/er/{name}")


@pytest.mark.parametrize(
    "name",
    [
        ".syncthing.IMG_1.jpg.tmp",  # Syncthing on Unix
        "~syncthing~IMG_1.jpg.tmp",  # Syncthing on Windows
        ".stfolder/x.jpg",
        ".stversions/IMG_1~20240101-101010.jpg",
        ".IMG_1.jpg.AbC123",  # rsync
        ".~tmp~/IMG_1.jpg",  # rsync --delay-updates
        ".rsync-partial/IMG_1.jpg",
        ".IMG_1.jpg.~1a2b3c",  # Nextcloud's client
        "IMG_1.jpg.~1a2b3c",
        "IMG_1.jpg.ocTransferId1804289383.part",  # Nextcloud's server
        "two\nlines.jpg.~1a2b",
        ".smbdeleteAAA2d34",
        ".nfs000000000123",
        "@eaDir/IMG_1.jpg/SYNOPHOTO_THUMB_XL.jpg",
        "#recycle/IMG_1.jpg",
        "$RECYCLE.BIN/x.jpg",
        "System Volume Information/x.jpg",
        "lost+found/x.jpg",
    ],
)
def test_what_servers_and_synchronisers_leave_behind_is_left_alone(name):
    assert ignores(name)


@pytest.mark.parametrize(
    "name",
    [
        *("IMG_1.jpg", "a~b.jpg", "tmp.jpg", "part.jpg", "thumbs.jpg", "a.tmp.jpg", "x.~zz", "holiday/IMG 1 (2).jpg"),
        "IMG_1.sync-conflict-20240101-101010-ABCDEFG.jpg",  # Syncthing's second version of a photo is a photo
    ],
)
def test_ordinary_names_that_look_similar_are_kept(name):
    assert not ignores(name)


def test_the_inbox_itself_is_never_left_alone():
    assert not ignores(".")
    assert not ignores(".", "*", "**/*")


def test_whatever_lies_in_an_ignored_folder_is_ignored():
    assert ignores("a/.git/b/c/x.jpg")
    assert ignores("a/raw/b/c/x.jpg", "raw")


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*.gif", "a.GIF"),
        ("*.gif", "deep/er/a.gif"),
        ("Raw/", "2024/raw/x.jpg"),
        (" raw ", "raw/x.jpg"),
        ("/raw", "raw/x.jpg"),
        ("holiday/raw", "holiday/raw/x.jpg"),
        ("holiday/*.gif", "Holiday/a.gif"),
        ("**/raw/**/*.gif", "raw/a.gif"),
        ("**/raw/**/*.gif", "a/b/raw/c/d/a.gif"),
        ("holiday/**", "holiday/a/b.jpg"),
        ("img_[0-9].jpg", "IMG_4.jpg"),
    ],
)
def test_users_globs_fit(glob, path):
    assert ignores(path, glob)


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("raw", "draw/x.jpg"),
        ("/raw", "a/raw/x.jpg"),
        ("holiday/raw", "x/holiday/raw/a.jpg"),
        ("holiday/*.gif", "holiday/deeper/a.gif"),
        ("**/raw/*.gif", "raw/c/a.gif"),
        ("img_[0-9].jpg", "IMG_44.jpg"),
        ("", "a.jpg"),
        ("/", "a.jpg"),
    ],
)
def test_users_globs_do_not_fit_more_than_they_say(glob, path):
    assert not ignores(path, glob)


def test_a_path_nested_deeper_than_the_stack_is_judged():
    deep = PurePosixPath(*["d"] * 2000, "x.jpg")
    assert not IgnoreList().ignores(deep)
    assert IgnoreList(["d/d/e", "D"]).ignores(deep)


@given(paths)
def test_the_answer_for_a_path_does_not_depend_on_what_was_asked_before(path):
    asked = IgnoreList(["*.gif", "a/**/b"])
    for parent in path.parents:
        asked.ignores(parent)
    assert asked.ignores(path) == IgnoreList(["*.gif", "a/**/b"]).ignores(path)


@given(paths, names)
def test_nothing_below_an_ignored_path_comes_back(path, name):
    ignore = IgnoreList(["*a*"])
    assert not ignore.ignores(path) or ignore.ignores(path / name)


def test_the_sieve_tells_photos_settings_and_the_rest_apart():
    kinds = {name: sieve().kind(PurePosixPath("a", name)) for name in ("x.jpg", "style.yaml", "style.jpg", "x.txt")}
    assert kinds == {
        "x.jpg": Kind.PHOTO,
        "style.yaml": Kind.SETTINGS,
        "style.jpg": Kind.SETTINGS,
        "x.txt": Kind.NOTHING,
    }


def test_ignored_photos_and_settings_are_nothing():
    assert sieve().kind(PurePosixPath(".trash/style.yaml")) is Kind.NOTHING
    assert sieve("holiday").kind(PurePosixPath("holiday/x.jpg")) is Kind.NOTHING


def test_the_sieve_enters_every_folder_that_is_not_ignored():
    assert sieve().enters(PurePosixPath())
    assert sieve().enters(PurePosixPath("holiday/2024"))
    assert not sieve().enters(PurePosixPath("holiday/@eaDir"))
