"""Names of files as a page shows them, and as its links write them."""

import os
import unicodedata
from pathlib import PurePosixPath
from urllib.parse import quote, unquote_to_bytes

__all__ = ["link", "link_part", "path_of", "shown"]

_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn the direction of writing until they are undone (UAX 9, 2.1 to 2.5): a name could mislead by them."""


def shown(name: PurePosixPath | str) -> str:
    """Return a name as text that can be looked at.

    Control characters and marks that turn the direction of writing are escaped; bytes that are no UTF-8 are U+FFFD.
    """
    text = os.fsencode(str(name)).decode("utf-8", "replace")
    return "".join(each.encode("unicode_escape").decode() if _misleads(each) else each for each in text)


def _misleads(character: str) -> bool:
    return character in _TURNING or unicodedata.category(character) == "Cc"


def link(path: PurePosixPath | str) -> str:
    """Return a relative address of ``path``, percent-encoded byte by byte (RFC 3986, 2.5 and 4.2).

    Its slashes part folders. A name with a colon does not become a scheme, since the colon is encoded.
    """
    return quote(os.fsencode(str(path)), safe="/")


def link_part(name: str) -> str:
    """Return ``name`` as one part of an address: a slash in it parts no folders."""
    return link(name).replace("/", "%2F")


def path_of(address: str) -> PurePosixPath:
    """Return what `link` made ``address`` of, byte for byte."""
    return PurePosixPath(os.fsdecode(unquote_to_bytes(address)))
