"""Names of files by people who mean harm, and what must not come out of any of them."""

import os

__all__ = ["NAMES", "dangers_in"]

NAMES: tuple[str, ...] = (
    "\x1b[31;5mred\x1b]0;title\x07",
    "two\nlines\r<3>forged: a line of a log",
    "tab\tbell\x07delete\x7f",
    "c1 \x9b2J\x85next",
    "right \u202egpj.exe\u2066\u2067\u2069\u200f\u061c",
    "hidden \u200b\u2060\ufeff\U000e0041",
    "breaks \u2028\u2029",
    "[bold red]markup [link=file:x]y",
    "<script>alert(1)<img src=x onerror=alert(1)>&amp;",
    "$(touch owned) `touch owned` ; touch owned | %s %n {0} ${HOME}",
    "--help -rf",
    "'; DROP TABLE jobs; --\"",
    "math $\\frac{1}{0$ \\input",
    os.fsdecode(b"not utf-8 \xff\xfe caf\xe9"),
    "\U0001f3a8\u200d\U0001f469 é 睡蓮",
)
"""As they may stand before the ending of a photo's name; none has a slash."""


def dangers_in(text: str) -> str:
    """The characters of ``text``, but for its line breaks, that could steer a terminal or mislead who reads it."""
    return "".join(each for each in text if _is_dangerous(ord(each)))


def _is_dangerous(code: int) -> bool:
    # Written as ranges of Unicode, and not by asking Python, which is what the program does.
    controls = (code < 0x20 and code != 0x0A) or 0x7F <= code <= 0x9F
    directions = code in (0x061C, 0x200E, 0x200F) or 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069
    unseen = code in (0x200B, 0x2060, 0xFEFF, 0x2028, 0x2029) or 0xE0000 <= code <= 0xE007F
    return controls or directions or unseen or 0xD800 <= code <= 0xDFFF
