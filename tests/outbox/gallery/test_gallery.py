"""The gallery's files: true to what is in the outbox, touched as little as can be, and never in the way."""

import json
import os
import re
import shutil
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monet_watch.errors import OutboxError
from monet_watch.outbox.gallery.catalogue import PIECE_SIZE, Catalogue
from monet_watch.outbox.gallery.entries import Entry, mark_of
from monet_watch.outbox.gallery.gallery import Gallery, Thumbnail, thumbnail_path
from monet_watch.outbox.gallery.moment import Moment, Sitting, Standing
from monet_watch.outbox.gallery.names import link, shown
from monet_watch.outbox.gallery.pages import MADE_BY
from monet_watch.outbox.picture import encode_png
from monet_watch.outbox.sheet_files import remove_sheet, sheet_comment, write_sheet
from tests.outbox.gallery.exhibits import EPOCH, digest, hang, record_of

PICTURE = np.full((4, 6, 3), 128, np.uint8)
HOSTILE = [
    "<script>alert(1)<\u2044script>.jpg",
    "\"quotes\" & 'more' 100%25 #1?.jpg",
    "a\u202egpj.exe.jpg",
    "{{ 7*7 }}.jpg",
]

paths = st.lists(
    st.binary(min_size=1, max_size=20).filter(lambda raw: not {0, 47} & set(raw) and raw not in (b".", b"..")),
    min_size=1,
    max_size=3,
).map(lambda parts: PurePosixPath(os.fsdecode(b"/".join(parts))))


def an_outbox(root: Path, *names: str) -> Path:
    """An outbox with a painting of each name, the first finished first."""
    for number, name in enumerate(names):
        hang(root, record_of(PurePosixPath(name), finished=EPOCH + number), PICTURE)
    return root


def listed(root: Path) -> list[dict]:
    """Every entry in the scripts of the list, as a browser reads them."""
    data = root / ".gallery" / "data"
    pieces = json.loads(re.fullmatch(r"monetWatch\.list\((.*)\);\n", (data / "list.js").read_text())[1])["pieces"]
    found = []
    for number, (count, _) in enumerate(pieces):
        text = (data / f"piece-{number:05d}.js").read_text()
        entries = json.loads(re.fullmatch(rf"monetWatch\.piece\({number},(.*)\);\n", text.replace(", [", ",[", 1))[1])
        assert len(entries) == count
        found += entries
    return found


def sheets(root: Path) -> dict[str, int]:
    """How many pages each contact sheet has, as a browser reads it."""
    text = (root / ".gallery" / "data" / "list.js").read_text()
    return json.loads(re.fullmatch(r"monetWatch\.list\((.*)\);\n", text)[1])["sheets"]


def facts(root: Path) -> dict[str, tuple[int, int]]:
    """What changes when a file is written, for every file."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def test_a_gallery_shows_what_is_in_the_outbox(tmp_path):
    an_outbox(tmp_path, "b.jpg", "trip/a.jpg")
    Gallery(tmp_path).open()

    assert [entry["folder"] for entry in listed(tmp_path)] == ["b", "trip/a"]
    for page in ("index.html", "b/index.html", "trip/a/index.html"):
        assert MADE_BY in (tmp_path / page).read_bytes()
    assert b'src="../../.gallery/gallery.js' in (tmp_path / "trip/a/index.html").read_bytes()


def test_a_finished_painting_touches_its_own_page_and_the_list_and_nothing_else(tmp_path):
    gallery = Gallery(an_outbox(tmp_path, *(f"{number}.jpg" for number in range(PIECE_SIZE + 1))))
    gallery.open()
    before = facts(tmp_path)
    hang(tmp_path, record_of(PurePosixPath("new.jpg"), finished=EPOCH + 999), PICTURE)
    gallery.open()
    gallery.add([PurePosixPath("new")])
    after = facts(tmp_path)

    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {
        ".gallery/data/list.js",
        ".gallery/data/piece-00001.js",
        *(f"new/{name}" for name in ("index.html", "loss.png", "new.png", "painting.json")),
    }


def test_another_gallery_on_the_same_outbox_goes_on_where_the_first_ended_and_writes_nothing(tmp_path):
    Gallery(an_outbox(tmp_path, "a.jpg", "b.jpg")).open()
    before = facts(tmp_path)
    gallery = Gallery(tmp_path)
    gallery.open()
    gallery.sweep()

    assert facts(tmp_path) == before


def test_a_painting_removed_by_hand_disappears_with_its_thumbnails_and_its_empty_folder(tmp_path):
    gallery = Gallery(an_outbox(tmp_path, "a.jpg", "b.jpg", "c.jpg"))
    gallery.open()
    gallery.keep(Thumbnail(record_of(PurePosixPath("a.jpg")).identity, "painting", b"small"))
    for path in [path for path in (tmp_path / "a").iterdir() if path.name != "index.html"]:
        path.unlink()
    shutil.rmtree(tmp_path / "b")
    gallery.sweep()

    assert [entry["folder"] for entry in listed(tmp_path)] == ["c"]
    assert not (tmp_path / "a").exists()
    assert not list((tmp_path / ".gallery").rglob("painting.webp"))


def test_a_copy_keeps_the_thumbnails_that_it_shares_with_a_painting_that_was_removed(tmp_path):
    record = record_of(PurePosixPath("a.jpg"))
    hang(tmp_path, record, PICTURE)
    hang(tmp_path, record.model_copy(update={"copied_from": "a"}), PICTURE, folder=PurePosixPath("copy"))
    gallery = Gallery(tmp_path)
    gallery.open()
    gallery.keep(Thumbnail(record.identity, "painting", b"small"))
    shutil.rmtree(tmp_path / "a")
    gallery.sweep()

    assert (tmp_path / thumbnail_path(record.identity, "painting")).read_bytes() == b"small"


def test_what_was_added_or_moved_by_hand_is_found_by_the_next_look(tmp_path):
    gallery = Gallery(an_outbox(tmp_path, "a.jpg"))
    gallery.open()
    (tmp_path / "shelf").mkdir()
    (tmp_path / "a").rename(tmp_path / "shelf" / "renamed")
    gallery.sweep()

    assert [entry["folder"] for entry in listed(tmp_path)] == ["shelf/renamed"]
    assert b'src="../../.gallery/gallery.js' in (tmp_path / "shelf/renamed/index.html").read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="permissions are another matter there")
def test_a_folder_that_cannot_be_read_for_a_while_loses_no_painting(tmp_path, run_for_whom_permissions_count):
    Gallery(an_outbox(tmp_path, "closed/a.jpg", "b.jpg")).open()
    (tmp_path / "closed").chmod(0)
    try:
        script = (
            "import sys; from pathlib import Path; from monet_watch.outbox.gallery.gallery import Gallery\n"
            "gallery = Gallery(Path(sys.argv[1])); gallery.open(); gallery.sweep()"
        )
        run_for_whom_permissions_count(script, tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o755)

    assert [entry["folder"] for entry in listed(tmp_path)] == ["closed/a", "b"]


def test_made_anew_it_is_whole_whatever_became_of_its_files(tmp_path):
    Gallery(an_outbox(tmp_path, "a.jpg", "b.jpg")).open()
    (tmp_path / "index.html").unlink()
    (tmp_path / "a" / "index.html").unlink()
    (tmp_path / ".gallery" / "data" / "list.js").write_bytes(b"nonsense")

    assert Gallery(tmp_path).rebuild() == 2
    assert [entry["folder"] for entry in listed(tmp_path)] == ["a", "b"]
    assert (tmp_path / "index.html").is_file()
    assert (tmp_path / "a" / "index.html").is_file()


def test_pages_of_another_version_are_written_anew_at_the_start(tmp_path):
    Gallery(an_outbox(tmp_path, "a.jpg")).open()
    (tmp_path / ".gallery" / "version.txt").write_text("another")
    (tmp_path / "a" / "index.html").write_bytes(MADE_BY)
    Gallery(tmp_path).open()

    assert len((tmp_path / "a" / "index.html").read_bytes()) > 1000


def test_a_page_that_somebody_else_wrote_is_not_overwritten(tmp_path):
    (tmp_path / "index.html").write_text("<h1>My own</h1>")

    with pytest.raises(OutboxError, match="somebody else's"):
        Gallery(tmp_path).open()
    assert (tmp_path / "index.html").read_text() == "<h1>My own</h1>"


@pytest.mark.parametrize("damage", ["", "{}", "[1]", '{"format": 1}'])
def test_a_record_that_is_damaged_is_no_painting_and_does_no_harm(tmp_path, damage):
    an_outbox(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "a" / "painting.json").write_text(damage)
    Gallery(tmp_path).open()

    assert [entry["folder"] for entry in listed(tmp_path)] == ["b"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_stand_in_a_page_as_text(tmp_path, name):
    an_outbox(tmp_path, name)
    Gallery(tmp_path).open()
    page = next(tmp_path.glob("*/index.html")).read_text()

    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert 'src="100' not in page
    assert "49" not in re.findall(r"<h1>(.*?)</h1>", page)[0]


def test_a_record_cannot_lead_a_page_or_a_thumbnail_out_of_the_outbox(tmp_path):
    outside = tmp_path / "outside"
    root = tmp_path / "outbox"
    record = record_of(PurePosixPath("a.jpg"), identity="../../../outside", painting="a.png")
    hang(root, record, PICTURE)
    gallery = Gallery(root)
    gallery.open()
    gallery.keep(Thumbnail("../../../../outside", "painting", b"small"))

    assert not outside.exists()
    assert "../outside" not in (root / "a" / "index.html").read_text().split('id="record"')[0].split("Hashes")[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"delivered": {"total": 1e999}},
        {"times": {"finished": "9999-12-31T23:59:59-23:00"}},
        {"times": {"seconds": 1e300}},
    ],
)
def test_numbers_beyond_measure_in_one_record_keep_no_other_painting_off_the_list(tmp_path, changes):
    an_outbox(tmp_path, "a.jpg", "b.jpg")
    record = json.loads((tmp_path / "a" / "painting.json").read_bytes())
    for key, values in changes.items():
        record[key] |= values
    (tmp_path / "a" / "painting.json").write_text(json.dumps(record))
    Gallery(tmp_path).open()

    assert "b" in [entry["folder"] for entry in listed(tmp_path)]


@given(path=paths)
def test_a_link_leads_back_to_the_path_byte_for_byte_and_is_plain_ascii(path):
    entry = Entry.of(path, record_of(PurePosixPath("a.jpg")))

    assert entry.path == path
    assert re.fullmatch(r"[A-Za-z0-9_.~/%-]+", link(path))
    assert shown(path).encode()


def test_marks_that_turn_the_direction_of_writing_are_shown_and_not_obeyed():
    assert shown("a\u202eb\u2066c\nd") == "a\\u202eb\\u2066c\\nd"
    assert shown("नमस्ते 日本 👩\u200d🎨 e\u0301") == "नमस्ते 日本 👩\u200d🎨 e\u0301"


def test_what_is_no_hash_names_no_folder():
    assert mark_of("ab" * 32) == "ab" * 16
    assert re.fullmatch("[0-9a-f]{32}", mark_of("../../etc"))


def test_the_list_comes_back_from_its_files_as_it_was(tmp_path):
    (tmp_path / "data").mkdir()
    entries = [Entry.of(PurePosixPath(f"f{number}"), record_of(PurePosixPath("a.jpg"))) for number in range(450)]
    first, second = Catalogue(tmp_path / "data"), Catalogue(tmp_path / "data")
    first.add(entries)
    first.save()

    assert second.load()
    assert second.entries == entries
    assert len(list((tmp_path / "data").glob("piece-*.js"))) == 3


def test_the_list_names_the_contact_sheets_that_are_there(tmp_path):
    gallery = Gallery(an_outbox(tmp_path, "a.jpg", "trip/b.jpg", "sea & sand/c.jpg"))
    for folder, count in (("trip", 2), ("sea & sand", 1)):
        write_sheet(tmp_path / folder, [sheet_comment("ab" * 32)] * count)
    (tmp_path / "contact-sheet.jpg").write_bytes(b"somebody else's")
    gallery.open()
    assert sheets(tmp_path) == {"trip": 2, "sea%20%26%20sand": 1}

    remove_sheet(tmp_path / "trip")
    gallery.look_at_sheets([PurePosixPath("trip")])
    assert sheets(tmp_path) == {"sea%20%26%20sand": 1}

    before = facts(tmp_path)
    another = Gallery(tmp_path)
    another.open()
    another.sweep()
    assert facts(tmp_path) == before

    remove_sheet(tmp_path / "sea & sand")
    another.sweep()
    assert sheets(tmp_path) == {}


def test_what_goes_on_is_told_with_its_latest_picture_reasons_and_remedies(tmp_path):
    gallery = Gallery(an_outbox(tmp_path, "a.jpg"))
    gallery.open()
    folder = tmp_path / "trip" / "b"
    folder.mkdir(parents=True)
    (folder / "progress_0005.png").write_bytes(encode_png(PICTURE))
    sitting = Sitting(
        PurePosixPath("trip/b.jpg"), PurePosixPath("trip/b"), digest("b"), ("turner",), 7, 150, 12.5, 61.4
    )
    problem = Standing(PurePosixPath("c.jpg"), "It is no photo.", "Export it again.", EPOCH)
    gallery.show(Moment(EPOCH, True, {"problems": 1}, (sitting,), problems=(problem,)))
    text = (tmp_path / ".gallery" / "data" / "moment.js").read_text()
    moment = json.loads(re.fullmatch(r"monetWatch\.moment\((.*)\);\n", text)[1])

    (running,) = moment["running"]
    assert (running["step"], running["steps"], running["remaining"], running["within"]) == (7, 150, 61, "trip")
    assert running["latest"] == running["small"] == "trip/b/progress_0005.png"
    assert moment["problems"][0]["remedy"] == "Export it again."
    gallery.keep(Thumbnail(digest("b"), "0005", b"small"))
    gallery.show(Moment(EPOCH + 1, True, {}, (sitting,)))
    assert thumbnail_path(digest("b"), "0005") in (tmp_path / ".gallery" / "data" / "moment.js").read_text()
