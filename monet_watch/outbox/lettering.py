"""Names as a picture shows them: what fits, in a font that has it, with nothing in it that cannot be seen."""

import re
import unicodedata
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cache
from itertools import groupby
from types import MappingProxyType
from typing import Any

import matplotlib
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

__all__ = ["FONT", "drawable", "drawing", "escaped", "shortened"]

FONT = "DejaVu Sans"
"""It comes with matplotlib."""

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


def drawing(changes: Mapping[Any, Any] = MappingProxyType({})) -> AbstractContextManager[None]:
    """Inside, matplotlib has its own defaults, whatever this machine's users have set, but for ``changes``."""
    defaults: dict[Any, Any] = {name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"}
    return matplotlib.rc_context({**defaults, **changes})


def escaped(text: str) -> str:
    """Return ``text`` with control characters and broken ones escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def shortened(text: str, columns: int) -> str:
    """Cut the middle out of ``text`` where it is too wide: a name's beginning and ending tell most.

    ``columns`` are of half-width characters.
    """
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


def drawable(text: str) -> tuple[str, list[str]]:
    """Return ``text`` and the fonts to draw it with; what none of them has becomes an ellipsis."""
    families = [FONT]
    if not all(_has(FONT, character) for character in text):
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
