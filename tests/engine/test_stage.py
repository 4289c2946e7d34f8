"""A painting on its way: when it ends, what it does when it has lost its way, from coarse to fine, and over pauses."""

import itertools
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from skimage import data

from monet_watch.engine import stage
from monet_watch.engine.evaluator import Evaluator
from monet_watch.engine.events import Checkpoint, Finished, Losses, Snapshot, Step
from monet_watch.engine.lbfgs import LBFGS
from monet_watch.engine.levels import fitted_size
from monet_watch.engine.losses import Evaluation, Objective, style_targets
from monet_watch.engine.paint import Painter, paint
from monet_watch.engine.photo import resize, resize_exactly
from monet_watch.engine.stage import CHECKPOINT_LIMIT_BYTES, Progress
from monet_watch.engine.tiles import SMALLEST_TILE, memory_bytes
from monet_watch.engine.vgg import VGG19
from monet_watch.recipes import SWIFT, Recipe
from monet_watch.weights import load_network

PIXELS = Recipe(image_size=32, steps=12, save_every=100, lr=0.5)
QUICK = SWIFT.with_changes(
    {"image_size": 32, "steps": 60, "save_every": 100, "precision": "fp32", "rest_below": 0, "style_weight": 1e4}
)
SLOW = {"lr": 1e-3, "least_gain": 0.99}  # moves so small, and a wish so large, that no ten steps pay
COARSE = QUICK.with_changes({"image_size": 64, "coarsest": 16, "coarse_steps": 5, "steps": 22, "least_gain": 0})


@pytest.fixture
def content(make_picture):
    return make_picture(64, 88, seed=1)


@pytest.fixture
def style(make_picture):
    return make_picture(72, 80, seed=2)


def finished(events):
    *_, last = events
    assert isinstance(last, Finished)
    return last


def steps_of(events):
    return [event for event in events if isinstance(event, Step)]


def paused(events_of, pause):
    """Stop after step ``pause``, store the checkpoint, go on from it; return the checkpoint and all events after it."""
    calls = itertools.count(1)
    *_, checkpoint = events_of(stop=lambda: next(calls) == pause)
    assert isinstance(checkpoint, Checkpoint) and checkpoint.number == pause
    stored = Checkpoint(pause, load(save(checkpoint.state)))
    return checkpoint, list(events_of(resume=stored))


# --- When it ends


def test_it_ends_once_ten_steps_win_less_than_the_share_that_is_asked_for(content, style, tiny_network):
    last = finished(paint(content, style, QUICK.with_changes({"least_gain": 0.1, "steps": 200}), tiny_network))
    lowest = list(itertools.accumulate((losses.total for losses in last.curve), min))

    assert last.reason == "further steps no longer pay"
    assert 11 <= len(lowest) < 200
    assert lowest[-11] - lowest[-1] < 0.1 * lowest[-1]


def test_it_goes_on_as_long_as_ten_steps_win_more(content, style, tiny_network):
    last = finished(paint(content, style, QUICK.with_changes({"least_gain": 0.1, "steps": 200}), tiny_network))
    totals = [losses.total for losses in last.curve]
    lowest = list(itertools.accumulate(totals, min))

    for count in range(11, len(totals)):
        won = lowest[count - 11] - lowest[count - 1]
        assert won >= 0.1 * lowest[count - 1] or totals[count - 1] > 1.1 * lowest[count - 1]


@pytest.mark.parametrize(
    ("totals", "end"),
    [
        ([100] * 40, 11),
        ([100 * 0.99**step for step in range(40)], 40),  # a tenth in ten steps
        ([100 * 0.998**step for step in range(40)], 11),
        ([100 * 0.9**step for step in range(20)] + [13] * 20, 30),  # the lowest is the twentieth
        ([100] * 10 + [150, 150, 100, 100], 13),  # a leap is no place to end at
        ([100 * 0.99**step for step in range(20)] + [200] + [100 * 0.99**step for step in range(21, 40)], 40),
        ([100] + [50] * 10 + [49.9] * 20, 12),  # nor is a first step that won much
    ],
)
def test_leaps_of_the_loss_are_neither_a_reason_to_end_nor_a_place_to_end_at(
    monkeypatch, content, style, tiny_network, totals, end
):
    class Pretended(Evaluator):
        def __call__(self, image):
            gradient = super().__call__(image).gradient
            return Evaluation(Losses(next(left), 0, 0, 0), gradient)

    left = iter(totals)
    monkeypatch.setattr(stage, "Evaluator", Pretended)
    recipe = QUICK.with_changes({"least_gain": 0.05, "steps": min(40, len(totals))})
    assert len(finished(paint(content, style, recipe, tiny_network)).curve) == end


def test_the_events_end_there_with_no_checkpoint_of_what_is_finished(content, style, tiny_network):
    recipe = QUICK.with_changes({**SLOW, "save_every": 11})
    events = list(paint(content, style, recipe, tiny_network))

    assert [type(event).__name__ for event in events[-3:]] == ["Step", "Snapshot", "Finished"]
    assert len(events[-1].curve) == 11


def test_without_such_a_share_all_steps_are_taken(content, style, tiny_network):
    last = finished(paint(content, style, QUICK.with_changes({"least_gain": 0}), tiny_network))

    assert len(last.curve) == QUICK.steps and last.reason == "all steps taken"


def test_a_level_that_is_not_the_last_takes_all_its_steps(content, style, tiny_network):
    """A rule that no step can satisfy ends the last level as soon as it may speak, and no level before it."""
    recipe = COARSE.with_changes({**SLOW, "coarse_steps": 14, "steps": 60})
    last = finished(paint(content, style, recipe, tiny_network))

    assert len(last.curve) == 14 + 14 + 11


@pytest.mark.parametrize("pause", [4, 12, 15])
def test_a_pause_does_not_put_off_the_end(content, style, tiny_network, pause):
    recipe = QUICK.with_changes({"least_gain": 0.1, "steps": 200})
    whole = finished(paint(content, style, recipe, tiny_network))
    assert len(whole.curve) > 15
    _, rest = paused(lambda **options: paint(content, style, recipe, tiny_network, **options), pause)

    assert rest[-1].curve == whole.curve and rest[-1].reason == whole.reason


def test_a_pause_that_cost_the_optimiser_s_memory_gives_ten_more_steps_to_find_its_way(
    monkeypatch, content, style, tiny_network
):
    monkeypatch.setattr(stage, "CHECKPOINT_LIMIT_BYTES", 0)
    recipe = QUICK.with_changes({**SLOW, "steps": 40})
    _, rest = paused(lambda **options: paint(content, style, recipe, tiny_network, **options), 8)

    assert len(rest[-1].curve) == 8 + 11


# --- When it loses its way


class Failing(VGG19):
    """A network whose gradient is multiplied by ``factor`` at the evaluations ``at``, counted from 1."""

    def __init__(self, convolutions, at, factor=float("nan"), precisions=("fp32", "bf16")):
        super().__init__(convolutions)
        self.at, self.factor, self.precisions, self.count = at, factor, precisions, 0

    def gradient(self, *arguments, precision, **options):
        self.count += 1
        fails = self.count in self.at and precision in self.precisions
        return super().gradient(*arguments, precision=precision, **options) * (self.factor if fails else 1)


@pytest.mark.parametrize("first", [1, 5])
@pytest.mark.usefixtures("bf16_instructions")
def test_what_fails_in_bf16_only_goes_on_in_fp32_with_a_remark(content, style, tiny_convolutions, first):
    network = Failing(tiny_convolutions, range(first, 1000), precisions=("bf16",))
    last = finished(paint(content, style, PIXELS.with_changes({"precision": "bf16"}), network))

    assert len(last.curve) == PIXELS.steps and last.reason == "all steps taken"
    assert last.precision == "fp32"
    assert len(last.remarks) == 1 and last.remarks[0].startswith(f"Went on in fp32 from step {first}: ")
    assert last.curve[-1].total < last.curve[0].total


@pytest.mark.usefixtures("bf16_instructions")
def test_what_went_on_in_fp32_stays_in_it_over_a_pause_and_says_so_at_the_end(content, style, tiny_convolutions):
    recipe = PIXELS.with_changes({"precision": "bf16"})

    def events_of(**options):
        return paint(content, style, recipe, Failing(tiny_convolutions, [3], precisions=("bf16",)), **options)

    whole = finished(events_of())
    _, rest = paused(events_of, 7)
    assert rest[-1].precision == "fp32"
    assert rest[-1].remarks == whole.remarks and rest[-1].curve == whole.curve


@pytest.mark.usefixtures("bf16_instructions")
def test_what_does_not_fail_in_bf16_stays_in_it(content, style, tiny_network):
    last = finished(paint(content, style, PIXELS.with_changes({"precision": "bf16"}), tiny_network))

    assert last.precision == "bf16" and last.remarks == ()


def test_a_loss_that_has_run_away_leads_back_before_the_move_and_on_from_there(content, style, tiny_convolutions):
    network = Failing(tiny_convolutions, [6], factor=1e7)
    last = finished(paint(content, style, PIXELS, network))
    totals = [losses.total for losses in last.curve]

    assert len(totals) == PIXELS.steps and last.reason == "all steps taken"
    assert last.remarks == ("Began anew with small moves at step 7: the loss had run away.",)
    # Step 7 is where step 6 was, before its move; a small part of a level is lost on the way back.
    assert totals[6] == pytest.approx(totals[5], rel=0.05)
    assert totals[-1] < totals[5]


@pytest.mark.parametrize(
    "recipe", [PIXELS, QUICK.with_changes({"steps": 12, "least_gain": 0})], ids=["pixels", "swift"]
)
def test_what_loses_its_way_again_and_again_ends_early_with_the_picture_before(
    content, style, tiny_convolutions, recipe
):
    network = Failing(tiny_convolutions, range(5, 1000))
    events = list(paint(content, style, recipe, network))
    last = events[-1]

    assert isinstance(last, Finished) and len(last.curve) == 4
    assert "this is the picture before" in last.reason
    assert last.remarks[-1].startswith("Ended early: ")
    assert math.isfinite(last.delivered.total) and last.delivered.total < last.curve[0].total


def test_it_begins_anew_three_times_at_most(content, style, tiny_convolutions):
    """After each failure one evaluation is sound, so that there is a move to take back the next time."""
    network = Failing(tiny_convolutions, range(4, 1000, 2))
    last = finished(paint(content, style, PIXELS, network))

    assert len([remark for remark in last.remarks if remark.startswith("Began anew")]) == 3
    assert "Ended early" in last.remarks[3] and len(last.remarks) == 4


def test_settings_that_make_it_run_away_still_end_with_a_picture(content, style, tiny_network):
    recipe = PIXELS.with_changes({"lr": 10, "steps": 100, "style_weight": 1e15})
    last = finished(paint(content, style, recipe, tiny_network))

    assert last.image.shape == (32, 44, 3)
    assert math.isfinite(last.delivered.total)


@pytest.mark.parametrize("scale", [2.0**-30, 2.0**20])
def test_the_picture_does_not_depend_on_the_scale_of_the_weights(content, style, tiny_network, scale):
    """Only their proportions matter; a power of two changes no rounding."""
    recipe = QUICK.with_changes({"steps": 40, "least_gain": 0})
    weights = {name: scale * getattr(recipe, name) for name in ("style_weight", "content_weight", "tv_weight")}
    found, expected = (
        finished(paint(content, style, each, tiny_network)) for each in (recipe.with_changes(weights), recipe)
    )

    assert [losses.total / scale for losses in found.curve] == [losses.total for losses in expected.curve]
    assert found.image.tobytes() == expected.image.tobytes()


# --- From coarse to fine


def test_a_painting_goes_through_its_levels_with_a_curve_of_all_steps(content, style, tiny_convolutions):
    sizes = []

    class Watching(VGG19):
        def gradient(self, kept, tile, *arguments, **options):
            rows, columns = tile.window(0)
            sizes.append((rows.stop, columns.stop))
            return super().gradient(kept, tile, *arguments, **options)

    events = list(paint(content, style, COARSE.with_changes({"save_every": 5}), Watching(tiny_convolutions)))
    assert sizes == [(16, 22)] * 5 + [(32, 44)] * 5 + [(64, 88)] * 12
    assert [event.number for event in steps_of(events)] == list(range(1, 23))
    assert events[-1].curve == tuple(event.losses for event in steps_of(events))
    pictures = [event.image.shape[:2] for event in events if isinstance(event, Snapshot)]
    assert pictures == [(16, 22), (32, 44), (64, 88), (64, 88)]
    assert events[-1].image.shape == (64, 88, 3)


def test_the_change_of_a_coarse_level_is_carried_to_the_next(content, style, tiny_network):
    """The first loss at full size is lower than the photo's own, and what the last coarse step left is still there."""
    coarse = list(paint(content, style, COARSE, tiny_network))
    fine = list(paint(content, style, COARSE.with_changes({"coarsest": 0}), tiny_network))

    assert steps_of(coarse)[10].losses.total < 0.9 * steps_of(fine)[0].losses.total


def test_of_a_level_without_any_change_the_next_begins_with_the_photo_itself(content, style, tiny_network):
    recipe = COARSE.with_changes(
        {"style_weight": 0, "tv_weight": 0, "initial_image": "photo", "parametrisation": "pixels"}
    )
    last = finished(paint(content, style, recipe, tiny_network))

    assert np.array_equal(last.image, content)
    assert [losses.total for losses in last.curve] == [0] * 22


@pytest.mark.parametrize("rest_below", [0, 0.9])
@pytest.mark.parametrize("pause", [3, 5, 7, 10, 11, 20])
@pytest.mark.parametrize("parametrisation", ["pixels", "spectral"])
def test_resumed_in_any_level_and_between_two_it_goes_on_to_the_byte(
    content, style, tiny_network, pause, parametrisation, rest_below
):
    recipe = COARSE.with_changes({"parametrisation": parametrisation, "history_size": 8, "rest_below": rest_below})
    whole = finished(paint(content, style, recipe, tiny_network))
    _, rest = paused(lambda **options: paint(content, style, recipe, tiny_network, **options), pause)

    assert steps_of(rest)[0].number == pause + 1
    assert rest[-1].curve == whole.curve
    assert rest[-1].image.tobytes() == whole.image.tobytes()


def test_resumed_in_a_level_that_came_early_since_the_one_before_lost_its_way(content, style, tiny_convolutions):
    """It is the size of the picture in the checkpoint that counts, not the number of steps."""

    def events_of(at=(3, 4), **options):
        return paint(content, style, COARSE, Failing(tiny_convolutions, at), **options)

    whole = finished(events_of())
    assert "coarse steps early" in " ".join(whole.remarks) and len(whole.curve) == COARSE.steps
    calls = itertools.count(1)
    *_, checkpoint = events_of(stop=lambda: next(calls) == 4)
    assert checkpoint.state["variable"].shape == (1, 3, 32, 44)
    rest = list(events_of(at=(), resume=checkpoint))
    assert rest[-1].curve == whole.curve and rest[-1].remarks == whole.remarks


# --- Checkpoints


class Clock:
    """Gives a time that goes on by so many seconds with each question."""

    def __init__(self, seconds):
        self.seconds, self.time = seconds, 0.0

    def __call__(self):
        self.time += self.seconds
        return self.time


@pytest.mark.parametrize(("seconds", "expected"), [(70, range(1, 12)), (25, [3, 6, 9]), (1, [])])
def test_a_checkpoint_comes_every_minute_but_not_after_the_last_step(content, style, tiny_network, seconds, expected):
    events = Painter(tiny_network, Clock(seconds)).paint(content, style, PIXELS)

    assert [event.number for event in events if isinstance(event, Checkpoint)] == list(expected)


def test_the_minute_goes_on_from_one_size_to_the_next(content, style, tiny_network):
    """A third of a minute passes with every question: the sizes change after steps 5 and 10."""
    recipe = COARSE.with_changes({"steps": 15})
    events = Painter(tiny_network, Clock(20)).paint(content, style, recipe)

    assert [event.number for event in events if isinstance(event, Checkpoint)] == [3, 6, 9, 12]


def test_a_checkpoint_that_save_every_asks_for_counts_for_the_minute(content, style, tiny_network):
    events = Painter(tiny_network, Clock(25)).paint(content, style, PIXELS.with_changes({"save_every": 2}))

    assert [event.number for event in events if isinstance(event, Checkpoint)] == [2, 4, 6, 8, 10]


@pytest.mark.parametrize("recipe", [PIXELS, QUICK], ids=["pixels", "swift"])
@pytest.mark.parametrize("vectors", [0, 1, 2, 3, 5, 8])
def test_a_checkpoint_stays_within_the_limit_unless_the_picture_alone_is_larger(
    monkeypatch, content, style, tiny_network, recipe, vectors
):
    one = 3 * 32 * 44 * 4
    monkeypatch.setattr(stage, "CHECKPOINT_LIMIT_BYTES", vectors * one)
    calls = itertools.count(1)
    *_, checkpoint = paint(content, style, recipe, tiny_network, stop=lambda: next(calls) == 11)

    size = sum(value.nbytes for value in checkpoint.state.values() if value.numel() >= 3 * 32 * 44)
    assert one <= size <= max(1, vectors) * one
    # What comes beside: the curve, and a few words and numbers.
    assert sum(value.nbytes for value in checkpoint.state.values()) - size < 11 * 4 * 8 + 1000


def test_the_limit_is_what_a_step_of_a_picture_of_512_pixels_leaves_time_for():
    assert CHECKPOINT_LIMIT_BYTES == 16 * 2**20


def test_a_checkpoint_tells_how_far_a_painting_had_come(content, style, tiny_network):
    progress = Progress(
        "bf16", [], ["One remark, with ümlauts."], recoveries=2, began=24, rest=(9, {"conv5_1": 0.1 + 0.2})
    )
    assert Progress.restored(load(save(progress.state()))) == progress

    calls = itertools.count(1)
    events = list(paint(content, style, COARSE, tiny_network, stop=lambda: next(calls) == 7))
    restored = Progress.restored(events[-1].state)
    assert restored.curve == [event.losses for event in steps_of(events)]
    assert (restored.began, restored.precision) == (5, "fp32")


@pytest.mark.parametrize("limit", [0, 3 * 3 * 32 * 44 * 4, CHECKPOINT_LIMIT_BYTES], ids=["none", "one move", "all"])
@pytest.mark.parametrize("pause", [9, 20, 31])
def test_the_picture_of_an_interrupted_painting_is_as_good(monkeypatch, content, style, tiny_network, limit, pause):
    """A random network's loss takes another path after a loss of memory; the real one's is held to 1 % below."""
    monkeypatch.setattr(stage, "CHECKPOINT_LIMIT_BYTES", limit)
    recipe = QUICK.with_changes({"rest_below": 0.005, "steps": 100})
    whole = finished(paint(content, style, recipe, tiny_network))
    _, rest = paused(lambda **options: paint(content, style, recipe, tiny_network, **options), pause)

    assert rest[-1].delivered.total < (1.01 if limit == CHECKPOINT_LIMIT_BYTES else 1.1) * whole.delivered.total


# --- Nothing is made twice


def test_a_style_is_resized_once_for_all_photos_and_its_colours_are_found_once(
    monkeypatch, content, make_picture, style, tiny_network
):
    """The tiny network's painting is in fp32 from beginning to end, so that its style is measured once."""
    sizes, painter = [], Painter(tiny_network)
    monkeypatch.setattr(
        stage, "resize_exactly", lambda picture, *size: sizes.append(size) or resize_exactly(picture, *size)
    )
    for photo in (content, make_picture(64, 88, seed=7)):
        finished(painter.paint(photo, style, QUICK.with_changes({"steps": 2})))

    assert sizes == [(44, 32), (36, 32), (44, 32)]  # a photo, the style, a photo


@pytest.mark.parametrize(("pause", "expected"), [(7, 2), (12, 0)])
def test_what_a_checkpoint_replaces_is_not_made(monkeypatch, content, style, tiny_network, pause, expected):
    """After step 7 the painting is at the second size of three: its beginning is needed for the change there."""
    calls = []
    checkpoint, rest = paused(lambda **options: paint(content, style, COARSE, tiny_network, **options), pause)
    monkeypatch.setattr(stage, "recolour", noting(calls, "recoloured", stage.recolour))
    again = finished(paint(content, style, COARSE, tiny_network, resume=checkpoint))

    assert len(calls) == expected
    assert again.image.tobytes() == rest[-1].image.tobytes()


# --- Within the memory


@pytest.fixture
def large(make_picture):
    return make_picture(384, 576, seed=3)


def test_in_little_memory_it_is_painted_in_tiles_with_the_same_picture_and_a_remark(large, style, tiny_network):
    recipe = PIXELS.with_changes({"image_size": 384, "steps": 3, "history_size": 3, "lr": 0.03})
    whole = finished(paint(large, style, recipe, tiny_network))
    vectors = 3 * 384 * 576 * 4
    limit = int((memory_bytes(384, 576, "fp32", SMALLEST_TILE) + 8 * vectors) / 0.75) + 2**20
    tiled = finished(Painter(tiny_network).paint(large, style, recipe, memory_bytes=limit))

    assert (whole.tile, whole.pairs, whole.remarks) == (None, 3, ())
    assert any(f"Painted in tiles of {tiled.tile} pixels" in remark for remark in tiled.remarks)
    assert np.abs(tiled.image.astype(int) - whole.image).max() <= 1
    assert tiled.delivered.total == pytest.approx(whole.delivered.total, rel=1e-3)


def test_in_little_memory_fewer_pairs_are_remembered_and_a_remark_says_so(large, style, tiny_network):
    recipe = PIXELS.with_changes({"image_size": 384, "steps": 8, "history_size": 500})
    pair = 2 * 3 * 384 * 576 * 4
    limit = 4 * 30 * pair  # a quarter of it is for pairs
    last = finished(Painter(tiny_network).paint(large, style, recipe, memory_bytes=limit))
    assert last.remarks == ("L-BFGS remembered 30 pairs instead of 500, so as to keep within the memory.",)
    assert last.pairs == 30

    half = recipe.with_changes({"parametrisation": "spectral"})
    last = finished(Painter(tiny_network).paint(large, style, half, memory_bytes=limit))
    assert last.remarks == ("L-BFGS remembered 60 pairs instead of 500, so as to keep within the memory.",)


class Windows(VGG19):
    """Notes the pixels of each window that the network walks through."""

    def __init__(self, convolutions):
        super().__init__(convolutions)
        self.pixels = []

    def walk(self, image, tile, *arguments, **options):
        rows, columns = tile.window(0)
        self.pixels.append((rows.stop - rows.start) * (columns.stop - columns.start))
        return super().walk(image, tile, *arguments, **options)


def test_a_style_larger_than_the_painting_is_measured_in_tiles_of_its_own(make_picture, content, tiny_convolutions):
    """The painting of 64 × 88 pixels fits in one piece; its style of 768 × 1024 is a hundred times larger."""
    recipe = PIXELS.with_changes({"image_size": 96, "steps": 2, "history_size": 3, "style_scale": 8})
    network, limit = Windows(tiny_convolutions), memory_bytes(1024, 768, "fp32", SMALLEST_TILE) * 4 // 3 + 2**20
    painter, style = Painter(network), make_picture(1024, 768, seed=4)
    tiled = finished(painter.paint(content, style, recipe, memory_bytes=limit))
    assert tiled.remarks == () and 64 * 88 < max(network.pixels) < 1024 * 768 / 2

    whole = finished(painter.paint(content, style, recipe))
    assert max(network.pixels) == 1024 * 768
    assert whole.curve[0].style == pytest.approx(tiled.curve[0].style, rel=1e-4)


def noting(calls, name, function):
    def call(*arguments, **options):
        calls.append(name)
        return function(*arguments, **options)

    return call


def test_styles_are_held_and_measured_one_at_a_time(monkeypatch, make_picture, content, tiny_network):
    order = []
    monkeypatch.setattr(stage, "to_tensor", noting(order, "held", stage.to_tensor))
    monkeypatch.setattr(tiny_network, "walk", noting(order, "measured", tiny_network.walk))
    styles = [make_picture(72, 80, seed=seed) for seed in (2, 3, 4)]
    finished(paint(content, styles, PIXELS.with_changes({"steps": 1}), tiny_network))

    assert order[:7] == ["held", *["held", "measured"] * 3]  # the photo comes first


def test_with_memory_enough_there_is_nothing_to_remark(large, style, tiny_network):
    recipe = PIXELS.with_changes({"image_size": 384, "steps": 2})

    assert finished(Painter(tiny_network).paint(large, style, recipe, memory_bytes=2**36)).remarks == ()


# --- The real network


@pytest.fixture(scope="module")
def oxford():
    return load_network("oxford", "cpu")


@pytest.fixture(scope="module")
def garden():
    from PIL import Image

    from monet_watch.styles import library

    with Image.open(library.__file__.replace("library.py", "water-garden.jpg")) as picture:
        return np.array(picture.convert("RGB"))


@pytest.fixture
def without_denormals():
    """As a worker paints: numbers too small to be normal, which take the processor long, count as zero."""
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)


def shortened(checkpoint):
    """What is left of a checkpoint where nothing but the picture fits into it."""
    lost = {"gradient", "direction", "length", "moves", "changes", "factors"}
    return Checkpoint(checkpoint.number, {key: value for key, value in checkpoint.state.items() if key not in lost})


@pytest.mark.slow
def test_with_the_real_network_too_an_interrupted_painting_is_as_good(oxford, garden, without_denormals):
    """Within 1 % where the optimiser's memory is kept. Without it the rule of the end may stop some steps sooner."""
    content = resize(data.astronaut(), 192, False)[:96, 48:144]
    recipe = SWIFT.with_changes({"image_size": 96, "save_every": 1})
    events = list(paint(content, garden, recipe, oxford))
    checkpoints = {event.number: event for event in events if isinstance(event, Checkpoint)}
    whole = events[-1]
    assert whole.reason == "further steps no longer pay"

    def resumed(checkpoint):
        last = finished(paint(content, garden, recipe, oxford, resume=checkpoint))
        assert last.reason == whole.reason and last.curve[: checkpoint.number] == whole.curve[: checkpoint.number]
        return last.delivered.total

    for number in (10, 40, len(whole.curve) - 2):
        assert resumed(checkpoints[number]) == pytest.approx(whole.delivered.total, rel=0.01)
    assert resumed(shortened(checkpoints[16])) <= 1.01 * whole.delivered.total


@pytest.mark.slow
def test_the_delivered_loss_is_that_of_the_objective_on_the_picture_s_bytes(oxford, garden):
    content = resize(data.coffee(), 64, False)
    recipe = SWIFT.with_changes({"image_size": 64, "steps": 12, "precision": "auto"})
    last = finished(paint(content, garden, recipe, oxford))

    def tensor(picture):
        return torch.tensor(picture / 255, dtype=torch.float32).permute(2, 0, 1)[None].contiguous()

    targets = style_targets(oxford, [tensor(resize(garden, 64, False))], recipe)
    expected = Objective(oxford, tensor(content), targets, recipe).losses(tensor(last.image))
    assert last.delivered.total == pytest.approx(expected.total, rel=1e-4)


@pytest.mark.parametrize(
    "size", [(400, 300), (403, 302), (192, 108), (102, 68), (64, 43), (45, 30), (30, 45), (133, 100)]
)
def test_a_photo_of_any_aspect_is_painted_from_coarse_to_fine(make_picture, style, tiny_network, size):
    """The long side of a size is rounded once, not again from the photo's own."""
    width, height = size
    content = make_picture(height, width)
    recipe = SWIFT.with_changes({"image_size": 64, "enlarge": True, "coarsest": 32, "coarse_steps": 2, "steps": 4})
    expected = fitted_size(width, height, 64, True)
    events = list(paint(content, style, recipe.with_changes({"save_every": 1}), tiny_network))

    assert events[-1].image.shape[1::-1] == expected
    assert len({event.image.shape for event in events if isinstance(event, Snapshot)}) == 2


def test_where_not_even_the_smallest_tiles_fit_it_is_painted_in_them_nevertheless(make_picture, style, tiny_network):
    """Less memory than hoped for, at this moment, is no reason to give a photo up; the record says what it takes."""
    recipe = PIXELS.with_changes({"image_size": 384, "steps": 2, "history_size": 3, "lr": 0.03})
    last = finished(Painter(tiny_network).paint(make_picture(384, 512), style, recipe, memory_bytes=2**20))

    (remark,) = last.remarks
    assert remark.startswith("Painted in tiles of 256 pixels at 512 × 384, with ") and "0.0 GiB" in remark


def test_noise_is_carried_up_as_it_is(content, style, tiny_network):
    """Fresh noise has nothing of the coarse painting to add to: the fine one begins with the coarse one, enlarged."""
    recipe = COARSE.with_changes({"initial_image": "noise", "save_every": 1, "coarsest": 32, "steps": 7})
    shown = {
        e.number: e.image.astype(float)
        for e in paint(content, style, recipe, tiny_network)
        if hasattr(e, "image") and hasattr(e, "number")
    }

    coarse = resize(shown[5].astype(np.uint8), 64, True).astype(float)
    assert np.abs(shown[6] - coarse).mean() < np.abs(shown[6] - shown[6].mean()).mean()


# --- When the memory is too short for a move


def room_for_pairs(monkeypatch, pairs):
    """Memory that is too short for a move by more than so many pairs."""
    direction = LBFGS.direction

    def limited(self, gradient):
        if len(self) > pairs:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return direction(self, gradient)

    monkeypatch.setattr(LBFGS, "direction", limited)


def test_where_the_memory_is_too_short_for_a_move_less_is_remembered_and_every_step_is_taken(
    content, style, tiny_network, monkeypatch
):
    room_for_pairs(monkeypatch, 3)
    last = finished(paint(content, style, PIXELS, tiny_network))

    assert len(last.curve) == PIXELS.steps
    assert last.curve[-1].total < last.curve[0].total
    assert last.remarks == ("L-BFGS went on with 2 pairs: the memory was too short for more.",)


def test_a_move_for_which_there_is_no_memory_at_all_ends_the_painting(content, style, tiny_network, monkeypatch):
    room_for_pairs(monkeypatch, -1)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        finished(paint(content, style, PIXELS, tiny_network))
