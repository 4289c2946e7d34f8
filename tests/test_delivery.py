"""From a worker's events to the files of a painting: the record comes last, and a copy is a painting of its own."""

from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from monet_watch.delivery import Commission, copy_painting, deliver, deliver_stage, read_record
from monet_watch.engine.events import Losses
from monet_watch.errors import OutboxError
from monet_watch.outbox.files import Outbox
from monet_watch.outbox.record import PhotoFacts
from monet_watch.plan import Plan, PlannedStyle
from monet_watch.recipes import Recipe
from monet_watch.styles.library import StyleSource
from monet_watch.workers.base import JobFinished, JobSnapshot, PictureFile, WorkerReady
from monet_watch.workers.memory import tiny_png

CURVE = (Losses(10.0, 7.0, 2.0, 1.0), Losses(5.0, 3.0, 1.5, 0.5))
DELIVERED = Losses(6.0, 4.0, 1.5, 0.5)
FINISHED = JobFinished(
    1, tiny_png(1), tiny_png(2), 32, 48, CURVE, DELIVERED, "all steps taken", 1.25, "bf16", ("A remark.",),
    tile=256, pairs=7, memory_bytes=2**30,
)  # fmt: skip
READY = WorkerReady("cuda:0", "a card", "fp32", 4, {"torch": "2"})
PLAN = Plan(
    "key",
    Recipe(steps=2, save_every=1),
    (PlannedStyle(StyleSource("style.png", Path("/inbox/style.png")), "cd"),),
    {"steps": "style.yaml:1"},
    "oxford",
    "ef",
)
FOLDER = PurePosixPath("trip/a")


def commission(photo: str = "trip/a.jpg") -> Commission:
    return Commission("id", PhotoFacts.of(PurePosixPath(photo), "ab", 3, 4), PLAN, 10.0, 20.0, 2)


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path)


def delivered(outbox: Outbox):
    for number in (1, 2):
        deliver_stage(outbox, FOLDER, JobSnapshot(1, number, tiny_png(number)))
    return deliver(outbox, FOLDER, commission(), FINISHED, READY, lambda: 30.0)


def test_the_files_are_what_the_worker_made(outbox):
    delivered(outbox)
    files = {path.name: path.read_bytes() for path in (outbox.root / FOLDER).iterdir()}
    record = files.pop("painting.json")
    assert files == {
        "a.png": tiny_png(1),
        "loss.png": tiny_png(2),
        "progress_0001.png": tiny_png(1),
        "progress_0002.png": tiny_png(2),
    }
    assert record


def test_the_record_tells_what_was_asked_for_and_what_came_of_it(outbox):
    record = delivered(outbox)
    assert record == read_record(outbox, FOLDER)
    assert (record.identity, record.settings_key, record.painting) == ("id", "key", "a.png")
    assert (record.width, record.height, record.reason) == (32, 48, "all steps taken")
    assert (record.losses.total, record.delivered.total, record.curve.style) == (5.0, 6.0, [7.0, 3.0])
    assert record.stages == ("progress_0001.png", "progress_0002.png")
    assert (record.recipe, record.origins) == (PLAN.recipe, {"steps": "style.yaml:1"})
    assert [(style.name, style.sha256) for style in record.styles] == [("style.png", "cd")]
    assert (record.machine.precision, record.remarks) == ("bf16", ("A remark.",))  # the painting's, not the worker's
    assert (record.machine.device, record.machine.threads, record.weights.sha256) == ("cuda:0", 4, "ef")
    assert (record.machine.memory_bytes, record.machine.tile, record.machine.pairs) == (2**30, 256, 7)
    times = record.times
    assert [time[-14:] for time in (times.queued, times.started, times.finished)] == [
        "00:00:10+00:00",
        "00:00:20+00:00",
        "00:00:30+00:00",
    ]
    assert (times.seconds, times.attempts) == (1.25, 2)


def test_a_stage_of_an_attempt_that_went_further_is_no_part_of_the_painting(outbox):
    """One that was killed after step 3 had written its picture; the one that went on ended by itself at step 2."""
    for number in (3, 10000):
        deliver_stage(outbox, FOLDER, JobSnapshot(1, number, tiny_png(3)))
    assert delivered(outbox).stages == ("progress_0001.png", "progress_0002.png")
    assert outbox.stages(FOLDER) == ["progress_0001.png", "progress_0002.png"]


@pytest.mark.parametrize(
    ("kept", "stages"),
    [
        (None, ("progress_0001.png", "progress_0002.png")),
        (5, ("progress_0001.png", "progress_0002.png")),
        (1, ("progress_0002.png",)),
        (0, ()),
    ],
)
def test_a_finished_painting_keeps_as_many_stages_as_was_said_and_its_record_and_copies_tell_which(
    tmp_path, kept, stages
):
    outbox = Outbox(tmp_path, stages_kept=kept)
    assert delivered(outbox).stages == read_record(outbox, FOLDER).stages == stages
    assert tuple(outbox.stages(FOLDER)) == stages
    copy = copy_painting(outbox, FOLDER, PurePosixPath("b"), PhotoFacts.of(PurePosixPath("b.jpg"), "ab", 3, 5))
    assert copy.stages == tuple(outbox.stages(PurePosixPath("b"))) == stages


def test_a_copy_made_when_fewer_stages_are_kept_has_fewer_than_its_original(outbox):
    delivered(outbox)
    few = Outbox(outbox.root, stages_kept=1)
    copy = copy_painting(few, FOLDER, PurePosixPath("b"), PhotoFacts.of(PurePosixPath("b.jpg"), "ab", 3, 5))
    assert copy.stages == tuple(few.stages(PurePosixPath("b"))) == ("progress_0002.png",)
    assert len(few.stages(FOLDER)) == 2


@pytest.mark.parametrize("blocked", ["a.png", "loss.png"])
def test_a_folder_in_which_something_is_missing_has_no_record(outbox, blocked):
    (outbox.root / FOLDER / blocked / "in the way").mkdir(parents=True)
    with pytest.raises(OutboxError):
        deliver(outbox, FOLDER, commission(), FINISHED, READY, lambda: 30.0)
    assert not (outbox.root / FOLDER / "painting.json").exists()


def test_a_copy_has_the_same_pictures_under_its_own_name_and_says_whose_they_are(outbox):
    original = delivered(outbox)
    photo = PhotoFacts.of(PurePosixPath("loss.jpg"), "ab", 3, 5)
    copy = copy_painting(outbox, FOLDER, PurePosixPath("loss"), photo)
    assert copy == read_record(outbox, PurePosixPath("loss"))
    assert copy.copied_from == "trip/a"
    assert (copy.photo, copy.painting) == (photo, "loss.painting.png")
    assert copy.curve == original.curve
    files = {path.name: path.read_bytes() for path in (outbox.root / "loss").iterdir()}
    assert files["loss.painting.png"] == tiny_png(1)
    assert files["loss.png"] == tiny_png(2)
    assert files.keys() == {"loss.painting.png", "loss.png", "painting.json", *original.stages}


def test_the_other_formats_lie_beside_the_painting_and_go_with_a_copy(outbox):
    finished = replace(FINISHED, further={"jpeg": b"a JPEG", "webp": b"a WebP"})
    record = deliver(outbox, FOLDER, commission(), finished, READY, lambda: 30.0)
    assert (record.painting, record.further) == ("a.png", {"jpeg": "a.jpg", "webp": "a.webp"})
    assert (outbox.root / FOLDER / "a.jpg").read_bytes() == b"a JPEG"
    copy = copy_painting(outbox, FOLDER, PurePosixPath("photo"), PhotoFacts.of(PurePosixPath("photo.jpg"), "ab", 3, 5))
    assert copy.further == {"jpeg": "photo.painting.jpg", "webp": "photo.painting.webp"}  # photo.webp is the photo's
    assert (outbox.root / "photo" / "photo.painting.webp").read_bytes() == b"a WebP"
    (outbox.root / FOLDER / "a.webp").unlink()
    with pytest.raises(OutboxError, match="cannot be read"):
        copy_painting(outbox, FOLDER, PurePosixPath("b"), commission("b.jpg").photo)


def test_the_moving_picture_lies_beside_the_painting_stands_in_the_record_and_goes_with_a_copy(outbox):
    finished = replace(FINISHED, timelapse=PictureFile("timelapse.mp4", b"a film"))
    assert deliver(outbox, FOLDER, commission(), finished, READY, lambda: 30.0).timelapse == "timelapse.mp4"
    copy = copy_painting(outbox, FOLDER, PurePosixPath("b"), commission("b.jpg").photo)

    assert copy.timelapse == "timelapse.mp4"
    (outbox.root / FOLDER / "timelapse.mp4").unlink()
    assert copy_painting(outbox, FOLDER, PurePosixPath("c"), commission("c.jpg").photo).timelapse is None
    assert (outbox.root / "b" / "timelapse.mp4").read_bytes() == b"a film"


@pytest.mark.parametrize("missing", ["a.png", "loss.png", "progress_0002.png", "painting.json"])
def test_a_copy_of_what_is_not_complete_is_refused_before_anything_is_written(outbox, missing):
    delivered(outbox)
    (outbox.root / FOLDER / missing).unlink()
    with pytest.raises(OutboxError, match="cannot be read"):
        copy_painting(outbox, FOLDER, PurePosixPath("b"), commission("b.jpg").photo)
    assert not (outbox.root / "b").exists()


def test_a_record_that_is_damaged_is_told_as_such(outbox):
    outbox.write(FOLDER, "painting.json", b"{}")
    with pytest.raises(OutboxError, match="not the record"):
        read_record(outbox, FOLDER)
