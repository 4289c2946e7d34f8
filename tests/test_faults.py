"""How faults in settings are told."""

from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from monet_watch.errors import SettingsError
from monet_watch.faults import MOST_FAULTS, choice_error, hint, nearest, settings_error, shown, told, translate

FRUITS = ("apple", "pear", "plum")


def _fruit(value: str) -> str:
    if value not in FRUITS:
        raise choice_error(value, FRUITS)
    return value


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("must be even; add one")
    return value


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    level: Literal["low", "high"] = "low"


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)
    count: int = Field(1, ge=1, lt=10)
    share: float = Field(0.5, gt=0, le=1.5)
    flag: bool = False
    name: str = ""
    fruit: Annotated[str, AfterValidator(_fruit)] = "apple"
    even: Annotated[int, AfterValidator(_even)] = 2
    layers: list[Literal["conv1_1", "conv1_2"]] = Field(["conv1_1"], min_length=1)
    inner: Inner = Inner()


def place(path, of_key):
    return f"f:{'key' if of_key else 'value'}:{len(path)}"


def faults(**values) -> tuple[str, ...]:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate(values)
    return translate(caught.value, Model, place)


@pytest.mark.parametrize(
    ("values", "told_as"),
    [
        ({"count": 0}, "f:value:1: count: must be at least 1, not 0"),
        ({"count": 10}, "f:value:1: count: must be less than 10, not 10"),
        ({"share": 0.0}, "f:value:1: share: must be more than 0, not 0.0"),
        ({"share": 2.0}, "f:value:1: share: must be at most 1.5, not 2.0"),
        ({"share": float("inf")}, "f:value:1: share: must be a finite number, not inf"),
        ({"count": "3"}, "f:value:1: count: must be a whole number, not '3'"),
        ({"count": 1.5}, "f:value:1: count: must be a whole number, not 1.5"),
        ({"share": "x"}, "f:value:1: share: must be a number, not 'x'"),
        ({"flag": 1}, "f:value:1: flag: must be true or false, not 1"),
        ({"flag": None}, "f:value:1: flag: must be true or false, not nothing"),
        ({"name": 3}, "f:value:1: name: must be text (put it in quotes if it is meant as text), not 3"),
        ({"name": True}, "f:value:1: name: must be text (put it in quotes if it is meant as text), not true"),
        ({"layers": "conv1_1"}, "f:value:1: layers: must be a list, not 'conv1_1'"),
        ({"layers": []}, "f:value:1: layers: must not be empty; name at least one, or remove the line"),
        ({"inner": 3}, "f:value:1: inner: must be a group of settings (key: value), not 3"),
        ({"inner": [1]}, "f:value:1: inner: must be a group of settings (key: value), not a list"),
        ({"even": 3}, "f:value:1: even: must be even; add one"),
        ({"fruit": "appel"}, "f:value:1: fruit: 'appel' is not one of the choices; did you mean 'apple'?"),
        ({"fruit": "x"}, "f:value:1: fruit: 'x' is not one of the choices; choose one of apple, pear, plum"),
        ({"counts": 1}, "f:key:1: counts: there is no such setting; did you mean 'count'?"),
        ({"inner": {"lvel": 1}}, "f:key:2: inner.lvel: there is no such setting; did you mean 'level'?"),
        (
            {"inner": {"level": "hihg"}},
            "f:value:2: inner.level: 'hihg' is not one of the choices; did you mean 'high'?",
        ),
        ({"inner": {"level": 3}}, "f:value:2: inner.level: 3 is not one of the choices; choose one of low, high"),
        (
            {"layers": ["conv1_1", "conv1_22"]},
            "f:value:2: layers[2]: 'conv1_22' is not one of the choices; did you mean 'conv1_2'?",
        ),
    ],
)
def test_what_pydantic_finds_is_told_with_place_key_and_remedy(values, told_as):
    assert faults(**values) == (told_as,)


def test_all_faults_are_told_at_once():
    assert len(faults(count=0, share=0.0, flag=1, nothing=1)) == 4


def test_faults_are_told_in_the_order_of_their_lines():
    lines = {"flag": 10, "count": 2, "nonsense": 9}
    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"count": 0, "flag": 3, "nonsense": 1})
    told_of = translate(caught.value, Model, lambda path, of_key: f"f:{lines[path[0]]}:1" if path else "f")
    assert [fault.split(": ")[0] for fault in told_of] == ["f:2:1", "f:9:1", "f:10:1"]


def test_an_odd_key_is_quoted_and_shortened():
    (only,) = faults(**{"a b\x1b" + "x" * 100: 1})
    assert "\x1b" not in only
    assert len(only) < 200


def test_after_many_faults_the_number_of_the_rest_is_told():
    found = faults(**{f"k{number}": 1 for number in range(MOST_FAULTS + 5)})
    assert len(found) == MOST_FAULTS + 1
    assert found[-1].endswith("and 5 more faults; mend the ones above first")


def test_exactly_as_many_faults_as_are_told_have_no_rest():
    assert told(["a"] * MOST_FAULTS, "f") == ("a",) * MOST_FAULTS
    assert told(["a"] * (MOST_FAULTS + 1), "f")[-1] == "f: and 1 more faults; mend the ones above first"


def test_one_fault_is_the_message_itself():
    error = settings_error(["f:1:2: a: wrong"])
    assert isinstance(error, SettingsError)
    assert (error.message, error.faults) == ("f:1:2: a: wrong", ("f:1:2: a: wrong",))


def test_of_several_faults_the_message_tells_the_number_and_the_first():
    error = settings_error(["first", "second"])
    assert error.faults == ("first", "second")
    assert "2 faults" in error.message and "first" in error.message


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("stepz", "steps"),
        ("STEPS", "steps"),
        ("image-size", "image_size"),
        ("Image Size", "image_size"),
        ("size", "image_size"),
        ("xyz", None),
        ("", None),
        ("s" * 1000, None),
    ],
)
def test_the_nearest_choice_is_the_one_that_was_meant(word, meant):
    assert nearest(word, ["steps", "image_size", "style_weight", "content_weight"]) == meant


def test_a_piece_of_two_choices_stands_for_neither():
    assert nearest("left", ["left_hand_of_the_king"]) == "left_hand_of_the_king"
    assert nearest("left", ["left_hand_of_the_king", "left_foot_of_the_queen"]) is None


def test_a_hint_lists_the_choices_where_none_is_near():
    assert hint("q", ["one", "two"]) == "choose one of one, two"
    assert hint("q", []) == "there is none to choose from"


@pytest.mark.parametrize(
    ("value", "words"),
    [(True, "true"), (False, "false"), (None, "nothing"), ({}, "a group of settings"), ([], "a list"), (1.5, "1.5")],
)
def test_values_are_shown_as_people_write_them(value, words):
    assert shown(value) == words


@given(st.text())
def test_text_is_shown_short_and_printable(text):
    words = shown(text)
    assert words.isprintable()
    assert len(words) <= 42  # 40 characters and two quotation marks
    assert words == repr(text) or words.endswith("…")
