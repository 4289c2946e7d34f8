"""A picture taken in tiles has the losses and the gradient of the whole, everywhere, and takes the memory foretold."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from monet_watch.engine.losses import Objective, style_targets
from monet_watch.engine.precision import best_precision
from monet_watch.engine.tiles import GRID, SMALLEST_TILE, block_of, choose_tile, memory_bytes, smaller, split
from monet_watch.errors import PaintingError
from monet_watch.recipes import LAYERS, Recipe

RECIPE = Recipe(content_layers=("conv2_2", "conv4_2"), style_weight=100, tv_weight=1e-4)
SIZES = [(210, 263), (160, 331)]
GAUSSIAN = {"style_statistic": "gaussian", "style_tap": "after_relu"}
GIB = 2**30


def picture(height, width, seed):
    """Noise with a slope of brightness, so that no two tiles are alike."""
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))
    return 0.7 * noise + torch.linspace(0, 0.3, width)


def evaluations(network, size, tiles, precision="fp32", **changes):
    """Return what the objective of the recipe with ``changes`` says of one image with each of ``tiles``."""
    dtype = torch.float64 if precision == "fp64" else torch.float32
    image, photo, style = (picture(*each, seed).to(dtype) for seed, each in enumerate((size, size, (97, 120)), start=1))
    recipe = RECIPE.with_changes(changes)
    targets = style_targets(network, [style], recipe, precision=precision)
    return [Objective(network, photo, targets, recipe, precision=precision, tile=tile)(image) for tile in tiles]


def assert_same(found, expected):
    for name in ("total", "style", "content", "tv"):
        assert getattr(found.losses, name) == pytest.approx(getattr(expected.losses, name), rel=1e-4)
    assert relative(found.gradient, expected.gradient) < 1e-4


def relative(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("padding", ["zeros", "replicate", "reflect"])
@pytest.mark.parametrize("style", [{}, {**GAUSSIAN, "style_falloff": 0.5}], ids=["gram", "gaussian"])
def test_losses_and_gradient_are_those_of_the_whole(tiny_network, size, padding, style):
    """For tiles that divide the picture and tiles that do not, with an odd side, whatever lies beyond the borders."""
    whole, *tiled = evaluations(tiny_network, size, [None, 48, 112, 160], padding=padding, **style)
    for found in tiled:
        assert_same(found, whole)


@pytest.mark.parametrize("padding", ["zeros", "replicate", "reflect"])
def test_so_is_the_gradient_of_each_strip_along_a_border_or_an_edge_and_of_each_corner(tiny_network, padding):
    whole, tiled = (e.gradient for e in evaluations(tiny_network, (210, 263), [None, 48], padding=padding))
    strips = [slice(0, 1), slice(0, 4), slice(-4, None), slice(-1, None), slice(46, 50), slice(94, 98)]
    everything = slice(None)
    for rows, columns in itertools.product([everything, *strips], repeat=2):
        assert relative(tiled[..., rows, columns], whole[..., rows, columns]) < 1e-4


@pytest.mark.parametrize("style", [{}, {**GAUSSIAN, "style_falloff": 4.0}], ids=["gram", "gaussian"])
def test_in_double_precision_nothing_but_rounding_is_left(tiny_network, style):
    whole, tiled = evaluations(tiny_network, (145, 177), [None, 32], precision="fp64", **style)

    assert relative(tiled.gradient, whole.gradient) < 1e-9
    assert tiled.losses.total == pytest.approx(whole.losses.total, rel=1e-9)


def test_no_seam_shows_in_the_difference(tiny_network):
    """Along the edges of tiles the gradient is no further from the whole's than elsewhere, but for rounding."""
    whole, tiled = (e.gradient for e in evaluations(tiny_network, (192, 192), [None, 64]))
    difference = (tiled - whole).abs()
    edges = torch.cat([difference[..., 62:66], difference[..., 126:130]])

    assert edges.max() < 1e-4 * whole.abs().mean()


def test_the_style_s_moments_are_the_same_in_tiles(tiny_network):
    recipe = RECIPE.with_changes({"style_statistic": "gaussian"})
    whole, tiled = (style_targets(tiny_network, [picture(150, 203, 3)], recipe, tiles=[t]) for t in (None, 64))
    for name in RECIPE.style_layers:
        torch.testing.assert_close(tiled[name].second, whole[name].second, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(tiled[name].mean, whole[name].mean, rtol=1e-4, atol=1e-5)


def test_losses_alone_are_those_of_the_evaluation(tiny_network):
    image, photo = picture(90, 133, 1), picture(90, 133, 2)
    targets = style_targets(tiny_network, [photo], RECIPE)
    for tile in (None, 48):
        objective = Objective(tiny_network, photo, targets, RECIPE, tile=tile)
        expected, found = objective(image).losses, objective.losses(image)
        assert found.total == pytest.approx(expected.total, rel=1e-6)
        assert found.content == pytest.approx(expected.content, rel=1e-6)


@pytest.mark.parametrize("size", [(16, 16), (37, 300), (271, 256), (512, 513)])
@pytest.mark.parametrize("tile", [None, 16, 64, 256])
def test_what_the_tiles_own_is_a_partition_of_every_layer(size, tile):
    height, width = size
    for block in range(5):
        owners = torch.zeros(height >> block, width >> block, dtype=torch.int)
        for piece in split(height, width, tile, LAYERS):
            assert owners[piece.home(block)].numel() > 0
            owners[piece.home(block)] += 1
        assert (owners == 1).all()


def test_tiles_are_no_larger_than_asked_but_for_a_remainder_and_aligned_to_the_poolings():
    for length in range(16, 1200, 7):
        pieces = split(length, 64, 128, LAYERS)
        for piece in pieces:
            rows = piece.rows[0]
            assert rows.own_start % GRID == 0
            assert rows.own_stop - rows.own_start <= 128 + (15 if piece is pieces[-1] else 0)


@pytest.mark.parametrize(("layer", "field"), [("conv1_1", 3), ("conv2_2", 14), ("conv4_2", 84), ("conv5_1", 156)])
def test_the_surroundings_of_a_tile_are_as_wide_as_the_receptive_field(layer, field):
    """The receptive field's side by the usual recursion: plus (kernel - 1) · stride at every layer."""
    side, stride = 1, 1
    for name in LAYERS[: 1 + LAYERS.index(layer)]:
        if name.endswith("_1") and name != "conv1_1":
            side, stride = side + stride, stride * 2
        side += 2 * stride
    assert side == field

    middle = split(2048, 2048, 512, [layer])[5]  # the second of four in both directions
    rows = middle.rows[0]
    step = 2 ** block_of(layer)
    assert rows.own_start - rows.start == rows.stop - rows.own_stop == (field - step) // 2


@pytest.mark.parametrize("tile", [0, 8, 100, -16])
def test_a_tile_that_does_not_fit_the_pooling_grid_is_refused(tile):
    with pytest.raises(ValueError, match="multiple of 16"):
        split(256, 256, tile, LAYERS)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize(("height", "width"), [(512, 512), (2048, 3072), (4096, 4096)])
def test_the_tile_chosen_is_the_largest_that_fits(precision, height, width):
    for limit in (3 * GIB, 4 * GIB, 12 * GIB, 64 * GIB):
        tile = choose_tile(height, width, precision, limit)
        assert memory_bytes(height, width, precision, tile) <= limit
        if tile is None:
            continue
        assert tile >= SMALLEST_TILE and tile % GRID == 0
        assert memory_bytes(height, width, precision) > limit
        assert memory_bytes(height, width, precision, tile + GRID) > limit or tile + GRID >= max(height, width)


def test_where_no_tile_fits_the_need_is_told():
    with pytest.raises(PaintingError, match=r"4096 × 4096 pixels needs \d+\.\d GiB") as caught:
        choose_tile(4096, 4096, "fp32", GIB // 2)
    assert "image_size" in caught.value.remedy


def test_after_a_lack_of_memory_tiles_are_halved_until_they_are_the_smallest():
    tried = [None]
    while (tile := smaller(tried[-1], 1500, 2000)) is not None:
        tried.append(tile)

    assert tried == [None, 1008, 512, 256]
    assert smaller(None, 200, 256) is None
    assert smaller(None, 300, 200) == 256


NATIVE = best_precision(torch.device("cpu"))  # bf16, but where a processor would emulate it, in the memory of fp32

MEASURE = """
import ctypes, resource, sys
import torch
sys.path.insert(0, "tests")
libc = ctypes.CDLL(None)
libc.mallopt(-3, 1 << 30), libc.mallopt(-1, 1 << 30)  # as workers do; what is freed may lie in pieces
from monet_watch.engine.losses import Objective, style_targets
from monet_watch.engine.vgg import VGG19
from monet_watch.recipes import CLASSIC, LAYERS
torch.set_num_threads(1)
widths = (64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512)
network = VGG19({n: (torch.randn(o, i, 3, 3) * (2 / 9 / i) ** 0.5, torch.zeros(o))
                 for n, i, o in zip(LAYERS, (3, *widths), widths)})
height, width, precision, tile = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]) or None
small = torch.rand(1, 3, 32, 32)
targets = style_targets(network, [small], CLASSIC, precision=precision)
Objective(network, small, targets, CLASSIC, precision=precision)(small)
before = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
image = torch.rand(1, 3, height, width)
Objective(network, image, targets, CLASSIC, precision=precision, tile=tile)(image)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))  # ru_maxrss counts the parent's
print(int(peak.split()[1]) * 1024 - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is told by Linux only")
@pytest.mark.parametrize(
    ("height", "width", "precision", "tile"), [(512, 512, "fp32", 0), (512, 768, NATIVE, 0), (640, 640, "fp32", 256)]
)
def test_the_memory_foretold_is_what_an_evaluation_takes(height, width, precision, tile):
    """Measured as the growth of a process's peak: no more than foretold, and at least half of it.

    The peak of one process may lie a third higher, by how its allocator happened to split what was freed.
    """
    command = [sys.executable, "-c", MEASURE, *map(str, (height, width, precision, tile))]

    def measured() -> float:
        done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
        return int(done.stdout) / memory_bytes(height, width, precision, tile or None)

    assert any(0.5 < measured() <= 1.0 for _ in range(3))
