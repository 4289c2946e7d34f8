"""The curve of the losses is drawn for every curve and every name, and shows what happened."""

import io
import math
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from monet_watch.engine.events import Losses
from monet_watch.outbox import plot
from monet_watch.outbox.plot import convergence, plot_losses
from monet_watch.recipes import CLASSIC, GALLERY

COLOURS = {"total": (0x22, 0x22, 0x22), "style": (0xD5, 0x5E, 0), "content": (0, 0x72, 0xB2), "tv": (0, 0x9E, 0x73)}


def losses(style: float, content: float, tv: float) -> Losses:
    return Losses(style + content + tv, style, content, tv)


def falling(steps: int) -> list[Losses]:
    """Return losses as a painting has them."""
    return [losses(5100 * k**-1.35 + 22, 20 - 18 * math.exp(-k / 60), 0.1) for k in range(1, steps + 1)]


def drawn(curve: list[Losses], title: str = "IMG_1234.jpg", stages: Sequence[int] = (50, 100)) -> np.ndarray:
    """Return the plot's pixels, int, (H, W, 3)."""
    file = plot_losses(curve, title=title, stages=stages, reason="all steps taken")
    picture = Image.open(io.BytesIO(file))
    assert picture.format == "PNG" and picture.size == (1200, 700)
    return np.asarray(picture.convert("RGB")).astype(int)


def pixels_of(picture: np.ndarray, name: str) -> np.ndarray:
    """Return the (row, column) of every pixel of a component's colour."""
    return np.argwhere(np.abs(picture - COLOURS[name]).max(axis=2) <= 2)


def test_every_component_is_drawn_in_its_colour():
    picture = drawn(falling(400))
    assert all(len(pixels_of(picture, name)) > 500 for name in COLOURS)


def test_a_falling_loss_is_a_line_that_falls():
    picture = drawn([losses(10 ** (4 - k / 50), 0, 0) for k in range(1, 201)])
    inside = pixels_of(picture[110:630, 110:980], "style")
    columns = range(10, 860, 25)
    rows = [inside[inside[:, 1] == column][:, 0].mean() for column in columns]
    steps = np.diff(rows)
    assert all(after > before for before, after in pairwise(rows))
    np.testing.assert_allclose(steps, steps.mean(), atol=1.5)  # exponential decay is straight on a log axis


def test_a_component_without_weight_is_left_out():
    picture = drawn([losses(100 / k, 3, 0) for k in range(1, 100)])
    assert len(pixels_of(picture, "tv")) == 0
    assert len(pixels_of(picture, "content")) > 500


@pytest.mark.parametrize("name", ["style", "content", "tv"])
def test_a_single_step_is_a_point_of_each_component(name):
    assert len(pixels_of(drawn(falling(1))[110:630, 110:990], name)) > 30


def test_stages_are_marked_where_they_were_taken():
    marked, unmarked = drawn(falling(400), stages=range(100, 401, 100)), drawn(falling(400), stages=[])
    columns = np.flatnonzero(np.abs(marked - unmarked)[300:500].max(axis=(0, 2)))
    centres = [group.mean() for group in np.split(columns, np.flatnonzero(np.diff(columns) > 2) + 1)]
    assert len(centres) == 4
    np.testing.assert_allclose(np.diff(centres), np.diff(centres).mean(), atol=1.5)


def test_the_point_of_convergence_is_the_first_step_within_five_percent_of_the_lowest_total():
    totals = [1000 / k for k in range(1, 21)] + [50 - 0.0001 * k for k in range(80)]
    assert totals[19] / min(totals) < 1.05 < totals[18] / min(totals)
    assert convergence(totals) == 20


def test_a_loss_that_comes_near_its_lowest_at_the_end_only_has_not_converged():
    assert convergence([0.9**k for k in range(100)]) is None


def test_a_leap_on_the_way_is_no_matter_to_convergence():
    assert convergence([100.0] * 5 + [10.0] * 10 + [500.0] + [10.0] * 20) == 6


def test_what_was_lost_at_a_smaller_size_does_not_count_for_convergence():
    small, full = [1.0] * 24, [30.0] * 6 + [20.0] * 30
    assert convergence([*small, *full], began=25) == 31


@pytest.mark.parametrize("totals", [[], [1.0], [math.nan] * 20, [1.0] * 9])
def test_of_too_few_steps_or_of_none_that_is_a_number_nobody_says_that_they_converged(totals):
    assert convergence(totals) is None


@settings(max_examples=200)
@given(st.lists(st.floats(1e-6, 1e6), min_size=10, max_size=60), st.integers(1, 8))
def test_wherever_a_loss_has_converged_it_is_near_its_lowest_and_was_not_before(totals, began):
    step = convergence(totals, began)
    if step is not None:
        near = 1.05 * min(totals[began - 1 :])
        assert totals[step - 1] <= near
        assert all(total > near for total in totals[began - 1 : step - 1])


def test_a_ring_stands_where_the_loss_has_converged():
    converged = drawn([losses(1000 / k, 0, 0) for k in range(1, 21)] + [losses(50, 0, 0)] * 81, stages=())
    left, width = 0.085 * 1200, 0.74 * 1200
    place = round(left + width * (19 / 100 + 0.012) / 1.024)  # step 20 of 101, with the margin on either side

    def height(column: int) -> int:
        rows = np.flatnonzero((converged[110:630, column - 1 : column + 2].max(axis=2) < 60).any(axis=1))
        return int(rows.max() - rows.min()) if len(rows) else 0

    assert height(place) > 2 * height(place + 200)


def text_of(curve: list[Losses], recipe) -> list[str]:
    return [f"{line.name} {line.weight}" for line in plot._lines(curve, recipe)]


def test_each_component_tells_its_weight_and_what_the_smoothing_is():
    curve = falling(20)
    assert text_of(curve, CLASSIC) == ["total ", "style 10⁶", "content 1", "TV 10⁻⁶"]
    assert text_of(curve, GALLERY) == ["total ", "style 2", "content 1.5", "smooth 7,000"]
    both = GALLERY.with_changes({"tv_weight": 2.5e-7})
    assert text_of(curve, both)[-1] == "TV + smooth 2.5 × 10⁻⁷, 7,000"


def test_where_the_picture_grew_a_line_stands_between_the_steps():
    plain = drawn(falling(100), stages=())
    file = plot_losses(falling(100), "a", (), "all steps taken", None, [(1, 256), (31, 512)])
    grown = np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(int)
    columns = np.flatnonzero((np.abs(grown - plain)[200:500].max(axis=2) > 20).mean(axis=0) > 0.9)
    place = 0.085 * 1200 + 0.74 * 1200 * ((30.5 - 1) / 99 + 0.012) / 1.024
    assert len(columns) and abs(columns.mean() - place) < 2


@pytest.mark.parametrize(
    "curve",
    [
        [],
        [Losses(0, 0, 0, 0)] * 5,
        [losses(31, 0, 0)] * 200,
        [losses(0, 5, 0), losses(3, 5, 0), losses(0, 5, 0)],
        [losses(1e12 * 10 ** (-k / 20), 3.0 * k, 1e-9) for k in range(1, 401)],
        [losses(1e-300, 1e-305, 0), losses(1e-306, 1e-305, 0)],
        [Losses(math.inf, math.inf, 1, 1), Losses(5, 3, 1, 1), Losses(math.nan, math.nan, 1, 1)],
        falling(10),
        falling(30_000),
    ],
    ids=["empty", "zero", "flat", "with gaps", "huge", "tiny", "not finite", "ten", "many"],
)
def test_no_curve_is_too_strange_to_draw(curve):
    picture = drawn(curve)
    assert (picture < 250).any()
    assert (picture[:, :4] > 250).all() and (picture[:, -4:] > 250).all(), "something is cut off at the edge"


@pytest.mark.parametrize("stages", [range(1, 501), range(7, 501, 7), [], [5, 10, 15, 20, 30, 40, 60]])
def test_any_spacing_of_stages_is_drawn(stages):
    drawn(falling(500), stages=stages)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.builds(losses, *[st.floats(0, 1e15)] * 3), min_size=1, max_size=20))
def test_any_losses_are_drawn_without_a_warning(curve):
    drawn(curve)


@settings(max_examples=8, deadline=None)
@given(st.text())
@example("$x^2$ and $\\frac{1$.jpg")
@example("睡蓮の池.heic")
@example("\x00\x1b[31m\n\t\udcff\u202egpj.exe")
@example("🌸" * 300)
@example("x" * 255)
def test_any_name_is_drawn_without_a_warning_and_inside_the_picture(title):
    picture = drawn(falling(3), title=title)
    assert (picture[:, -4:] > 250).all()


def test_dollars_in_a_name_are_dollars():
    mathematics, plain = drawn(falling(3), title="$x$"), drawn(falling(3), title="x")
    assert (mathematics[:65] < 128).any(axis=2).sum() > 1.5 * (plain[:65] < 128).any(axis=2).sum()


def test_the_same_curve_gives_the_same_bytes():
    arguments = {"title": "a.jpg", "stages": [2], "reason": "all steps taken"}
    assert plot_losses(falling(100), **arguments) == plot_losses(falling(100), **arguments)


def test_drawing_leaves_no_trace_in_matplotlib():
    import matplotlib

    before = dict(matplotlib.rcParams)
    matplotlib.rcParams["lines.linewidth"] = 17.0
    try:
        changed = plot_losses(falling(5), title="a", stages=[1], reason="")
        assert matplotlib.rcParams["lines.linewidth"] == 17.0
    finally:
        matplotlib.rcParams["lines.linewidth"] = before["lines.linewidth"]
    assert changed == plot_losses(falling(5), title="a", stages=[1], reason="")
    assert dict(matplotlib.rcParams) == before


def test_pyplot_and_its_window_are_not_needed():
    program = """
        import sys
        from monet_watch.engine.events import Losses
        from monet_watch.outbox.plot import plot_losses
        plot_losses([Losses(3, 1, 1, 1)], title="a", stages=[1], reason="")
        sys.exit("matplotlib.pyplot" in sys.modules)
    """
    subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(program)], check=True)


# --- Text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (39.4321, "39.4"),
        (5175.2, "5,180"),
        (999.6, "1,000"),
        (0.0912, "0.0912"),
        (123456.0, "123,000"),
        (1.234e-9, "1.2 × 10⁻⁹"),
        (2.5e12, "2.5 × 10¹²"),
        (9.96e-9, "1.0 × 10⁻⁸"),
        (0.0, "0"),
    ],
)
def test_values_have_three_digits(value, text):
    assert plot._value_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (1000.0, "1,000"), (0.01, "0.01"), (1e-7, "10⁻⁷"), (1e12, "10¹²"), (2e6, "2 × 10⁶"), (0.05, "0.05")],
)
def test_ticks_are_plain_numbers_or_powers_of_ten(value, text):
    assert plot._tick_text(value) == text


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_labels_keep_apart_and_in_order(heights):
    places = plot._spread(heights, gap=0.05)
    assert all(upper - lower >= 0.05 - 1e-9 for lower, upper in pairwise(sorted(places)))
    assert min(places) >= 0
    assert all(places[i] <= places[j] for i, a in enumerate(heights) for j, b in enumerate(heights) if a < b)


def test_labels_with_room_stay_where_they_are():
    assert plot._spread([0.9, 0.1, 0.5], gap=0.05) == pytest.approx([0.9, 0.1, 0.5])
