"""The objective as a device bears it: in tiles where memory is short, with idle layers at rest, fp32 at the end."""

import itertools

import pytest
import torch

from monet_watch.engine.evaluator import Evaluator, StyleMemory, is_out_of_memory
from monet_watch.engine.losses import Objective, style_targets
from monet_watch.engine.vgg import VGG19
from monet_watch.recipes import Recipe

RECIPE = Recipe(image_size=32)


def picture(height, width, seed):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def make_evaluator(network, photo, recipe=RECIPE, *, precision="fp32", tile=None, remarks=None):
    memory, style = StyleMemory(network), picture(32, 32, 9)

    def targets(precision, tile):
        return memory.targets((b"style",), lambda: [style], recipe, precision, (tile,))

    remark = [].append if remarks is None else remarks.append
    return Evaluator(network, photo, targets, recipe, precision=precision, tiles=lambda precision: tile, remark=remark)


OUT_OF_MEMORY = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)."),
    MemoryError(),
]


def limited(convolutions, largest, error):
    """A network on a device that bears windows of ``largest`` pixels."""

    class Limited(VGG19):
        def walk(self, image, tile, *arguments, **options):
            rows, columns = tile.window(0)
            if (rows.stop - rows.start) * (columns.stop - columns.start) > largest:
                raise error
            return super().walk(image, tile, *arguments, **options)

    return Limited(convolutions)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_too_little_memory_is_known_by_its_error(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("an index is out of range"), ValueError("out of memory")])
def test_no_other_error_is_taken_for_it(error):
    assert not is_out_of_memory(error)


# Pixels: the whole has 184320; a tile of 320 sees 70 more beyond its inner edge, 112320; one of 256 at most 77896.
@pytest.mark.parametrize("error", OUT_OF_MEMORY[:2], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("largest", "tiles"), [(200_000, []), (150_000, [320]), (112_320, [320]), (112_319, [320, 256])]
)
def test_where_memory_is_short_it_goes_on_in_smaller_and_smaller_tiles_to_the_same_losses(
    tiny_network, tiny_convolutions, error, largest, tiles
):
    photo, image, remarks = picture(288, 640, 1), picture(288, 640, 2), []
    expected = make_evaluator(tiny_network, photo)(image)
    found = make_evaluator(limited(tiny_convolutions, largest, error), photo, remarks=remarks)(image)

    for name in ("total", "style", "content", "tv"):
        assert getattr(found.losses, name) == pytest.approx(getattr(expected.losses, name), rel=1e-4)
    assert (found.gradient - expected.gradient).norm() < 1e-4 * expected.gradient.norm()
    assert remarks == [f"Went on in tiles of {t} pixels: the memory was too short for more at a time." for t in tiles]


def test_where_no_smaller_tile_is_left_the_error_comes_through(tiny_convolutions):
    remarks = []
    evaluator = make_evaluator(
        limited(tiny_convolutions, 2000, OUT_OF_MEMORY[0]), picture(288, 640, 1), remarks=remarks
    )

    with pytest.raises(torch.cuda.OutOfMemoryError):
        evaluator(picture(288, 640, 2))
    assert len(remarks) == 2


def test_the_delivered_losses_find_smaller_tiles_as_well(tiny_network, tiny_convolutions):
    photo, image, remarks = picture(288, 640, 1), picture(288, 640, 2), []
    short = make_evaluator(limited(tiny_convolutions, 125_000, OUT_OF_MEMORY[1]), photo, remarks=remarks)

    expected = make_evaluator(tiny_network, photo).delivered(image).total
    assert short.delivered(image).total == pytest.approx(expected, rel=1e-4)
    assert len(remarks) == 1


def test_any_other_error_comes_through_at_once(tiny_convolutions):
    remarks = []
    network = limited(tiny_convolutions, 0, RuntimeError("CUDA error: an illegal memory access was encountered"))
    with pytest.raises(RuntimeError, match="illegal"):
        make_evaluator(network, picture(288, 640, 1), remarks=remarks)(picture(288, 640, 2))

    assert remarks == []


class Depths(VGG19):
    """Notes the deepest layer of each walk."""

    def __init__(self, convolutions):
        super().__init__(convolutions)
        self.deepest = []

    def walk(self, image, tile, layers, **options):
        self.deepest.append(max(layers))
        return super().walk(image, tile, layers, **options)


def depths_of(convolutions, recipe, steps=18):
    """The deepest layer that each evaluation went through."""
    network = Depths(convolutions)
    evaluator = make_evaluator(network, picture(32, 40, 1), recipe)
    evaluator(picture(32, 40, 2))
    network.deepest.clear()
    for _ in range(steps):
        evaluator(picture(32, 40, 2))
    return network.deepest


def test_a_deepest_layer_that_matters_little_is_measured_in_one_evaluation_of_eight(tiny_convolutions):
    expected = ["conv4_2"] * 7 + ["conv5_1"] + ["conv4_2"] * 7 + ["conv5_1"] + ["conv4_2"] * 2

    assert depths_of(tiny_convolutions, RECIPE.with_changes({"rest_below": 0.9})) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"rest_below": 0.0},
        {"rest_below": 1e-12},
        {"rest_below": 0.9, "content_layers": ["conv5_1"]},
    ],
    ids=["no wish", "it matters", "the content needs it"],
)
def test_otherwise_every_layer_is_measured_every_time(tiny_convolutions, changes):
    assert set(depths_of(tiny_convolutions, RECIPE.with_changes(changes))) == {"conv5_1"}


def test_while_a_layer_rests_its_loss_counts_as_it_was_measured_last(tiny_network):
    recipe, photo = RECIPE.with_changes({"rest_below": 0.9}), picture(32, 40, 1)
    images = [picture(32, 40, seed) for seed in range(2, 12)]
    without = recipe.with_changes({"style_layers": ["conv1_1", "conv2_1", "conv3_1", "conv4_1"]})
    targets = style_targets(tiny_network, [picture(32, 32, 9)], recipe)
    whole, part = (Objective(tiny_network, photo, targets, each) for each in (recipe, without))
    evaluator = make_evaluator(tiny_network, photo, recipe)
    found = [evaluator(image) for image in images]

    for measured, numbers in ((0, range(1, 8)), (8, (9,))):
        assert found[measured].losses == whole(images[measured]).losses
        rested = whole(images[measured]).style_layers["conv5_1"]
        for number in numbers:
            expected = part(images[number])
            assert found[number].losses.total == pytest.approx(expected.losses.total + rested, rel=1e-6)
            assert found[number].losses.style == pytest.approx(expected.losses.style + rested, rel=1e-6)
            assert torch.equal(found[number].gradient, expected.gradient)


def test_the_delivered_losses_are_whole_and_in_fp32(tiny_network):
    recipe, photo, image = RECIPE.with_changes({"rest_below": 0.9}), picture(32, 40, 1), picture(32, 40, 2)
    evaluator = make_evaluator(tiny_network, photo, recipe, precision="bf16")
    for _ in range(3):
        evaluator(image)
    targets = style_targets(tiny_network, [picture(32, 32, 9)], recipe)

    expected = Objective(tiny_network, photo, targets, recipe).losses(image)
    assert evaluator.delivered(image) == expected
    assert evaluator(image).losses.total == pytest.approx(expected.total, rel=1e-6)


class Styles:
    """Counts how often a style is asked for."""

    def __init__(self):
        self.asked = []

    def ask(self, memory, name, recipe=RECIPE, precision="fp32", tile=None):
        def styles():
            self.asked.append(name)
            return [picture(24, 24, len(name))]

        return memory.targets((name,), styles, recipe, precision, (tile,))


def test_a_style_is_measured_once_for_each_precision_and_each_number_that_it_depends_on(tiny_network):
    memory, styles = StyleMemory(tiny_network), Styles()
    recipes = [RECIPE.with_changes(each) for each in ({}, {"padding": "reflect"}, {"style_layers": ["conv1_1"]})]
    for _ in range(2):
        for recipe, precision in itertools.product(recipes, ("fp32", "bf16")):
            styles.ask(memory, b"monet", recipe, precision)
    assert len(styles.asked) == 6

    styles.ask(memory, b"monet", RECIPE.with_changes({"steps": 7, "content_weight": 3, "seed": 1}))
    assert len(styles.asked) == 6
    assert styles.ask(memory, b"monet") is styles.ask(memory, b"monet")


def test_a_style_measured_in_other_tiles_is_measured_again(tiny_network):
    """Sums taken in another order differ in their last bits: a painting must not depend on those before it."""
    memory, styles = StyleMemory(tiny_network), Styles()
    for tile in (None, 16, None, 16):
        styles.ask(memory, b"monet", tile=tile)

    assert len(styles.asked) == 2


def test_the_style_that_was_not_used_for_longest_is_forgotten_first(tiny_network):
    memory, styles = StyleMemory(tiny_network, room=2), Styles()
    for name in (b"a", b"b", b"a", b"c", b"a", b"b"):
        styles.ask(memory, name)

    assert styles.asked == [b"a", b"b", b"c", b"b"]
