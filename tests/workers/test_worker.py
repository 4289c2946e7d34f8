"""What runs inside a worker: photo bytes become a painting's files, and whatever goes wrong is told in words."""

import io
import itertools
import multiprocessing
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from monet_watch.engine.events import Finished
from monet_watch.engine.paint import Painter, paint
from monet_watch.engine.photo import decode
from monet_watch.engine.precision import best_precision
from monet_watch.engine.vgg import VGG19
from monet_watch.errors import PhotoError, SettingsError, WeightsError, WorkerError
from monet_watch.outbox.timelapse import Birth
from monet_watch.output import Output
from monet_watch.recipes import SWIFT, Recipe
from monet_watch.workers import worker
from monet_watch.workers.base import (
    Allowance,
    DevicesFound,
    JobCheckpoint,
    JobFailed,
    JobFinished,
    JobSnapshot,
    JobStarted,
    JobStep,
    JobStopped,
    PaintJob,
    PictureFile,
    Stop,
    WeightsFile,
    WorkerReady,
)
from monet_watch.workers.machine import physical_cores
from monet_watch.workers.worker import describe, measure_step, painting_events

ROOT = Path(__file__).parents[2]
RECIPE = Recipe(image_size=32, steps=6, save_every=4)


@pytest.fixture
def make_job(make_photo):
    def make(recipe=RECIPE, **changes):
        fields = {
            "photo": PictureFile("boat.png", make_photo(32, 40, seed=1)),
            "styles": (PictureFile("lilies.png", make_photo(36, 36, seed=2)),),
            "limit_pixels": 10_000,
            **changes,
        }
        return PaintJob(7, "identity-7", recipe=recipe, **fields)

    return make


def run(job, network, stop=lambda: False):
    return list(painting_events(job, Painter(network), stop))


def stop_after(steps):
    calls = itertools.count(1)
    return lambda: next(calls) == steps


def pixels(png):
    with Image.open(io.BytesIO(png)) as picture:
        return np.array(picture)


def test_the_painting_s_file_holds_the_engine_s_pixels(make_job, make_picture, tiny_network):
    finished = run(make_job(), tiny_network)[-1]
    *_, expected = paint(make_picture(32, 40, seed=1), make_picture(36, 36, seed=2), RECIPE, tiny_network)

    assert isinstance(finished, JobFinished) and isinstance(expected, Finished)
    assert np.array_equal(pixels(finished.png), expected.image)
    assert (finished.curve, finished.delivered) == (expected.curve, expected.delivered)
    assert (finished.width, finished.height) == (40, 32)


def test_the_painting_s_file_says_what_made_it(make_job, tiny_network):
    with Image.open(io.BytesIO(run(make_job(), tiny_network)[-1].png)) as picture:
        picture.load()
        text = picture.text
    assert text["Software"].startswith("monet-watch ")
    assert text["Recipe"] == "classic"
    assert text["Identity"] == "identity-7"


def test_the_formats_that_are_wanted_hold_the_painting_and_tell_the_place_only_where_that_is_asked_for(
    make_job, make_photo, tiny_network
):
    exif, file = Image.Exif(), io.BytesIO()
    exif[271] = "Nikon"
    exif.get_ifd(0x8825).update({1: "N", 2: (10.0, 30.0, 0.0), 3: "E", 4: (20.0, 0.0, 0.0)})
    Image.open(io.BytesIO(make_photo(32, 40, seed=1))).save(file, "PNG", exif=exif)
    photo = PictureFile("boat.png", file.getvalue())

    def painted(**output):
        finished = run(make_job(photo=photo, output=Output(("jpeg", "webp"), **output)), tiny_network)[-1]
        assert list(finished.further) == ["jpeg", "webp"]
        return {"png": finished.png, **finished.further}

    silent, telling = painted(), painted(keep_location=True)
    for kind in silent:
        before, after = decode(silent[kind], 10**6), decode(telling[kind], 10**6)
        assert (before.details.make, before.details.location) == ("Nikon", None)
        assert after.details.location == (10.5, 20.0, None)
        assert np.abs(before.image.astype(int) - pixels(silent["png"])).mean() < 8
        assert np.array_equal(before.image, after.image)


def test_a_format_that_cannot_hold_a_painting_of_that_size_is_left_out_with_a_remark(
    make_job, tiny_network, monkeypatch
):
    monkeypatch.setattr(worker, "LONGEST_SIDES", {"jpeg": 40, "webp": 39})
    finished = run(make_job(output=Output(("jpeg", "webp"))), tiny_network)[-1]
    assert list(finished.further) == ["jpeg"]
    assert finished.remarks == ("There is no webp file: with 40 pixels on a side it would be too large.",)


def seen(timelapse):
    """The pictures of an animated WebP that rest, one after the other."""
    assert timelapse.name == "timelapse.webp"
    with Image.open(io.BytesIO(timelapse.data)) as opened:
        frames = [(np.array(frame.convert("RGB")), frame.info["duration"]) for frame in ImageSequence.Iterator(opened)]
    return [frame for frame, milliseconds in frames if milliseconds >= 500]


def likeness(image, other):
    """The correlation of their brightness: of noise a lossy file keeps little more."""
    return np.corrcoef(image.mean(2).ravel(), other.mean(2).ravel())[0, 1]


FILMED = Output(timelapse="webp")


def test_the_moving_picture_shows_the_photo_the_stages_and_the_painting(make_job, make_picture, tiny_network):
    recipe = RECIPE.with_changes({"lr": 1, "initial_image": "noise", "steps": 30, "save_every": 20})
    events = run(make_job(recipe, output=FILMED), tiny_network)
    stage = next(event for event in events if isinstance(event, JobSnapshot))
    photo, middle, painting = seen(events[-1].timelapse)

    assert likeness(photo, make_picture(32, 40, seed=1)) > 0.8
    assert likeness(middle, pixels(stage.png)) > 0.8 and likeness(painting, pixels(events[-1].png)) > 0.8
    assert likeness(photo, middle) < 0.5


def test_the_moving_picture_of_a_painting_that_was_interrupted_shows_the_stages_before_that(make_job, tiny_network):
    whole = run(make_job(output=FILMED), tiny_network)
    stages = (PictureFile("progress_0004.png", next(e.png for e in whole if isinstance(e, JobSnapshot))),)
    later = PictureFile("progress_0006.png", stages[0].data)
    damaged = PictureFile("progress_0002.png", b"no picture")
    checkpoint = run(make_job(), tiny_network, stop_after(5))[-2]
    resumed = make_job(output=FILMED, resume=checkpoint.data, stages=(damaged, *stages, later))

    assert run(resumed, tiny_network)[-1].timelapse == whole[-1].timelapse


def test_a_moving_picture_that_cannot_be_made_does_not_cost_the_painting(make_job, tiny_network, monkeypatch):
    def fail(birth):
        raise OSError("no room")

    monkeypatch.setattr(Birth, "moving_picture", fail)
    finished = run(make_job(output=FILMED), tiny_network)[-1]

    assert isinstance(finished, JobFinished) and finished.timelapse is None
    assert finished.remarks == ("There is no moving picture: no room.",)


def test_a_finished_job_says_what_memory_it_had_and_what_came_of_that(make_job, tiny_network):
    finished = list(painting_events(make_job(), Painter(tiny_network), lambda: False, 2**33))[-1]

    assert (finished.memory_bytes, finished.tile, finished.pairs) == (2**33, None, RECIPE.history_size)


def test_transparency_comes_back_at_the_painting_s_size(make_job, make_picture, tiny_network):
    alpha = np.zeros((64, 80), np.uint8)
    alpha[:, 40:] = 255
    file = io.BytesIO()
    Image.fromarray(np.dstack((make_picture(64, 80), alpha))).save(file, "PNG")
    finished = run(make_job(photo=PictureFile("cut-out.png", file.getvalue())), tiny_network)[-1]

    painted = pixels(finished.png)
    assert painted.shape == (32, 40, 4)
    assert (painted[:, :15, 3] == 0).all() and (painted[:, 25:, 3] == 255).all()


def test_the_same_job_gives_the_same_bytes(make_job, tiny_network):
    first, second = (run(make_job(), tiny_network)[-1] for _ in range(2))

    assert first.png == second.png and first.loss_plot == second.loss_plot


@pytest.mark.parametrize("pause", [1, 3, 5])
def test_a_job_stopped_at_any_step_is_resumed_to_the_same_bytes(make_job, tiny_network, pause):
    whole = run(make_job(), tiny_network)[-1]
    *_, checkpoint, stopped = run(make_job(), tiny_network, stop_after(pause))
    assert isinstance(checkpoint, JobCheckpoint) and checkpoint.number == pause
    assert stopped == JobStopped(7)

    events = run(make_job(resume=checkpoint.data), tiny_network)
    assert isinstance(events[0], JobStarted) and events[0].first_step == pause + 1
    assert events[-1].png == whole.png
    assert events[-1].curve == whole.curve


COARSE = SWIFT.with_changes(
    {"image_size": 64, "coarsest": 32, "coarse_steps": 4, "steps": 9, "precision": "fp32", "style_weight": 1e4}
)


@pytest.mark.parametrize("pause", [2, 4, 5, 8])
def test_so_is_one_that_is_painted_from_coarse_to_fine_and_by_frequencies(make_job, make_photo, tiny_network, pause):
    photo = PictureFile("boat.png", make_photo(64, 80, seed=1))
    whole = run(make_job(COARSE, photo=photo), tiny_network)[-1]
    *_, checkpoint, _ = run(make_job(COARSE, photo=photo), tiny_network, stop_after(pause))

    events = run(make_job(COARSE, photo=photo, resume=checkpoint.data), tiny_network)
    assert events[0].first_step == pause + 1
    assert events[-1].png == whole.png and events[-1].curve == whole.curve


def without_dimensions(data):
    return save_tensors({**load_tensors(data), "curve": torch.tensor(3.0)})


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-100],
        lambda data: data[200:],
        lambda data: save_tensors({}),
        without_dimensions,
    ],
)
def test_a_damaged_checkpoint_costs_time_and_not_the_painting(make_job, tiny_network, damage):
    whole = run(make_job(), tiny_network)[-1]
    checkpoint = run(make_job(), tiny_network, stop_after(3))[-2]
    events = run(make_job(resume=damage(checkpoint.data)), tiny_network)

    assert events[0].first_step == 1
    assert events[-1].png == whole.png


def test_a_checkpoint_of_another_size_is_not_used(make_job, make_photo, tiny_network):
    checkpoint = run(make_job(), tiny_network, stop_after(3))[-2]
    other = make_job(photo=PictureFile("other.png", make_photo(32, 48)), resume=checkpoint.data)

    events = run(other, tiny_network)
    assert events[0].first_step == 1 and isinstance(events[-1], JobFinished)


def test_a_text_file_is_no_photo(make_job, tiny_network):
    (failed,) = run(make_job(photo=PictureFile("notes.jpg", b"Dear diary, today I saw a bridge.")), tiny_network)

    assert failed.kind == "NotAPhotoError" and failed.message


def test_a_style_that_cannot_be_read_is_named(make_job, tiny_network):
    (failed,) = run(make_job(styles=(PictureFile("renoir.jpg", b"no picture"),)), tiny_network)

    assert failed.kind == "PhotoError"
    assert "renoir.jpg" in failed.message and "style" in failed.remedy


def test_a_photo_above_the_limit_is_refused_before_it_is_decoded(make_job, tiny_network):
    (failed,) = run(make_job(limit_pixels=1000), tiny_network)

    assert failed.kind == "PhotoTooLargeError"


def test_a_loss_that_is_not_finite_fails_the_job(make_job, tiny_convolutions):
    weight, bias = tiny_convolutions["conv5_1"]
    events = run(make_job(), VGG19({**tiny_convolutions, "conv5_1": (weight * float("nan"), bias)}))

    assert events[-1].kind == "PaintingError" and "step 1" in events[-1].message


def test_a_lack_of_memory_is_told_with_what_to_do(make_job, tiny_convolutions):
    class Greedy(VGG19):
        def walk(self, *arguments, **options):
            torch.empty(2**50, dtype=torch.uint8)
            return super().walk(*arguments, **options)

    failed = run(make_job(), Greedy(tiny_convolutions))[-1]
    assert failed.kind == "OutOfMemory"
    assert "memory" in failed.message
    assert "memory_limit" in failed.remedy and "image_size" in failed.remedy


def test_a_photo_too_large_for_the_memory_is_painted_in_tiles_which_its_record_says(
    make_job, make_photo, tiny_convolutions
):
    class Small(VGG19):
        def walk(self, image, tile, *arguments, **options):
            rows, columns = tile.window(0)
            if (rows.stop - rows.start) * (columns.stop - columns.start) > 150_000:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return super().walk(image, tile, *arguments, **options)

    job = make_job(
        RECIPE.with_changes({"image_size": 288, "steps": 2}),
        photo=PictureFile("wide.png", make_photo(288, 640)),
        limit_pixels=200_000,
    )
    finished = run(job, Small(tiny_convolutions))[-1]
    assert isinstance(finished, JobFinished) and (finished.width, finished.height) == (640, 288)
    assert finished.remarks == ("Went on in tiles of 320 pixels: the memory was too short for more at a time.",)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "OutOfMemory"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "OutOfMemory"),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)."), "OutOfMemory"),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later."), "OutOfMemory"),
        (RuntimeError("an index is out of range"), "RuntimeError"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError"),
    ],
)
def test_whatever_happens_in_a_job_becomes_its_failure(make_job, tiny_convolutions, error, kind):
    class Failing(VGG19):
        def walk(self, *arguments, **options):
            raise error

    events = run(make_job(), Failing(tiny_convolutions))
    assert isinstance(events[0], JobStarted)
    assert isinstance(events[-1], JobFailed) and events[-1].kind == kind


@pytest.mark.parametrize(
    ("error", "passes"),
    [(WorkerError("Its helper was ended."), True), (PhotoError("Bad."), False)],
)
def test_what_is_no_fault_of_the_photo_is_told_as_something_that_passes(make_job, tiny_network, error, passes):
    def open_picture(data, limit_pixels):
        raise error

    (failed,) = painting_events(make_job(), Painter(tiny_network), lambda: False, open_picture=open_picture)
    assert failed == JobFailed(7, type(error).__name__, error.message, "", passes)


def failing_network(convolutions, words):
    class Failing(VGG19):
        def walk(self, *arguments, **options):
            raise RuntimeError(words)

    return Failing(convolutions)


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be reported later.",
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "HIP error: an illegal memory access was encountered",
        "CUDA driver error: device not ready",
        "cusolver error: CUSOLVER_STATUS_EXECUTION_FAILED, when calling `cusolverDnDsyevd(...)`",
    ],
)
def test_a_device_that_fails_is_no_fault_of_the_job_s(make_job, tiny_convolutions, words):
    with pytest.raises(WorkerError, match=f"the device cpu failed: {re.escape(words.splitlines()[0])}$"):
        run(make_job(), failing_network(tiny_convolutions, words))


def test_a_worker_whose_device_fails_dies_and_says_why(monkeypatch, make_job, tiny_convolutions, tiny_weights):
    """What sets torch up for a process of its own is left out: this one has others' tests to run."""
    from monet_watch.workers import worker

    monkeypatch.setattr(worker, "set_up_torch", lambda allowance: None)
    broken = failing_network(tiny_convolutions, "CUDA error: unspecified launch failure")
    monkeypatch.setattr(worker, "load_vgg19", lambda *_: broken)
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        ours.send(make_job())
        worker.serve(theirs, tiny_weights, "cuda:0", Allowance())
        events = [ours.recv() for _ in range(3)]
        assert not ours.poll()

    assert [type(event).__name__ for event in events] == ["WorkerReady", "JobStarted", "WorkerDied"]
    assert events[-1].reason == "the device cpu failed: CUDA error: unspecified launch failure"


@pytest.mark.parametrize(("found", "sharers"), [(("cpu",), 2), (("cuda:0", "cuda:1", "cuda:2"), 6)])
def test_a_worker_that_finds_the_devices_tells_them_first_takes_one_and_leaves_the_others_their_cores(
    monkeypatch, tiny_convolutions, tiny_weights, found, sharers
):
    settings, loaded = [], []

    def load(path, sha256, device):
        loaded.append(device)
        return VGG19(tiny_convolutions)

    monkeypatch.setattr(worker, "every_device", lambda: found)
    monkeypatch.setattr(worker, "set_up_torch", settings.append)
    monkeypatch.setattr(worker, "load_vgg19", load)
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        ours.send(Stop())
        worker.serve(theirs, tiny_weights, "auto", Allowance(sharers=2, finds_others=True))
        assert ours.recv() == DevicesFound(found)
        assert isinstance(ours.recv(), WorkerReady)

    assert loaded == [found[0]]
    assert [each.sharers for each in settings] == [sharers]


@pytest.mark.parametrize(("device", "made"), [("cuda:1", ["cuda:1"]), ("cpu", [])])
def test_a_worker_on_a_card_leaves_the_other_cards_alone(monkeypatch, device, made):
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", lambda each: chosen.append(str(each)))
    worker._make_current(torch.device(device))
    assert chosen == made


class Card:
    """A network on a card that this machine need not have."""

    device = torch.device("cuda", 0)


@pytest.mark.parametrize(("sharers", "share"), [(1, 12), (2, 6)])
def test_workers_of_one_card_share_its_memory(monkeypatch, sharers, share):
    """Three quarters of 16 GiB, of which the processor's sharers take nothing."""
    monkeypatch.setattr(worker, "_free_memory", lambda device: 16 * 2**30)
    server = worker._Server(None, None, Painter(Card()), Allowance(sharers=8, sharers_of_card=sharers), None, 0)

    assert server.memory_bytes() == share * 2**30


def test_a_step_s_seconds_leave_out_what_the_listener_does(make_job, tiny_network, monkeypatch):
    """The clock jumps by an hour whenever an event is handed over."""
    from monet_watch.workers import worker

    late = 0.0
    monkeypatch.setattr(worker.time, "monotonic", lambda real=worker.time.monotonic: real() + late)
    seconds = []
    for event in painting_events(make_job(), Painter(tiny_network), lambda: False):
        late += 3600
        if isinstance(event, JobStep):
            seconds.append(event.seconds)

    assert len(seconds) == 6 and all(0 < value < 600 for value in seconds)


def test_the_description_names_device_threads_and_versions(tiny_network):
    ready = describe(tiny_network)

    assert (ready.device, ready.precision) == ("cpu", best_precision(torch.device("cpu")))
    assert ready.threads == torch.get_num_threads()
    assert ready.versions["torch"] == torch.__version__
    assert set(ready.versions) == {"monet-watch", "python", "torch", "numpy", "pillow"}


def test_a_step_is_measured_in_seconds(tiny_weights, restored_torch):
    assert 0 < measure_step(tiny_weights, "cpu", 1, image_size=48) < 60


def test_what_cannot_be_measured_is_told(tiny_weights, tmp_path, restored_torch):
    with pytest.raises(SettingsError):
        measure_step(tiny_weights, "toaster", None, image_size=48)
    with pytest.raises(WeightsError):
        measure_step(WeightsFile("gone", tmp_path / "gone.pth", "0" * 64), "cpu", None, image_size=48)


def test_a_painting_s_precision_and_remarks_are_the_engine_s(make_job, tiny_network, monkeypatch):
    def paint_otherwise(*arguments, paint=Painter.paint):
        for event in paint(*arguments):
            is_end = isinstance(event, Finished)
            yield replace(event, precision="bf16", remarks=("In tiles of 512 pixels.",)) if is_end else event

    monkeypatch.setattr(Painter, "paint", paint_otherwise)
    finished = run(make_job(), tiny_network)[-1]
    assert (finished.precision, finished.remarks) == ("bf16", ("In tiles of 512 pixels.",))


WORKER_SET_UP = """
import sys, torch
from monet_watch.workers.base import Allowance
from monet_watch.workers.worker import set_up_torch
set_up_torch(Allowance({allowance}))
print(torch.get_num_threads(), float(torch.tensor(1e-30) * torch.tensor(1e-10)))
"""


def set_up(allowance, **environment):
    """Threads, and what a number too small to be normal counts as, in a process that was set up for painting."""
    script = WORKER_SET_UP.format(allowance=allowance)
    environ = {**{key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}, **environment}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=True)
    threads, product = done.stdout.split()
    return int(threads), float(product)


def test_numbers_too_small_to_be_normal_count_as_zero():
    assert set_up("threads=3") == (3, 0.0)


def test_threads_are_the_settings_the_environment_s_or_a_share_of_the_cores():
    cores = physical_cores() or torch.get_num_threads()
    assert set_up("", OMP_NUM_THREADS="1")[0] == 1
    assert (
        set_up(
            "",
        )[0]
        == cores
    )
    assert set_up("sharers=2")[0] == max(1, cores // 2)


@pytest.fixture
def restored_torch():
    """What a worker sets for its whole process is undone after the test."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)
    torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
