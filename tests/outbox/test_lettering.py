"""Names in pictures: shortened, escaped, and drawn with what fonts there are."""

from hypothesis import given
from hypothesis import strategies as st

from monet_watch.outbox import lettering
from monet_watch.outbox.lettering import drawable, escaped, shortened


@given(st.text(alphabet=st.characters(categories=["L", "N", "P"])), st.integers(5, 80))
def test_a_long_name_keeps_its_beginning_and_its_ending(name, columns):
    short = shortened(name, columns)
    assert lettering._width(short) <= max(columns, 1)
    if short != name:
        head, _, tail = short.partition("…") if "…" not in name else (short[:1], "", short[-1:])
        assert name.startswith(head) and name.endswith(tail)


def test_control_characters_are_escaped():
    assert escaped("a\nb\x1b\udcffé") == "a\\nb\\x1b\\udcffé"


def test_what_no_font_has_becomes_an_ellipsis(monkeypatch):
    monkeypatch.setattr(lettering, "_FONTS_FOR_OTHER_SCRIPTS", ())
    assert drawable("睡蓮_pond.jpg") == ("…_pond.jpg", ["DejaVu Sans"])


def test_an_installed_font_serves_what_the_usual_one_lacks(monkeypatch):
    wanted = chr(0xE0B1)  # a private character that STIX fonts bring along
    assert not lettering._has("DejaVu Sans", wanted) and lettering._has("STIXNonUnicode", wanted)
    monkeypatch.setattr(lettering, "_FONTS_FOR_OTHER_SCRIPTS", ("No Such Font", "STIXNonUnicode"))
    assert drawable(f"a{wanted}b") == (f"a{wanted}b", ["DejaVu Sans", "STIXNonUnicode"])
