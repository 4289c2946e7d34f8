"""The curve of the losses, as a picture: 1200 × 700 pixels, drawn without a display and without global state.

The point of convergence is the first step at full size whose total is within `CONVERGED_WITHIN` of the lowest there.
Where that lies in the last tenth of those steps, the loss was still falling, and there is no such point.
"""

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from monet_watch.engine.events import Losses
from monet_watch.outbox.lettering import FONT, drawable, drawing, escaped, shortened
from monet_watch.recipes import Recipe

__all__ = ["CONVERGED_WITHIN", "convergence", "plot_losses"]

CONVERGED_WITHIN = 0.05
"""How far above the lowest total a painting counts as converged, as a share of it."""

_STILL_FALLING = 0.1  # of the steps: a loss that comes near its lowest only there has not converged
_LEAST_STEPS = 10  # of fewer nobody can say

_WIDTH, _HEIGHT, _DPI = 1200, 700, 100
_LEFT, _RIGHT, _BOTTOM, _TOP = 0.085, 0.825, 0.095, 0.83  # of the axes, as shares of the picture

_INK, _PALE, _PALER = "#333333", "#767676", "#e6e6e6"
_STAGE_INK, _DOTTED = "#b8b8b8", (0, (1, 3))

_TITLE_COLUMNS = 64  # half-width characters that fit above the axes
_FULL_HEIGHT_MARKS = 40  # more lines than this would hide the curves
_MOST_MARKS = 400
_DEEPEST = 1e-5  # of the lowest total: what lies below would only squeeze the rest
_MARGIN = 0.012  # of the steps, left and right of the curves
_RING_TEXT, _RING_TEXT_ABOVE = 0.22, 22  # its width, as a share of the steps, and its distance in pixels
_SMALLEST_RANGE = 5.0  # top of the axis over its bottom, so that a flat curve looks flat


@dataclass(frozen=True, slots=True)
class _Line:
    """One loss over all steps; a value that a log axis cannot show is NaN."""

    name: str
    colour: str
    width: float
    values: tuple[float, ...]
    last: float
    weight: str = ""

    @property
    def visible(self) -> list[float]:
        return [value for value in self.values if not math.isnan(value)]


def convergence(totals: Sequence[float], began: int = 1) -> int | None:
    """Return the step, counted from 1, at which the loss had converged; None where it was still falling at the end.

    Steps before ``began`` do not count: a smaller picture has other losses.
    """
    counted = totals[began - 1 :]
    if len(counted) < _LEAST_STEPS:
        return None
    near = (1 + CONVERGED_WITHIN) * min(counted)
    first = next((number for number, total in enumerate(counted, start=1) if total <= near), len(counted))
    return began - 1 + first if first <= (1 - _STILL_FALLING) * len(counted) else None


def plot_losses(
    curve: Sequence[Losses],
    title: str,
    stages: Sequence[int],
    reason: str,
    recipe: Recipe | None = None,
    sizes: Sequence[tuple[int, int]] = (),
) -> bytes:
    """Return a PNG of ``curve``: total, style, content and TV loss, each times its weight, against steps.

    The loss axis is logarithmic. A component that is zero throughout is left out. Dotted lines stand at
    ``stages``, steps counted from 1, and a ring at the point of `convergence`. ``title`` is the photo's name, whatever
    characters it has; ``reason`` says why it ended. The weights are those of ``recipe``. ``sizes`` holds, for a
    painting that grew, the first step and the short side in pixels of each of its sizes.
    """
    began = sizes[-1][0] if sizes else 1
    converged = convergence([losses.total for losses in curve], began)
    with drawing(_style()):
        figure = Figure(figsize=(_WIDTH / _DPI, _HEIGHT / _DPI), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.add_axes((_LEFT, _BOTTOM, _RIGHT - _LEFT, _TOP - _BOTTOM))
        _write_title(figure, title, _summary(len(curve), reason), _legend(len(curve) - began + 1, stages, converged))
        lines = _lines(curve, recipe)
        _draw(axes, lines, len(curve), stages)
        if lines:
            _mark_sizes(axes, sizes, len(curve))
            _mark_convergence(axes, lines[0], converged)
        file = io.BytesIO()
        figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _style() -> dict[str, object]:
    return {
        "font.family": [FONT],
        "font.size": 11,
        "text.color": _INK,
        "text.parse_math": False,
        "axes.edgecolor": _PALE,
        "axes.labelcolor": _PALE,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.color": _PALE,
        "ytick.color": _PALE,
    }


def _summary(steps: int, reason: str) -> str:
    counted = f"{steps:,} step" + ("" if steps == 1 else "s")
    return "   ·   ".join(filter(None, (counted, escaped(reason))))


def _legend(steps: int, stages: Sequence[int], converged: int | None) -> str:
    """What the marks mean; ``steps`` are those at full size."""
    near = f"the first step within {CONVERGED_WITHIN:.0%} of the lowest total"
    ring = f"ring: converged, {near}" if converged else "still falling at the end"
    return "   ·   ".join(filter(None, (ring if steps >= _LEAST_STEPS else "", "dotted: stages" if stages else "")))


def _lines(curve: Sequence[Losses], recipe: Recipe | None) -> list[_Line]:
    """Return the losses that have anything to show, the total first: the others are drawn on top of it.

    The colours keep apart for every kind of colour vision (Okabe and Ito, "Color Universal Design", 2008).
    """
    smoothing = {"TV": recipe.tv_weight, "smooth": recipe.smooth_weight} if recipe else {"TV": 0.0}
    used = [name for name, weight in smoothing.items() if weight] or ["TV"]
    weights = [recipe.style_weight, recipe.content_weight] if recipe else []
    style_weight, content_weight = map(_weight_text, weights or (None, None))
    tv_weight = ", ".join(filter(None, (_weight_text(smoothing[name]) for name in used)))
    columns = (
        ("total", "#222222", 3.2, [losses.total for losses in curve], ""),
        ("style", "#d55e00", 1.7, [losses.style for losses in curve], style_weight),
        ("content", "#0072b2", 1.7, [losses.content for losses in curve], content_weight),
        (" + ".join(used), "#009e73", 1.7, [losses.tv for losses in curve], tv_weight),
    )
    lines = [
        _Line(name, ink, width, _for_log_axis(values), values[-1], weight)
        for name, ink, width, values, weight in columns
        if values
    ]
    return [line for line in lines if line.visible]


def _for_log_axis(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(value if 0 < value < math.inf else math.nan for value in values)


def _draw(axes: Axes, lines: Sequence[_Line], steps: int, stages: Sequence[int]) -> None:
    _set_steps_axis(axes, steps)
    if not lines:
        axes.set_yticks([])
        axes.text(
            0.5, 0.5, "every loss is zero" if steps else "no step was taken", ha="center", transform=axes.transAxes
        )
        return
    bottom, top = _loss_range(lines)
    _set_loss_axis(axes, bottom, top)
    _mark_stages(axes, stages)
    for order, line in enumerate(lines):
        size = 6 if steps == 1 else 3.5 if steps <= 30 else 0
        axes.plot(
            range(1, steps + 1),
            line.values,
            color=line.colour,
            linewidth=line.width,
            marker="o" if size else "",
            markersize=size + line.width,
            zorder=3 + order,
            solid_capstyle="round",
            solid_joinstyle="round",
        )
    _label_lines(axes, lines, bottom, top)


# --- Axes


def _set_steps_axis(axes: Axes, steps: int) -> None:
    axes.set_xlabel("step", labelpad=6)
    if steps <= 1:
        axes.set_xlim(0.5, 1.5)
        axes.xaxis.set_major_locator(FixedLocator([1]))
    else:
        margin = _MARGIN * (steps - 1)
        axes.set_xlim(1 - margin, steps + margin)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _loss_range(lines: Sequence[_Line]) -> tuple[float, float]:
    """Return the axis' ends: around everything, but not far below the lowest total."""
    highest = max(max(line.visible) for line in lines)
    deepest = min(min(line.visible) for line in lines)
    bottom, top = max(deepest, min(lines[0].visible) * _DEEPEST), highest
    if top < bottom * _SMALLEST_RANGE:
        middle = math.sqrt(bottom) * math.sqrt(top)
        bottom, top = middle / math.sqrt(_SMALLEST_RANGE), middle * math.sqrt(_SMALLEST_RANGE)
    margin = (top / bottom) ** 0.04
    return bottom / margin, top * margin


def _set_loss_axis(axes: Axes, bottom: float, top: float) -> None:
    axes.set_yscale("log")
    axes.set_ylim(bottom, top)
    axes.set_ylabel("loss × weight")
    axes.yaxis.set_label_coords(0.026, (_BOTTOM + _TOP) / 2, transform=axes.figure.transFigure)
    axes.yaxis.set_major_locator(LogLocator(base=10, numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick_text(value)))
    axes.yaxis.set_minor_locator(LogLocator(base=10, subs=range(2, 10), numticks=12))
    labelled = _labelled_digits(math.log10(top) - math.log10(bottom))
    axes.yaxis.set_minor_formatter(
        FuncFormatter(lambda value, _: _tick_text(value) if _leading_digit(value) in labelled else "")
        if labelled
        else NullFormatter()
    )
    axes.tick_params(axis="both", which="major", length=4, width=0.8)
    axes.tick_params(axis="y", which="minor", length=2, width=0.6)
    axes.grid(axis="y", which="both" if len(labelled) > 3 else "major", color=_PALER, linewidth=0.8)
    axes.set_axisbelow(True)


def _labelled_digits(decades: float) -> frozenset[int]:
    """Return which minor ticks bear numbers: more of them where powers of ten are few."""
    if decades < 1:
        return frozenset(range(2, 10))
    return frozenset({2, 3, 5}) if decades < 2 else frozenset()


def _leading_digit(value: float) -> int:
    return int(f"{value:.0e}"[0])


def _mark_stages(axes: Axes, stages: Sequence[int]) -> None:
    if len(stages) > _MOST_MARKS:
        return
    height = 1.0 if len(stages) <= _FULL_HEIGHT_MARKS else 0.02
    for stage in stages:
        axes.axvline(stage, ymax=height, color=_STAGE_INK, linewidth=0.9, linestyle=_DOTTED, zorder=1)


def _mark_sizes(axes: Axes, sizes: Sequence[tuple[int, int]], steps: int) -> None:
    """Say how large the picture was, where it grew."""
    for number, (first, side) in enumerate(sizes if len(sizes) > 1 else ()):
        if first > steps:
            break
        if number:
            axes.axvline(first - 0.5, color=_STAGE_INK, linewidth=1.0, zorder=1)
        axes.annotate(
            f"{side:,} px",
            (max(first - 0.5, 1), 1.0),
            xycoords=axes.get_xaxis_transform(),
            xytext=(4, 3),
            textcoords="offset points",
            color=_PALE,
            fontsize=9.5,
            annotation_clip=False,
        )


def _mark_convergence(axes: Axes, total: _Line, step: int | None) -> None:
    """Put a ring round the total at ``step``, and its number above all that the total does near there."""
    if step is None or math.isnan(total.values[step - 1]):
        return
    steps, value = len(total.values), total.values[step - 1]
    is_far_right, width = step > (1 - _RING_TEXT) * steps, math.ceil(_RING_TEXT * steps)
    covered = total.values[max(0, step - width) : step] if is_far_right else total.values[step - 1 : step + width]
    highest = max(each for each in covered if not math.isnan(each))
    ink = total.colour
    axes.plot(
        [step],
        [value],
        marker="o",
        markersize=11,
        markerfacecolor="white",
        markeredgecolor=ink,
        markeredgewidth=1.8,
        zorder=9,
    )
    axes.annotate(
        f"converged at step {step:,}",
        (step, value),
        xytext=(0, axes.transData.transform((step, highest))[1] + _RING_TEXT_ABOVE),
        textcoords=("offset points", "figure pixels"),
        ha="right" if is_far_right else "left",
        color=ink,
        fontsize=11,
        zorder=8,
        arrowprops={"arrowstyle": "-", "color": _PALE, "linewidth": 0.8, "relpos": (float(is_far_right), 0)},
        annotation_clip=False,
    )


# --- Labels at the lines' ends


def _label_lines(axes: Axes, lines: Sequence[_Line], bottom: float, top: float) -> None:
    """Write each line's name and last value at its end, in its colour, apart from each other."""
    end = 1.0 if len(lines[0].values) == 1 else 1 - _MARGIN / (1 + 2 * _MARGIN)  # where the curves end
    heights = [_height(line.last, bottom, top) for line in lines]
    for line, height, place in zip(
        lines, heights, _spread(heights, gap=0.078 if any(line.weight for line in lines) else 0.052), strict=True
    ):
        axes.plot(
            (end, 1.022),
            (height, place),
            color=line.colour,
            linewidth=1,
            transform=axes.transAxes,
            clip_on=False,
        )
        below = " ↓" if not line.last >= bottom else ""
        axes.text(
            1.028,
            place,
            f"{line.name}  {_value_text(line.last)}{below}",
            color=line.colour,
            fontsize=12.5 if line.name == "total" else 11.5,
            fontweight="bold" if line.name == "total" else "normal",
            verticalalignment="center",
            transform=axes.transAxes,
        )
        if line.weight:
            words = f"weight {line.weight}"
            axes.text(1.028, place - 0.022, words, color=_PALE, fontsize=9, va="top", transform=axes.transAxes)


def _height(value: float, bottom: float, top: float) -> float:
    """Return where ``value`` lies between ``bottom`` (0) and ``top`` (1) of a log axis."""
    if not value > bottom:
        return 0.0
    return min((math.log(value) - math.log(bottom)) / (math.log(top) - math.log(bottom)), 1.0)


def _spread(heights: Sequence[float], gap: float) -> list[float]:
    """Return ``heights`` moved as little as needed to lie ``gap`` apart, and not below 0."""
    order = sorted(range(len(heights)), key=lambda index: (heights[index], -index))
    groups: list[tuple[list[int], float]] = []  # indices from the lowest up, and the lowest one's place
    for index in order:
        group, lowest = [index], heights[index]
        while groups and lowest < groups[-1][1] + gap * len(groups[-1][0]):
            group = groups.pop()[0] + group
            lowest = max(0.0, sum(heights[member] - gap * rank for rank, member in enumerate(group)) / len(group))
        groups.append((group, lowest))
    places = {member: lowest + gap * rank for group, lowest in groups for rank, member in enumerate(group)}
    return [places[index] for index in range(len(heights))]


# --- Numbers as text


def _tick_text(value: float) -> str:
    digit, exponent = _leading_digit(value), math.floor(math.log10(value) + 1e-9)
    if -3 <= exponent <= 4:
        return f"{value:,.{max(0, -exponent)}f}"
    return ("" if digit == 1 else f"{digit} × ") + f"10{_superscript(exponent)}"


def _value_text(value: float) -> str:
    """Return ``value`` with three significant digits, or two beside a power of ten."""
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    rounded = float(f"{value:.2e}")
    exponent = int(f"{rounded:e}".split("e")[1])
    if -3 <= exponent <= 5:
        return f"{rounded:,.{max(0, 2 - exponent)}f}"
    mantissa, power = f"{value:.1e}".split("e")
    return f"{mantissa} × 10{_superscript(int(power))}"


def _weight_text(value: float | None) -> str:
    """Return ``value`` as somebody would write it into settings, with powers of ten as such; empty for nothing."""
    if not value:
        return ""
    mantissa, power = f"{value:e}".split("e")
    if -3 <= int(power) <= 4:
        return f"{value:,g}"
    digits = f"{float(mantissa):g}"
    return ("" if digits == "1" else f"{digits} × ") + f"10{_superscript(int(power))}"


def _superscript(number: int) -> str:
    return str(number).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


# --- The title


def _write_title(figure: Figure, title: str, summary: str, legend: str) -> None:
    text, families = drawable(shortened(escaped(title), _TITLE_COLUMNS))
    figure.text(_LEFT, 0.948, text, fontsize=17, family=families, verticalalignment="center")
    figure.text(_LEFT, 0.902, summary, fontsize=10.5, color=_PALE, verticalalignment="center")
    figure.text(_LEFT, 0.872, legend, fontsize=9.5, color=_PALE, verticalalignment="center")
