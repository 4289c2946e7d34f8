"""Text from strangers, made fit to be shown: names of files come from them, and so do the words of damaged ones."""

import json
import unicodedata

__all__ = ["json_escaped", "printable"]

_JOINERS = "\u200c\u200d"  # without them, emoji and Persian names fall to pieces


def printable(text: str) -> str:
    """Return ``text`` with everything that could steer a terminal, or mislead its reader, escaped as in ``\\x1b``.

    That is: control characters, line breaks, marks that turn the direction of writing, characters that can't be seen,
    and the halves of characters that stand for bytes of names that aren't UTF-8.
    """
    return "".join(each if _is_harmless(each) else each.encode("unicode_escape").decode() for each in text)


def json_escaped(text: str) -> str:
    """Return the JSON ``text`` with the same characters, but for its own line breaks, escaped as JSON escapes them.

    They can only stand within its strings, so that it means the same.
    """
    return "\n".join(line if line.isprintable() else "".join(map(_in_json, line)) for line in text.split("\n"))


def _is_harmless(character: str) -> bool:
    # "Zs" are the spaces that stay on their line: Python counts most as unprintable, and macOS puts them into names.
    return character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs"


def _in_json(character: str) -> str:
    if _is_harmless(character):
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x80 else json.dumps(character)[1:-1]
