"""Where a named style lies, and what strangers cannot reach by naming one."""

import contextlib
import os
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monet_watch.errors import SettingsError
from monet_watch.styles import library as module
from monet_watch.styles.library import (
    StyleLibrary,
    StyleSource,
    is_picture_name,
    read_inside,
    read_style,
    readable,
)

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="needs symlinks and FIFOs")


def put(path: Path, data: bytes = b"picture") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def fault(call, *arguments) -> str:
    """The one fault that ``call`` raises."""
    with pytest.raises(SettingsError) as caught:
        call(*arguments)
    (only,) = caught.value.faults
    return only


@pytest.fixture
def bundled(tmp_path):
    put(tmp_path / "bundled" / "water-garden.jpg", b"bundled")
    put(tmp_path / "bundled" / "library.py")
    return tmp_path / "bundled"


@pytest.fixture
def inbox(tmp_path):
    (tmp_path / "inbox" / "holiday").mkdir(parents=True)
    return tmp_path / "inbox"


@pytest.fixture
def user(tmp_path):
    put(tmp_path / "user" / "Turner.png", b"turner")
    return tmp_path / "user"


@pytest.fixture
def library(bundled, user):
    return StyleLibrary([user], bundled)


# Names.


def test_a_picture_is_called_as_its_file_without_the_suffix(library):
    assert library.names() == ("Turner", "water-garden")


def test_a_name_is_found_in_any_case_and_with_blanks_around(library, user):
    assert library.find(" tURNER ") == StyleSource("Turner", user / "Turner.png", user)


def test_a_name_is_found_whichever_way_its_accents_are_composed(user, bundled):
    put(user / "Ce\u0301zanne.jpg")
    assert StyleLibrary([user], bundled).find("C\u00e9zanne").path == user / "Ce\u0301zanne.jpg"


def test_the_users_picture_counts_before_a_bundled_one_of_the_same_name(user, bundled):
    mine = put(user / "Water-Garden.png")
    assert StyleLibrary([user], bundled).find("water-garden").path == mine


def test_the_first_of_several_library_folders_counts(tmp_path, bundled):
    first, second = put(tmp_path / "1" / "hill.jpg"), put(tmp_path / "2" / "hill.png")
    assert StyleLibrary([first.parent, second.parent], bundled).find("hill").path == first


def test_a_picture_put_into_the_library_is_there_at_once(library, user):
    assert "new" not in library.names()
    put(user / "new.jpg")
    assert library.find("new").name == "new"


def test_hidden_files_other_files_and_unwritable_names_are_not_listed(library, user):
    put(user / ".hidden.jpg")
    put(user / "notes.txt")
    put(user / "line\nbreak.jpg")
    assert library.names() == ("Turner", "water-garden")


def test_a_library_folder_that_is_not_there_holds_nothing(tmp_path, bundled):
    assert StyleLibrary([tmp_path / "gone"], bundled).names() == ("water-garden",)


def test_an_unknown_name_is_told_with_the_nearest_one_and_what_there_is(library):
    assert fault(library.find, "tuner") == (
        "there is no style 'tuner' in the library (it holds Turner, water-garden); did you mean 'Turner'?"
    )


def test_a_name_like_no_other_is_told_with_what_there_is(library):
    assert fault(library.find, "zzz").endswith("(it holds Turner, water-garden); choose one of these")


def test_a_large_library_is_listed_in_part(user, bundled):
    for number in range(20):
        put(user / f"s{number:02}.jpg")
    message = fault(StyleLibrary([user], bundled).find, "zzz")
    assert "s10" in message and "s19" not in message
    assert "and 10 more" in message  # 22 pictures, 12 named


def test_an_empty_library_says_so(tmp_path):
    assert "it is empty" in fault(StyleLibrary([], tmp_path / "gone").find, "monet")


@posix_only
def test_a_bundled_picture_may_be_a_link_into_a_package_cache(tmp_path, bundled):
    target = put(tmp_path / "cache" / "0123", b"cached")
    (bundled / "linked.jpg").symlink_to(target)
    assert read_style(StyleLibrary([], bundled).find("linked")) == b"cached"


@posix_only
def test_a_link_that_leads_out_of_a_library_folder_is_refused(tmp_path, library, user):
    (user / "out.jpg").symlink_to(put(tmp_path / "private.jpg"))
    assert "leads out of the folder" in fault(library.find, "out")


# Styles that a shared folder's YAML names.


def test_a_shared_folder_may_name_a_picture_of_the_library(library, inbox):
    assert library.find_shared("turner", inbox / "holiday", inbox).name == "Turner"


def test_a_shared_folder_may_name_a_picture_below_itself(library, inbox):
    path = put(inbox / "holiday" / "styles" / "sea.jpg")
    source = library.find_shared("styles/sea.jpg", inbox / "holiday", inbox)
    assert source == StyleSource("holiday/styles/sea.jpg", path, inbox)


def test_backslashes_separate_folders_as_on_windows(library, inbox):
    path = put(inbox / "holiday" / "styles" / "sea.jpg")
    assert library.find_shared(r"styles\sea.jpg", inbox / "holiday", inbox).path == path


def test_a_shared_folder_may_name_a_file_of_the_library(library, inbox, user):
    path = put(user / "seas" / "sea.jpg")
    assert library.find_shared("seas/sea.jpg", inbox, inbox) == StyleSource("seas/sea.jpg", path, user)
    assert library.find_shared("water-garden.jpg", inbox, inbox).root is None


def test_a_picture_in_the_folder_counts_before_one_of_the_library(library, inbox, user):
    put(user / "sea.jpg")
    path = put(inbox / "sea.jpg")
    assert library.find_shared("sea.jpg", inbox, inbox).path == path


@pytest.mark.parametrize("value", ["../other/sea.jpg", "a/../../sea.jpg", "..", r"..\sea.jpg", "a/.."])
def test_a_way_upwards_is_refused_whether_or_not_it_stays_inside(library, inbox, value):
    put(inbox / "other" / "sea.jpg")
    assert "leads upwards (..)" in fault(library.find_shared, value, inbox / "holiday", inbox)


@pytest.mark.parametrize(
    "value", ["/etc/passwd.jpg", "~/sea.jpg", "~root/sea.jpg", r"C:\sea.jpg", r"\\server\a\sea.jpg"]
)
def test_a_path_that_begins_elsewhere_is_refused(library, inbox, value):
    assert "begins outside this folder" in fault(library.find_shared, value, inbox, inbox)


def test_an_absolute_path_is_refused_even_if_it_leads_into_the_inbox(library, inbox):
    path = put(inbox / "sea.jpg")
    assert "begins outside this folder" in fault(library.find_shared, str(path), inbox, inbox)


@pytest.mark.parametrize("value", ["./library.py", "holiday/", ".", "./notes"])
def test_a_path_that_does_not_end_as_pictures_do_is_refused(library, inbox, value):
    assert "does not end as pictures do" in fault(library.find_shared, value, inbox, inbox)


def test_a_missing_picture_is_told_with_the_nearest_one_of_that_folder(library, inbox):
    put(inbox / "holiday" / "Sunrise.JPG")
    assert fault(library.find_shared, "holiday/sunrise.jpg", inbox, inbox) == (
        "'holiday/sunrise.jpg' is not there; did you mean 'Sunrise.JPG'?"
    )


@posix_only
def test_the_hint_never_tells_names_from_outside_the_inbox(library, inbox, tmp_path):
    put(tmp_path / "private" / "secret.jpg")
    (inbox / "link").symlink_to(tmp_path / "private")
    assert "secret.jpg" not in fault(library.find_shared, "link/secre.jpg", inbox, inbox)


@posix_only
@pytest.mark.parametrize("value", ["link.jpg", "folder/private.jpg"])
def test_a_link_that_leads_out_of_the_inbox_is_refused(library, inbox, tmp_path, value):
    put(tmp_path / "private" / "private.jpg")
    (inbox / "link.jpg").symlink_to(tmp_path / "private" / "private.jpg")
    (inbox / "folder").symlink_to(tmp_path / "private")
    assert "leads out of the folder" in fault(library.find_shared, value, inbox, inbox)


@posix_only
def test_a_link_that_stays_in_the_inbox_is_followed(library, inbox):
    put(inbox / "sea.jpg", b"sea")
    (inbox / "holiday" / "link.jpg").symlink_to("../sea.jpg")
    assert read_style(library.find_shared("link.jpg", inbox / "holiday", inbox)) == b"sea"


@posix_only
def test_a_link_to_nothing_is_told(library, inbox):
    (inbox / "sea.jpg").symlink_to("gone.jpg")
    assert fault(library.find_shared, "sea.jpg", inbox, inbox) == "'sea.jpg' is not there; check how it is written"


@posix_only
def test_an_inbox_that_is_itself_a_link_is_fine(library, inbox, tmp_path):
    put(inbox / "sea.jpg", b"sea")
    (tmp_path / "link").symlink_to(inbox)
    assert read_style(library.find_shared("sea.jpg", tmp_path / "link", tmp_path / "link")) == b"sea"


def test_a_folder_named_like_a_picture_is_told_as_one(library, inbox):
    (inbox / "sea.jpg").mkdir()
    assert fault(library.find_shared, "sea.jpg", inbox, inbox) == "'sea.jpg' is a folder; name a file"


@posix_only
def test_whatever_a_shared_folder_names_lies_in_inbox_or_library_or_is_refused(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    inbox, user, outside = root / "inbox", root / "user", root / "outside"
    for folder in (inbox / "a", user, outside):
        put(folder / "sea.jpg")
    (inbox / "out").symlink_to(outside)
    (inbox / "a" / "in").symlink_to(inbox)
    library = StyleLibrary([user], root / "none")
    parts = st.sampled_from(["a", "in", "out", "..", ".", "sea.jpg", "sea", "", "~", "inbox", "outside", str(root)])

    @given(st.lists(parts, min_size=1, max_size=5), st.sampled_from(["/", "\\"]))
    def holds(pieces, separator):
        try:
            source = library.find_shared(separator.join(pieces), inbox / "a", inbox)
        except SettingsError:
            return
        assert source.path.resolve().is_relative_to(inbox) or source.path.resolve().is_relative_to(user)

    holds()


# Styles that the owner of the machine names.


def test_the_owner_may_name_any_file_relative_to_the_base(library, inbox, tmp_path):
    path = put(tmp_path / "anywhere" / "sea.jpg")
    assert library.find_trusted("../anywhere/sea.jpg", inbox).path.resolve() == path
    assert library.find_trusted(str(path), inbox) == StyleSource("sea.jpg", path)


def test_the_owner_may_name_a_file_of_the_home_folder(library, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    path = put(tmp_path / "sea.jpg")
    assert library.find_trusted("~/sea.jpg", Path("/elsewhere")).path == path


def test_the_home_of_an_unknown_user_is_told(library, tmp_path):
    assert "the home folder" in fault(library.find_trusted, "~nobody-of-that-name/sea.jpg", tmp_path)


def test_the_owner_may_name_a_picture_of_the_library(library, tmp_path, user):
    assert library.find_trusted("turner", tmp_path).path == user / "Turner.png"
    assert library.find_trusted("Turner.png", tmp_path).path == user / "Turner.png"


def test_a_plain_word_means_the_library_before_a_file(library, tmp_path, user):
    put(tmp_path / "turner")
    assert library.find_trusted("turner", tmp_path).path == user / "Turner.png"


def test_a_file_without_a_suffix_can_be_named_too(library, tmp_path):
    path = put(tmp_path / "sea")
    assert library.find_trusted("sea", tmp_path).path == path


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("tunrer", "there is no style 'tunrer' in the library (it holds Turner, water-garden); did you mean 'Turner'?"),
        ("user/Turner.jpg", "'user/Turner.jpg' is not there; did you mean 'Turner.png'?"),
        ("user", "'user' is a folder; name a file"),
        ("nowhere/a.jpg", "'nowhere/a.jpg' is not there; check how it is written"),
    ],
)
def test_what_the_owner_misspells_is_told(library, tmp_path, value, words):
    assert fault(library.find_trusted, value, tmp_path) == words


# Reading.


def test_a_file_is_read_up_to_exactly_the_limit(tmp_path):
    assert read_inside(put(tmp_path / "a", b"12345"), tmp_path, 5) == b"12345"
    assert fault(read_inside, put(tmp_path / "b", b"123456"), tmp_path, 5, "b").startswith(
        "b: it has 6 bytes, more than 5"
    )


def test_an_empty_file_is_read_as_nothing(tmp_path):
    assert read_inside(put(tmp_path / "a", b""), tmp_path, 5) == b""


def test_a_style_of_more_than_64_mebibytes_is_refused_without_reading_it(tmp_path):
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)  # a sparse file: no disk is filled
    assert "has 67108865 bytes, more than 67108864" in fault(read_style, StyleSource("huge.jpg", path, tmp_path))


def test_a_missing_file_is_told_by_the_given_name_or_its_path(tmp_path):
    assert fault(read_inside, tmp_path / "a", tmp_path, 5, "x") == "x: it is not there; check how it is written"
    assert fault(read_inside, tmp_path / "a", None, 5).startswith(f"{tmp_path / 'a'}: it is not there")
    assert "is not there" in fault(read_inside, put(tmp_path / "b") / "a", None, 5)


def test_a_folder_and_the_root_itself_are_not_read(tmp_path):
    (tmp_path / "folder").mkdir()
    assert "is a folder" in fault(read_inside, tmp_path / "folder", tmp_path, 5)
    assert "is a folder" in fault(read_inside, tmp_path, tmp_path, 5)


def test_a_nul_in_a_name_is_an_answer_and_no_crash(tmp_path):
    assert "cannot be the name of a file" in fault(read_inside, Path("a\0b"), tmp_path, 5)
    assert "cannot be the name of a file" in fault(readable, StyleSource("a", Path("a\0b")))


def test_a_name_that_is_too_long_is_told_with_the_systems_words(tmp_path):
    assert "cannot be read (" in fault(read_inside, tmp_path / ("a" * 300), tmp_path, 5)


@posix_only
@pytest.mark.timeout(20)
def test_a_fifo_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "style.jpg")
    for root in (tmp_path, None):
        assert "is not a regular file" in fault(read_inside, tmp_path / "style.jpg", root, 5)


@posix_only
def test_a_device_is_refused():
    assert "is not a regular file" in fault(read_inside, Path("/dev/zero"), None, 5)


@posix_only
def test_a_link_in_a_circle_is_told(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for root in (tmp_path, None):
        assert "a link that leads nowhere" in fault(read_inside, tmp_path / "a", root, 5)


READING = """
import sys
from pathlib import Path
from monet_watch.errors import SettingsError
from monet_watch.styles.library import read_inside
try:
    print(read_inside(Path(sys.argv[1]), Path(sys.argv[1]).parent, 7))
except SettingsError as error:
    print(*error.faults)
"""


@posix_only
def test_a_file_that_may_not_be_read_is_told(tmp_path, run_for_whom_permissions_count):
    path = put(tmp_path / "a")
    assert run_for_whom_permissions_count(READING, path) == "b'picture'\n"
    path.chmod(0)
    assert run_for_whom_permissions_count(READING, path).startswith(f"{path}: it may not be read")


@posix_only
def test_a_file_beside_a_root_of_the_same_beginning_is_outside(tmp_path):
    (tmp_path / "in").mkdir()
    path = put(tmp_path / "inbox" / "a")
    assert "leads out of the folder" in fault(read_inside, path, tmp_path / "in", 5)


@posix_only
def test_links_exchanged_while_reading_never_lead_out(tmp_path):
    """Another process swaps a folder for a link to a private one, over and over; nothing private is ever read."""
    root = tmp_path / "inbox"
    put(root / "real" / "a", b"public")
    put(tmp_path / "private" / "a", b"secret")
    (root / "link").symlink_to(tmp_path / "private")
    done = threading.Event()

    def swap():
        while not done.is_set():
            (root / "real").rename(root / "aside")
            (root / "link").rename(root / "real")
            (root / "real").rename(root / "link")
            (root / "aside").rename(root / "real")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(1500):
            with contextlib.suppress(SettingsError):
                assert read_inside(root / "real" / "a", root, 100) == b"public"
    finally:
        done.set()
        thread.join()


@posix_only
def test_a_link_put_in_between_the_check_and_the_opening_is_not_followed(tmp_path):
    """The way is checked first and opened then; what is opened follows no link that was put there meanwhile."""
    put(tmp_path / "private" / "a", b"secret")
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "folder").symlink_to(tmp_path / "private")
    (tmp_path / "inbox" / "a").symlink_to(tmp_path / "private" / "a")
    for parts in (("folder", "a"), ("a",)):
        with pytest.raises(OSError):
            os.close(module._open_stepwise(tmp_path / "inbox", parts))


@posix_only
def test_reading_leaves_no_file_open(tmp_path):
    put(tmp_path / "a" / "b" / "c", b"12345")
    (tmp_path / "folder").mkdir()
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(20):
        read_inside(tmp_path / "a" / "b" / "c", tmp_path, 5)
        fault(read_inside, tmp_path / "a" / "b" / "c", tmp_path, 4)
        fault(read_inside, tmp_path / "a" / "missing" / "c", tmp_path, 4)
        fault(read_inside, tmp_path / "folder", tmp_path, 4)
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_without_descriptors_of_folders_reading_still_works(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_HAS_DIR_FD", False)
    assert read_inside(put(tmp_path / "a" / "b", b"12345"), tmp_path, 5) == b"12345"


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.png", "a.webp", "a.tif", "a.bmp", "a.gif", "a.heic", "a.avif"])
def test_pictures_are_known_by_their_suffix(name):
    assert is_picture_name(name)


@pytest.mark.parametrize("name", ["a.txt", "jpg", ".jpg", "a", "style.yaml"])
def test_other_files_are_no_pictures(name):
    assert not is_picture_name(name)
