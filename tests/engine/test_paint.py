"""Painting: the promised events in the promised order, the same picture from the same inputs, and clear refusals."""

import itertools

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from monet_watch.engine import stage
from monet_watch.engine.events import Checkpoint, Finished, Snapshot, Step
from monet_watch.engine.losses import Objective, style_targets
from monet_watch.engine.paint import fits, paint
from monet_watch.engine.photo import resize
from monet_watch.engine.vgg import VGG19
from monet_watch.errors import PaintingError, PhotoError
from monet_watch.recipes import Recipe

RECIPE = Recipe(image_size=32, steps=10, save_every=4, lr=0.5)


@pytest.fixture
def content(make_picture):
    return make_picture(32, 44, seed=1)


@pytest.fixture
def style(make_picture):
    return make_picture(40, 36, seed=2)


def names(events):
    return [(type(event).__name__, getattr(event, "number", None)) for event in events]


def finished(events):
    *_, last = events
    assert isinstance(last, Finished)
    return last


def test_events_come_in_order_with_pictures_and_checkpoints_every_few_steps(content, style, tiny_network):
    events = list(paint(content, style, RECIPE, tiny_network))

    assert names(events) == [
        *[("Step", n) for n in (1, 2, 3, 4)], ("Snapshot", 4), ("Checkpoint", 4),
        *[("Step", n) for n in (5, 6, 7, 8)], ("Snapshot", 8), ("Checkpoint", 8),
        ("Step", 9), ("Step", 10), ("Finished", None),
    ]  # fmt: skip
    last = events[-1]
    assert last.curve == tuple(event.losses for event in events if isinstance(event, Step))
    assert last.reason == "all steps taken"


def test_a_last_step_that_is_due_a_snapshot_gets_one_but_no_checkpoint(content, style, tiny_network):
    events = list(paint(content, style, RECIPE.with_changes({"steps": 4}), tiny_network))

    assert names(events)[-3:] == [("Step", 4), ("Snapshot", 4), ("Finished", None)]
    assert np.array_equal(events[-2].image, events[-1].image)


def test_one_step_is_one_evaluation_of_the_network_and_its_gradient(content, style, tiny_convolutions):
    """Beside the steps, the network sees the style and the photo once before, and the finished picture once after."""
    passes = []

    class Counting(VGG19):
        def walk(self, *arguments, **options):
            passes.append("there")
            return super().walk(*arguments, **options)

        def gradient(self, *arguments, **options):
            passes.append("back")
            return super().gradient(*arguments, **options)

    list(paint(content, style, RECIPE, Counting(tiny_convolutions)))
    assert passes == ["there", "there", *["there", "back"] * RECIPE.steps, "there"]


def test_the_painting_has_the_photo_s_size_and_is_another_picture_with_less_loss(content, style, tiny_network):
    last = finished(paint(content, style, RECIPE, tiny_network))

    assert last.image.dtype == np.uint8 and last.image.shape == (32, 44, 3)
    assert not np.array_equal(last.image, content)
    assert last.curve[-1].total < last.curve[0].total
    assert last.delivered.total < last.curve[0].total


def test_a_photo_is_scaled_down_to_the_short_side_and_enlarged_only_where_asked(make_picture, style, tiny_network):
    recipe = RECIPE.with_changes({"steps": 1})
    assert finished(paint(make_picture(120, 64), style, recipe, tiny_network)).image.shape == (60, 32, 3)
    small = make_picture(20, 24)
    assert finished(paint(small, style, recipe, tiny_network)).image.shape == (20, 24, 3)
    larger = recipe.with_changes({"enlarge": True})
    assert finished(paint(small, style, larger, tiny_network)).image.shape == (32, 38, 3)


def test_delivered_losses_are_those_of_the_picture_s_own_bytes(content, style, tiny_network):
    recipe = RECIPE.with_changes({"lr": 1.0, "steps": 30})
    last = finished(paint(content, style, recipe, tiny_network))

    def tensor(picture):
        return torch.tensor(picture / 255, dtype=torch.float32).permute(2, 0, 1)[None]

    # The style picture is scaled to the painting's short side by the same filter: 32 of 36 pixels.
    targets = style_targets(tiny_network, [tensor(resize(style, 32, False))], recipe)
    expected = Objective(tiny_network, tensor(content), targets, recipe).losses(tensor(last.image))
    assert last.delivered.total == pytest.approx(expected.total, rel=1e-5)
    assert last.delivered.total != last.curve[-1].total


def test_equal_inputs_give_equal_bytes(content, style, tiny_network):
    first, second = (finished(paint(content, style, RECIPE, tiny_network)) for _ in range(2))

    assert first.image.tobytes() == second.image.tobytes()
    assert first.curve == second.curve and first.delivered == second.delivered


@pytest.mark.parametrize("pause", [1, 3, 4, 9])
def test_resumed_after_any_step_the_painting_is_the_same_to_the_byte(content, style, tiny_network, pause):
    whole = finished(paint(content, style, RECIPE, tiny_network))
    calls = itertools.count(1)
    events = list(paint(content, style, RECIPE, tiny_network, stop=lambda: next(calls) == pause))
    checkpoint = events[-1]
    assert isinstance(checkpoint, Checkpoint) and checkpoint.number == pause

    stored = Checkpoint(pause, load(save(checkpoint.state)))
    rest = list(paint(content, style, RECIPE, tiny_network, resume=stored))
    assert names(rest)[0] == ("Step", pause + 1)
    assert rest[-1].image.tobytes() == whole.image.tobytes()
    assert rest[-1].curve == whole.curve and rest[-1].delivered == whole.delivered


def test_asked_to_stop_it_gives_a_checkpoint_and_ends_unfinished(content, style, tiny_network):
    events = list(paint(content, style, RECIPE, tiny_network, stop=lambda: True))

    assert names(events) == [("Step", 1), ("Checkpoint", 1)]


def test_a_stop_where_a_checkpoint_is_due_gives_one_only(content, style, tiny_network):
    calls = itertools.count(1)
    events = list(paint(content, style, RECIPE, tiny_network, stop=lambda: next(calls) == 4))

    assert names(events)[-3:] == [("Step", 4), ("Snapshot", 4), ("Checkpoint", 4)]


def test_a_stop_after_the_last_step_comes_too_late_to_matter(content, style, tiny_network):
    recipe = RECIPE.with_changes({"steps": 1})

    assert names(paint(content, style, recipe, tiny_network, stop=lambda: True)) == [("Step", 1), ("Finished", None)]


def test_a_checkpoint_fits_its_own_painting_and_no_other(content, style, make_picture, tiny_network):
    calls = itertools.count(1)
    *_, checkpoint = paint(content, style, RECIPE, tiny_network, stop=lambda: next(calls) == 3)

    assert fits(checkpoint, content, RECIPE)
    assert not fits(checkpoint, make_picture(32, 45), RECIPE)
    assert not fits(checkpoint, content, RECIPE.with_changes({"steps": 2}))
    for damage in ({"curve": torch.zeros(2, 4)}, {"curve": torch.zeros(3)}, {"variable": torch.zeros(3)}):
        assert not fits(Checkpoint(3, {**checkpoint.state, **damage}), content, RECIPE)
    for text in (b"[]", b"{}", b"\xff", b"nothing", b'{"rest": 1}'):
        damage = {"progress": torch.tensor(list(text), dtype=torch.uint8)}
        assert not fits(Checkpoint(3, {**checkpoint.state, **damage}), content, RECIPE)
    for name in ("variable", "curve", "progress"):
        rest = {key: value for key, value in checkpoint.state.items() if key != name}
        assert not fits(Checkpoint(3, rest), content, RECIPE)


@pytest.mark.parametrize("changes", [{"image_size": 40}, {"steps": 2}])
def test_a_checkpoint_of_another_painting_is_refused(make_picture, style, tiny_network, changes):
    content = make_picture(64, 64)
    calls = itertools.count(1)
    *_, checkpoint = paint(content, style, RECIPE, tiny_network, stop=lambda: next(calls) == 3)

    with pytest.raises(PaintingError, match="does not belong"):
        list(paint(content, style, RECIPE.with_changes(changes), tiny_network, resume=checkpoint))


def test_noise_as_the_initial_image_follows_the_seed(content, style, tiny_network):
    def first_loss(seed):
        recipe = RECIPE.with_changes({"initial_image": "noise", "seed": seed, "steps": 1})
        return finished(paint(content, style, recipe, tiny_network)).curve[0]

    assert first_loss(1) == first_loss(1)
    assert first_loss(1) != first_loss(2)
    assert first_loss(1).content > 0


def test_from_the_photo_the_content_loss_begins_at_zero(content, style, tiny_network):
    assert finished(paint(content, style, RECIPE, tiny_network)).curve[0].content == 0


def test_several_styles_are_blended_and_one_twice_is_itself(content, style, make_picture, tiny_network):
    other = make_picture(33, 50, seed=9)
    one = finished(paint(content, style, RECIPE, tiny_network)).curve
    twice = finished(paint(content, [style, style], RECIPE, tiny_network)).curve
    both = finished(paint(content, [style, other], RECIPE, tiny_network)).curve

    assert twice[0].total == pytest.approx(one[0].total, rel=1e-5)
    assert both[0].total != pytest.approx(one[0].total, rel=1e-3)


def test_the_style_picture_is_scaled_by_style_scale_and_never_below_what_the_network_needs(
    content, make_picture, tiny_convolutions
):
    sizes = []

    class Watching(VGG19):
        def walk(self, image, *arguments, **options):
            sizes.append(tuple(image.shape[2:]))
            return super().walk(image, *arguments, **options)

    network = Watching(tiny_convolutions)
    for scale in (0.75, 0.05):
        recipe = RECIPE.with_changes({"style_scale": scale, "steps": 1})
        sizes.clear()
        list(paint(content, make_picture(64, 96), recipe, network))
        assert sizes.count({0.75: (24, 36), 0.05: (16, 24)}[scale]) == 1


@pytest.mark.usefixtures("bf16_instructions")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_weights_that_make_nothing_but_nan_are_told_at_step_one_with_what_to_do(
    content, style, tiny_convolutions, precision
):
    weight, bias = tiny_convolutions["conv5_1"]
    network = VGG19({**tiny_convolutions, "conv5_1": (weight * float("nan"), bias)})

    with pytest.raises(PaintingError, match="not a finite number at step 1") as caught:
        list(paint(content, style, RECIPE.with_changes({"precision": precision}), network))
    assert "lr" in caught.value.remedy


def test_no_step_is_taken_along_a_gradient_that_is_not_finite(content, style, tiny_convolutions):
    """A gradient may overflow where the loss does not."""

    class Overflowing(VGG19):
        def gradient(self, *arguments, **options):
            return super().gradient(*arguments, **options) * float("inf")

    with pytest.raises(PaintingError, match="step 1"):
        next(paint(content, style, RECIPE, Overflowing(tiny_convolutions)))


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((32, 32), np.uint8),
        np.zeros((32, 32, 4), np.uint8),
        np.zeros((3, 32, 32), np.uint8),
        np.zeros((32, 32, 3), np.float32),
        np.zeros((0, 32, 3), np.uint8),
        np.zeros((15, 400, 3), np.uint8),
    ],
    ids=lambda wrong: f"{wrong.dtype}{wrong.shape}",
)
def test_arrays_that_are_no_pictures_and_tiny_pictures_are_refused_by_name(content, style, tiny_network, wrong):
    with pytest.raises(PhotoError, match="The photo"):
        next(paint(wrong, style, RECIPE, tiny_network))
    with pytest.raises(PhotoError, match="The style picture"):
        next(paint(content, wrong, RECIPE, tiny_network))


def test_a_painting_without_a_style_is_refused(content, tiny_network):
    with pytest.raises(PhotoError, match="no style"):
        next(paint(content, [], RECIPE, tiny_network))


def test_views_and_read_only_arrays_are_painted_and_not_changed(content, style, tiny_network):
    mirrored = content[:, ::-1]
    content.flags.writeable = False
    before = content.copy()
    last = finished(paint(mirrored, style, RECIPE, tiny_network))

    assert last.image.tobytes() == finished(paint(mirrored.copy(), style, RECIPE, tiny_network)).image.tobytes()
    assert np.array_equal(content, before)


def test_a_large_history_makes_no_checkpoint_above_the_limit(monkeypatch, content, style, tiny_network):
    limit = 6 * 32 * 44 * 3 * 4
    monkeypatch.setattr(stage, "CHECKPOINT_LIMIT_BYTES", limit)
    events = list(paint(content, style, RECIPE.with_changes({"save_every": 9}), tiny_network))
    (checkpoint,) = [event for event in events if isinstance(event, Checkpoint)]

    vectors = sum(value.nbytes for name, value in checkpoint.state.items() if value.numel() > 100)
    assert vectors <= limit
    assert isinstance(events[-1], Finished)
    assert sum(isinstance(event, Snapshot) for event in events) == 1
