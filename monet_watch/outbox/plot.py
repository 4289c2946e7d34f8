"""The curve of the losses, as a picture: 1200 × 700 pixels, drawn without a display and without global state."""

import io
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from monet_watch.engine.events import Losses

__all__ = ["plot_losses"]

_WIDTH, _HEIGHT, _DPI = 1200, 700, 100
_LEFT, _RIGHT, _BOTTOM, _TOP = 0.085, 0.825, 0.095, 0.855  # of the axes, as shares of the picture

_INK, _PALE, _PALER = "#333333", "#767676", "#e6e6e6"
_STAGE_INK, _DOTTED = "#c4c4c4", (0, (1, 3))

_FONT = "DejaVu Sans"  # comes with matplotlib
_FONTS_FOR_OTHER_SCRIPTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Source Han Sans",
    "Droid Sans Fallback",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "IPAGothic",
    "Hiragino Sans",
    "PingFang SC",
    "Yu Gothic",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Unifont",
)

_TITLE_COLUMNS = 64  # half-width characters that fit above the axes
_FULL_HEIGHT_MARKS = 40  # more lines than this would hide the curves
_MOST_MARKS = 400
_DEEPEST = 1e-5  # of the lowest total: what lies below would only squeeze the rest
_MARGIN = 0.012  # of the steps, left and right of the curves
_SMALLEST_RANGE = 5.0  # top of the axis over its bottom, so that a flat curve looks flat


@dataclass(frozen=True, slots=True)
class _Line:
    """One loss over all steps; a value that a log axis cannot show is NaN."""

    name: str
    colour: str
    width: float
    values: tuple[float, ...]
    last: float

    @property
    def visible(self) -> list[float]:
        return [value for value in self.values if not math.isnan(value)]


def plot_losses(curve: Sequence[Losses], title: str, stages: Sequence[int], reason: str) -> bytes:
    """Return a PNG of ``curve``: total, style, content and TV loss, each times its weight, against steps.

    The loss axis is logarithmic. A component that is zero throughout is left out. Thin marks stand at
    ``stages``, steps counted from 1. ``title`` is the photo's name, whatever characters it has; ``reason`` says why it
    ended.
    """
    with matplotlib.style.context(["default", _style()]):
        figure = Figure(figsize=(_WIDTH / _DPI, _HEIGHT / _DPI), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.add_axes((_LEFT, _BOTTOM, _RIGHT - _LEFT, _TOP - _BOTTOM))
        _write_title(figure, title, _summary(len(curve), stages, reason))
        _draw(axes, _lines(curve), len(curve), stages)
        file = io.BytesIO()
        figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _style() -> dict[str, object]:
    return {
        "font.family": [_FONT],
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


def _summary(steps: int, stages: Sequence[int], reason: str) -> str:
    counted = f"{steps:,} step" + ("" if steps == 1 else "s")
    marks = "dotted lines: stages" if stages else ""
    return "   ·   ".join(filter(None, (counted, _printable(reason), marks)))


def _lines(curve: Sequence[Losses]) -> list[_Line]:
    """Return the losses that have anything to show, the total first: the others are drawn on top of it.

    The colours keep apart for every kind of colour vision (Okabe and Ito, "Color Universal Design", 2008).
    """
    columns = (
        ("total", "#222222", 3.2, [losses.total for losses in curve]),
        ("style", "#d55e00", 1.7, [losses.style for losses in curve]),
        ("content", "#0072b2", 1.7, [losses.content for losses in curve]),
        ("TV", "#009e73", 1.7, [losses.tv for losses in curve]),
    )
    lines = [
        _Line(name, ink, width, _for_log_axis(values), values[-1]) for name, ink, width, values in columns if values
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


# --- Labels at the lines' ends


def _label_lines(axes: Axes, lines: Sequence[_Line], bottom: float, top: float) -> None:
    """Write each line's name and last value at its end, in its colour, apart from each other."""
    end = 1.0 if len(lines[0].values) == 1 else 1 - _MARGIN / (1 + 2 * _MARGIN)  # where the curves end
    heights = [_height(line.last, bottom, top) for line in lines]
    for line, height, place in zip(lines, heights, _spread(heights, gap=0.052), strict=True):
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


def _superscript(number: int) -> str:
    return str(number).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


# --- The title


def _write_title(figure: Figure, title: str, summary: str) -> None:
    text, families = _drawable(_shortened(_printable(title), _TITLE_COLUMNS))
    figure.text(_LEFT, 0.938, text, fontsize=17, family=families, verticalalignment="center")
    figure.text(_LEFT, 0.886, summary, fontsize=10.5, color=_PALE, verticalalignment="center")


def _printable(text: str) -> str:
    """Return ``text`` with control characters and broken ones escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def _shortened(text: str, columns: int) -> str:
    """Cut the middle out of ``text`` where it is too wide: a name's beginning and ending tell most."""
    if _width(text) <= columns:
        return text
    head, tail = "", ""
    for first, last in zip(text, reversed(text), strict=True):
        if _width(head + first + tail) >= columns:
            break
        head += first
        if _width(head + last + tail) >= columns:
            break
        tail = last + tail
    return f"{head}…{tail}"


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _drawable(text: str) -> tuple[str, list[str]]:
    """Return ``text`` and the fonts to draw it with; what none of them has becomes an ellipsis."""
    families = [_FONT]
    if not all(_has(_FONT, character) for character in text):
        families += [name for name in _FONTS_FOR_OTHER_SCRIPTS if name in _installed()]
    parts = groupby(text, key=lambda character: any(_has(family, character) for family in families))
    shown = "".join("".join(part) if drawable else "…" for drawable, part in parts)
    return re.sub("…+", "…", shown), families


@cache
def _installed() -> frozenset[str]:
    return frozenset(entry.name for entry in fontManager.ttflist)


def _has(family: str, character: str) -> bool:
    font = get_font(findfont(FontProperties(family=family)))
    return font.get_char_index(ord(character)) != 0
