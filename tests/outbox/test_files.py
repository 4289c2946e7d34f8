"""Files that appear whole, and names that never meet."""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monet_watch.errors import OutboxError
from monet_watch.outbox.files import (
    Outbox,
    further_name,
    make_folders,
    painting_name,
    progress_name,
    remove_temporaries,
    sync_folder,
    write_whole,
)
from monet_watch.outbox.metadata import Metadata
from monet_watch.outbox.picture import encode_png

IDENTITY = "0123456789abcdef" * 4

names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=80).filter(
    lambda name: name not in (".", "..") and len(os.fsencode(name)) <= 250
)


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path)


def free(folder: PurePosixPath) -> bool:
    return False


# Writing.


def test_a_file_replaces_the_one_before_and_leaves_nothing_beside_it(tmp_path):
    target = tmp_path / "a.png"
    for data in (b"first", b"second, and longer", b""):
        write_whole(target, data)
        assert target.read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_file_that_cannot_be_written_leaves_the_one_before_and_says_why(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OutboxError, match=r"a\.png cannot be written: Is a directory"):
        write_whole(tmp_path / "a.png", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    with pytest.raises(OutboxError, match="No such file"):
        write_whole(tmp_path / "missing" / "a.png", b"data")


@pytest.fixture
def flushed(monkeypatch) -> list[Path]:
    """What is flushed to disk, in order."""
    paths = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        paths.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", note)
    return paths


on_linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads Linux's /proc")


@on_linux
def test_every_folder_that_is_made_is_on_disk_with_its_whole_way(tmp_path, flushed):
    make_folders(tmp_path / "new" / "a" / "b" / "c", tmp_path / "new" / "a")
    assert set(flushed) == {tmp_path, tmp_path / "new", tmp_path / "new" / "a", tmp_path / "new" / "a" / "b"}


@on_linux
def test_folders_that_were_there_are_flushed_up_to_the_root_since_nobody_may_have_come_to_that(tmp_path, flushed):
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    make_folders(tmp_path / "a" / "b" / "c", tmp_path / "a")
    assert set(flushed) == {tmp_path, tmp_path / "a", tmp_path / "a" / "b"}


@on_linux
def test_a_painting_that_somebody_else_wrote_is_flushed_file_by_file_and_folder_by_folder(outbox, tmp_path, flushed):
    (tmp_path / "trip" / "a" / "below").mkdir(parents=True)
    (tmp_path / "trip" / "a" / "a.png").write_bytes(b"painting")
    (tmp_path / "trip" / "a" / "painting.json").write_bytes(b"record")
    outbox.flush(PurePosixPath("trip/a"))
    folder = tmp_path / "trip" / "a"
    above = {tmp_path.parent, tmp_path, tmp_path / "trip"}
    assert set(flushed) == above | {folder, folder / "a.png", folder / "painting.json"}


@on_linux
def test_a_file_system_that_keeps_no_entries_back_has_nothing_to_flush():
    sync_folder(Path("/proc"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    """The temporary file is a link to a device that takes no byte."""
    monkeypatch.setattr("secrets.token_hex", lambda count: "full")
    (tmp_path / "a.png").write_bytes(b"before")
    opened = Path.open

    def open_full(self, mode="r", *rest):
        return opened(Path("/dev/full"), "wb") if mode == "xb" else opened(self, mode, *rest)

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(OutboxError, match="No space left on device") as caught:
        write_whole(tmp_path / "a.png", b"data")
    monkeypatch.undo()
    assert "free space" in caught.value.remedy
    assert (tmp_path / "a.png").read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_whoever_finds_a_file_where_a_folder_is_to_be_is_told_to_move_it(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(OutboxError) as caught:
        Outbox(tmp_path).write(PurePosixPath("a/b"), "b.png", b"data")
    assert caught.value.remedy.startswith("Move away")


def test_what_interrupted_writes_left_is_removed_and_nothing_else(tmp_path):
    left = [tmp_path / ".monet-watch-0123.tmp", tmp_path / "deep" / "er" / ".monet-watch-4567.tmp"]
    kept = [tmp_path / "deep" / "a.tmp", tmp_path / ".monet-watch-note.txt", tmp_path / "deep" / "b.png"]
    for path in (*left, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    assert remove_temporaries(tmp_path) == 2
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)
    assert remove_temporaries(tmp_path / "missing") == 0


# Names.


@pytest.mark.parametrize(
    ("photo", "painting"),
    [
        ("IMG_1234.jpg", "IMG_1234.png"),
        ("IMG.png", "IMG.png"),
        ("two.dots.jpeg", "two.dots.png"),
        ("loss.jpg", "loss.painting.png"),
        ("LOSS.JPG", "LOSS.painting.png"),
        ("progress_0050.jpg", "progress_0050.painting.png"),
        ("progress_me.jpg", "progress_me.png"),
    ],
)
def test_a_painting_is_named_after_its_photo(photo, painting):
    assert painting_name(photo) == painting


@given(names)
def test_no_painting_has_the_name_of_a_stage_the_plot_or_the_record_nor_one_too_long(name):
    painting = painting_name(f"{name}.jpg")
    assert painting.endswith(".png")
    assert painting.lower() != "loss.png"
    assert painting not in {progress_name(number) for number in range(0, 1001, 50)}
    assert len(os.fsencode(painting)) <= 255


def test_stages_are_named_so_that_they_sort():
    assert [progress_name(number) for number in (1, 50, 400, 12345)] == [
        "progress_0001.png",
        "progress_0050.png",
        "progress_0400.png",
        "progress_12345.png",
    ]


def test_stages_are_listed_in_order_and_nothing_else_is_one(outbox):
    folder = PurePosixPath("progress_0007")
    for name in (
        "progress_12345.png",
        "progress_0050.png",
        "progress_0007.painting.png",
        "progress_me.png",
        "loss.png",
    ):
        outbox.write(folder, name, b"")
    assert outbox.stages(folder) == ["progress_0050.png", "progress_12345.png"]


@given(st.integers(0, 300), st.integers(0, 40))
def test_the_stages_that_stay_end_with_the_last_and_lie_at_even_distances(count, kept):
    names = [f"progress_{number:04d}.png" for number in range(count)]
    stay = Outbox(Path(), stages_kept=kept).kept_stages(names)
    assert len(stay) == min(kept, count)
    if stay:
        places = [names.index(name) for name in stay]
        assert places[-1] == count - 1
        distances = {later - earlier for earlier, later in itertools.pairwise([-1, *places])}
        assert max(distances) - min(distances) <= 1


# Folders.


def test_a_painting_gets_a_folder_named_after_the_photo(outbox):
    assert outbox.choose_folder(PurePosixPath("trip/IMG 1.jpg"), IDENTITY, free) == PurePosixPath("trip/IMG 1")


@pytest.mark.parametrize("kind", ["folder", "file", "broken link", "promised"])
def test_a_folder_that_is_taken_is_left_alone(outbox, kind):
    place = outbox.root / "IMG"
    if kind == "folder":
        place.mkdir()
    elif kind == "file":
        place.write_bytes(b"")
    elif kind == "broken link":
        place.symlink_to("nowhere")
    chosen = outbox.choose_folder(
        PurePosixPath("IMG.jpg"), IDENTITY, lambda folder: kind == "promised" and folder == PurePosixPath("IMG")
    )
    assert chosen == PurePosixPath("IMG-012345")


def test_suffixes_grow_until_one_is_free_and_when_none_is_that_is_said(outbox):
    taken = {PurePosixPath("IMG"), *(PurePosixPath(f"IMG-{IDENTITY[:length]}") for length in range(6, 64))}
    chosen = outbox.choose_folder(PurePosixPath("IMG.jpg"), IDENTITY, taken.__contains__)
    assert chosen == PurePosixPath(f"IMG-{IDENTITY}")
    with pytest.raises(OutboxError, match="no free name"):
        outbox.choose_folder(PurePosixPath("IMG.jpg"), IDENTITY, lambda folder: True)


@given(names, names)
def test_every_folder_lies_below_the_outbox_beside_where_the_photo_lies(tmp_path_factory, parent, name):
    outbox = Outbox(tmp_path_factory.getbasetemp() / "never made")
    photo = PurePosixPath(parent, f"{name}.jpg")
    folder = outbox.choose_folder(photo, IDENTITY, free)
    assert folder.parent == photo.parent
    assert folder.name not in ("", ".", "..")
    assert folder.name.lower() != "index.html"
    assert len(os.fsencode(folder.name)) <= 255


def test_bytes_that_are_no_utf8_are_shown_as_such(outbox):
    photo = PurePosixPath(os.fsdecode(b"caf\xe9.jpg"))
    assert outbox.choose_folder(photo, IDENTITY, free) == PurePosixPath("caf\ufffd")
    assert painting_name(photo.name) == "caf\ufffd.png"
    outbox.tell_problem(photo, "It cannot be painted.", "Why?", "Do this.")
    assert (outbox.root / "caf\ufffd.jpg.problem.txt").read_text(encoding="utf-8").startswith("It cannot be painted.")


# Reports.


def test_a_report_says_what_why_and_what_to_do_and_can_be_taken_back(outbox):
    photo = PurePosixPath("trip/day 1/broken.jpg")
    outbox.tell_problem(photo, "It cannot be painted.", "It ends too early.", "Copy it again.")
    report = outbox.root / "trip" / "day 1" / "broken.jpg.problem.txt"
    text = report.read_text(encoding="utf-8")
    assert text.startswith("It cannot be painted.\n")
    for words in ("trip/day 1/broken.jpg", "It ends too early.", "Copy it again."):
        assert words in text
    outbox.clear_problem(photo)
    assert not report.exists()
    outbox.clear_problem(photo)


def test_two_long_names_get_two_reports(outbox):
    first, second = (PurePosixPath("x" * 249 + end) for end in ("1.jpg", "2.jpg"))
    for photo in (first, second):
        outbox.tell_problem(photo, "It cannot be painted.", "It is long.", "Shorten it.")
    assert len(list(outbox.root.iterdir())) == 2
    outbox.clear_problem(first)
    assert len(list(outbox.root.iterdir())) == 1


def test_a_report_that_cannot_be_taken_back_says_so(outbox):
    (outbox.root / "a.jpg.problem.txt").mkdir()
    with pytest.raises(OutboxError, match="cannot be removed"):
        outbox.clear_problem(PurePosixPath("a.jpg"))


def test_what_is_not_there_cannot_be_read(outbox):
    with pytest.raises(OutboxError, match="cannot be read"):
        outbox.read(PurePosixPath("a"), "a.png")


def test_all_records_are_found(outbox):
    for folder in ("a", "deep/er/b"):
        outbox.write(PurePosixPath(folder), "painting.json", b"{}")
    (outbox.root / "c" / "painting.json").mkdir(parents=True)
    assert {str(path.relative_to(outbox.root)) for path in outbox.records()} == {
        "a/painting.json",
        "deep/er/b/painting.json",
    }


def test_of_several_who_claim_a_folder_at_once_each_gets_one_of_its_own(tmp_path):
    outbox = Outbox(tmp_path / "outbox")
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: outbox.claim_folder(PurePosixPath("trip/a.jpg"), IDENTITY), range(24)))
    assert len(set(claimed)) == 24
    assert PurePosixPath("trip/a") in claimed
    assert all((outbox.root / folder).is_dir() for folder in claimed)


def test_a_folder_that_cannot_be_claimed_is_told(tmp_path):
    (tmp_path / "outbox").write_bytes(b"no folder")
    with pytest.raises(OutboxError, match="cannot be made"):
        Outbox(tmp_path / "outbox").claim_folder(PurePosixPath("a.jpg"), IDENTITY)


# What was begun.


def stage() -> bytes:
    return encode_png(np.zeros((2, 2, 3), np.uint8), metadata=Metadata("monet-watch 1.0", "swift"))


def begun(outbox: Outbox) -> list[str]:
    return sorted(str(contents.folder) for contents in outbox.look_through() if contents.is_begun)


def test_a_folder_that_holds_nothing_but_stages_of_ours_was_begun_and_can_be_removed(outbox):
    for name in ("begun", "trip/begun"):
        outbox.write(PurePosixPath(name), "progress_0010.png", stage())
        outbox.write(PurePosixPath(name), "progress_0020.png", stage())
    assert begun(outbox) == ["begun", "trip/begun"]
    outbox.remove_begun(PurePosixPath("begun"))
    assert begun(outbox) == ["trip/begun"]


def test_one_look_finds_every_painting_and_removes_what_interrupted_writes_left(outbox):
    for name in ("a", "deep/er/b"):
        outbox.write(PurePosixPath(name), "painting.json", b"{}")
    (outbox.root / "deep" / ".monet-watch-0123.tmp").write_bytes(b"half")
    found = list(outbox.look_through())
    assert {str(contents.folder) for contents in found if contents.has_record} == {"a", "deep/er/b"}
    assert {str(contents.folder) for contents in found} == {".", "a", "deep", "deep/er", "deep/er/b"}
    assert not list(outbox.root.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("name", "data"),
    [("painting.json", b"{}"), ("letter.txt", b"mine"), ("progress_0030.png", b"a picture of somebody's own")],
)
def test_a_folder_with_anything_else_in_it_stays(outbox, name, data):
    folder = PurePosixPath("kept")
    outbox.write(folder, "progress_0010.png", stage())
    outbox.write(folder, name, data)
    outbox.write(folder / "below", name, data)
    assert begun(outbox) == []
    assert (outbox.root / "kept" / name).read_bytes() == data


def test_an_empty_folder_is_somebody_s_own(outbox):
    outbox.make_folder(PurePosixPath("empty"))
    assert begun(outbox) == []
    assert (outbox.root / "empty").is_dir()


def test_what_cannot_be_looked_at_is_not_taken_to_be_missing(tmp_path):
    """A name longer than the file system has is an error of the system, as a share that does not answer is."""
    outbox, nowhere = Outbox(tmp_path), PurePosixPath("n" * 300)
    for look in (outbox.holds, outbox.stages, outbox.abandon):
        with pytest.raises(OutboxError, match="cannot be looked at"):
            look(nowhere)
    with pytest.raises(OutboxError, match="cannot be looked at"):
        outbox.choose_folder(nowhere / "photo.jpg", IDENTITY, lambda folder: False)


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=300))
@example("photo")
@example("Timelapse")
@example("x" * 251)
@example("ü" * 200)
def test_the_names_of_a_painting_s_files_differ_and_fit(stem):
    painting = painting_name(f"{stem}.jpg")
    names = [painting, *(further_name(painting, kind) for kind in ("jpeg", "webp"))]
    assert len({name.casefold() for name in [*names, "photo.webp", "timelapse.webp", "loss.png"]}) == 6
    assert all(len(os.fsencode(name)) <= 255 for name in names)
    assert [PurePosixPath(name).suffix for name in names] == [".png", ".jpg", ".webp"]
