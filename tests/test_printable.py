"""What strangers write can be shown anywhere, and still be read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monet_watch.printable import json_escaped, printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x9b31m\x85", "\\x9b31m\\x85"),
        ("\u202egpj.exe\u2066\u061c", "\\u202egpj.exe\\u2066\\u061c"),
        ("\u2028\u2029\u200b\ufeff", "\\u2028\\u2029\\u200b\\ufeff"),
        ("\udcff\ud800", "\\udcff\\ud800"),
        ("[bold]x[/]", "[bold]x[/]"),
        ("C:\\photos\\CON.jpg", "C:\\photos\\CON.jpg"),
        ("睡蓮 été 👩‍🌾 at\u202f3.45\u00a0PM", "睡蓮 été 👩‍🌾 at\u202f3.45\u00a0PM"),
    ],
)
def test_what_could_steer_a_terminal_or_mislead_is_escaped_and_nothing_else(name, shown):
    assert printable(name) == shown


@given(st.text(st.characters()))
def test_whatever_a_name_holds_it_becomes_one_line_that_can_be_encoded(name):
    shown = printable(name)
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown
    assert not any(ord(each) < 0x20 or 0x7F <= ord(each) < 0xA0 for each in shown)


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)), st.booleans())
def test_escaped_json_means_the_same_and_holds_nothing_that_cannot_be_seen(value, in_ascii):
    text = json_escaped(json.dumps(value, indent=1, ensure_ascii=in_ascii))
    assert json.loads(text) == value
    assert all(printable(line) == line for line in text.split("\n"))


def test_delete_and_the_characters_beyond_sixteen_bits_are_escaped_in_json_too():
    assert json_escaped('"\x7f\U000e0041é"') == '"\\u007f\\udb40\\udc41é"'
