"""YAML from people who are not trusted and not programmers. Lines and columns are counted by hand."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monet_watch.errors import SettingsError
from monet_watch.yamlfile import DEEPEST, LIMIT_BYTES, MOST_PARTS, Document, Position, load, load_value


def faults(data: bytes | str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(data.encode() if isinstance(data, str) else data, "f.yaml")
    return caught.value.faults


def fault(data: bytes | str) -> str:
    (only,) = faults(data)
    return only


# What is read.


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-12", -12),
        ("1_000", 1000),
        ("010", 10),
        ("0x1F", 31),
        ("1e6", 1e6),
        ("1e-6", 1e-6),
        ("1.0e+6", 1e6),
        (".5", 0.5),
        ("1.", 1.0),
        ("-.5E2", -50.0),
        (".inf", float("inf")),
        ("-.inf", float("-inf")),
        ("true", True),
        ("No", False),
        ("ON", True),
        ("~", None),
        ("null", None),
        ("", None),
        ("1:30", "1:30"),
        ("2024-05-01", "2024-05-01"),
        ("1.2.3", "1.2.3"),
        ("'400'", "400"),
        ('"yes"', "yes"),
        ("e6", "e6"),
        ("=", "="),
        ("[1, two]", [1, "two"]),
        ("{a: {b: c}}", {"a": {"b": "c"}}),
        ("a sea, a hill", "a sea, a hill"),
    ],
)
def test_a_value_means_what_a_person_means_by_it(text, value):
    assert load_value(text, "x") == value
    assert type(load_value(text, "x")) is type(value)


def test_not_a_number_is_read_as_such():
    value = load_value(".nan", "x")
    assert value != value


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "\n\n", "\ufeff", "--- # nothing\n..."])
def test_a_file_without_settings_is_empty(text):
    assert load(text.encode(), "f.yaml").values == {}


def test_a_byte_order_mark_and_windows_line_ends_are_no_matter():
    document = load(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "f.yaml")
    assert document.values == {"a": 1, "b": 2}
    assert document.keys["b",] == Position(2, 1)


def test_every_key_and_value_has_its_place():
    document = load(b"# c\nsteps: 400\n\nlog:\n  level: info\nlayers: [a,  b]\nstyles:\n  - x\n  -   y\n", "f.yaml")
    assert document.keys["steps",] == Position(2, 1)
    assert document.positions["steps",] == Position(2, 8)
    assert document.positions["log", "level"] == Position(5, 10)
    assert document.keys["log", "level"] == Position(5, 3)
    assert document.positions["layers", 1] == Position(6, 14)
    assert document.positions["styles", 1] == Position(9, 7)


def test_columns_count_characters_and_not_bytes():
    assert load("ü: {é: 1}\n".encode(), "f.yaml").positions["ü", "é"] == Position(1, 8)


def test_where_falls_back_to_what_is_there():
    document = load(b"a: 1\nb: {c: 2}\n", "f.yaml")
    assert document.where(("b", "c")) == "f.yaml:2:8"
    assert document.where(("b", "c"), of_key=True) == "f.yaml:2:5"
    assert document.where(("b", "d", 3)) == "f.yaml:2:4"
    assert document.where(("x",)) == "f.yaml"
    assert Document("none").where(("x", "y"), of_key=True) == "none"


# What is refused.


def test_a_key_that_stands_twice_is_told_with_its_first_line():
    assert fault("steps: 1\nlr: 1\nsteps: 2\n") == (
        "f.yaml:3:1: 'steps' stands here a second time (first in line 1); keep one"
    )


def test_a_key_that_stands_twice_in_a_group_is_told():
    assert fault("log:\n  level: a\n  level: b\n").startswith("f.yaml:3:3: 'level' stands here a second time")


def test_the_same_key_in_two_groups_is_no_fault():
    assert load(b"a: {x: 1}\nb: {x: 1}\n", "f.yaml").values == {"a": {"x": 1}, "b": {"x": 1}}


def test_all_faults_of_a_file_are_told_at_once():
    assert [each.split(": ")[0] for each in faults("a: 1\na: 2\n3: x\nb: 1\nb: 2\n")] == [
        "f.yaml:2:1",
        "f.yaml:3:1",
        "f.yaml:5:1",
    ]


def test_a_bomb_of_aliases_is_refused_at_its_first_anchor():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    message = fault("\n".join(lines))
    assert message.startswith("f.yaml:1:5: ") and "& or *" in message


@pytest.mark.parametrize(
    "text", ["a: *b\n", "a: &b 1\n", "<<: *b\n", "&a a: 1\n", "a: &a [*a]\n", "a: *\n", "a: *.jpg\n"]
)
def test_anchors_and_aliases_are_refused(text):
    assert "& or *" in fault(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system [ls]\n",
        "a: !!python/name:os.system\n",
        "a: !x 1\n",
        "a: !!str 1\n",
        "!!map {a: 1}\n",
        "a: !<tag:yaml.org,2002:str> x\n",
        "a: ! 1\n",
    ],
)
def test_tags_are_refused(text):
    assert "YAML tag" in fault(text)


def test_a_tag_with_a_handle_is_refused_too():
    assert fault("a: !h!x 1\n").startswith("f.yaml:1:4: ")


def test_a_merge_key_is_a_word_like_any_other():
    assert load(b"<<: {a: 1}\n", "f.yaml").values == {"<<": {"a": 1}}


@pytest.mark.parametrize(
    ("text", "place"), [("log:\n\tlevel: info\n", "f.yaml:2:1"), ("steps:\t400\n\tlr: 1\n", "f.yaml:1:7")]
)
def test_a_tab_is_told_where_it_stands(text, place):
    message = fault(text)
    assert message.startswith(f"{place}: ")
    assert "tab" in message and "space" in message


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"a: 1\nb: \xff\n", "f.yaml:2:4"),
        ("a: é\nß: x\n".encode("latin-1"), "f.yaml:1:4"),
        ("a: 1\n".encode("utf-16"), "f.yaml:1:1"),
        (b"\xef\xbb\xbfa: \xe9\n", "f.yaml:1:4"),  # the byte order mark takes no column
        (b"a: \xed\xa0\x80\n", "f.yaml:1:4"),  # half a surrogate pair
        (b"a: b\xc3", "f.yaml:1:5"),
    ],
)
def test_bytes_that_are_no_utf8_are_told_where_they_stand(data, place):
    assert fault(data) == f"{place}: the file is not UTF-8 text; save it with the encoding UTF-8"


@pytest.mark.parametrize(
    "data", [b"a: 1\nb: \x00\n", b"a: 1\nb: \x1b[2J\n", "a: 1\nb: \u0080\n".encode(), b"a: 1\nb: \x07\n"]
)
def test_control_characters_are_told_and_never_repeated(data):
    message = fault(data)
    assert message.startswith("f.yaml:2:4: a control character")
    assert message.isprintable()


def test_control_characters_smuggled_in_by_escapes_are_told():
    message = fault('a: "x\\e[2J"\n')
    assert message.startswith("f.yaml:1:4: a control character") and message.isprintable()
    assert "control character" in fault('"a\\0b": 1\n')


@pytest.mark.parametrize(
    "data", [b"\x89PNG\r\n\x1a\n" + bytes(range(256)), b"\xff\xd8\xff\xe0", bytes(1000), b"PK\x03\x04"]
)
def test_a_binary_file_is_one_fault(data):
    assert fault(data).startswith("f.yaml:1:")


def test_a_file_of_more_than_64_kibibytes_is_refused_and_one_of_exactly_that_is_read():
    text = b"a: 1 #"
    assert load(text + b"x" * (LIMIT_BYTES - len(text)), "f.yaml").values == {"a": 1}
    assert fault(text + b"x" * (LIMIT_BYTES - len(text) + 1)).startswith(
        "f.yaml: the file has 65537 bytes, more than 65536"
    )


@pytest.mark.parametrize("text", ["a: " + "[" * 30000, "[" * 60000, "a: " + "{a: " * 15000, "- " * 30000, "? " * 30000])
def test_deep_nesting_is_refused_without_a_crash(text):
    assert fault(text).startswith("f.yaml:1:")


def test_nesting_is_told_where_it_is_too_deep():
    deep = DEEPEST - 1  # the file itself is the first level, and the innermost value the last
    assert load(f"a: {'[' * deep}1{']' * deep}".encode(), "f.yaml").values
    assert "nest deeper than 16 levels" in fault(f"a: {'[' * (deep + 1)}1{']' * (deep + 1)}")


def test_a_file_of_two_thousand_parts_is_read_and_one_of_more_is_told_where_it_grows_too_large():
    def listed(count):
        return "a: [" + ",".join(["1"] * count) + "]"  # beside the mapping, its key and the list

    assert len(load(listed(MOST_PARTS - 3).encode(), "f.yaml").values["a"]) == MOST_PARTS - 3
    place = f"f.yaml:1:{len('a: [') + 2 * (MOST_PARTS - 3) + 1}"
    assert fault(listed(MOST_PARTS - 2)) == f"{place}: there are more than 2000 keys and values; keep those needed"


@pytest.mark.parametrize(
    "text", ["a: [" + "1," * 30000 + "]", "- - 1\n" * 9000, "k: 1\n" * 9000, "? a\n" * 9000, "a: {" + "b: , " * 9000]
)
def test_a_file_full_of_small_parts_is_refused_before_they_are_all_read(text):
    assert "more than 2000 keys and values" in faults(text)[0]


@pytest.mark.parametrize("text", ["a: " + "9" * 5000, "a: 0x" + "f" * 5000, "a: 1e" + "9" * 5000])
def test_endless_numbers_are_refused(text):
    assert "more than 100 characters" in fault(text)


def test_a_number_beyond_every_bound_is_infinite_and_no_crash():
    assert load_value("1e999", "x") == float("inf")


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words\n", "3\n"])
def test_a_file_that_holds_no_settings_is_told(text):
    assert "the file must hold settings" in fault(text)


@pytest.mark.parametrize(
    "text", ["3: a\n", "true: a\n", "[a]: b\n", "{a: b}: c\n", "? [a]\n: b\n", "null: 1\n", "1e3: a\n"]
)
def test_a_key_that_is_no_word_is_told(text):
    assert "a key must be a word" in fault(text)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1", "a second document begins here"),
        ("a: 1\nb\n", "f.yaml:3:1", "a key without a colon"),
        ("a: b: c\n", "f.yaml:1:5", "a colon stands where none is expected"),
        ("a: [1, 2\nb: 3\n", "f.yaml:2:2", "the list opened at 1:4"),
        ("a: 'x\nb: 2\n", "f.yaml:3:1", "the quotation mark opened at 1:4 is never closed"),
        ('a: "C:\\pictures"\n', "f.yaml:1:8", "use single quotes"),
        ("a: 1\n  b: 2\n", "f.yaml:2:4", "a colon stands where none is expected"),
        ("a: @x\n", "f.yaml:1:4", "put the value in quotes"),
        ("a: - b\n", "f.yaml:1:4", "a dash begins a list"),
        ("%YAML one\n---\na: 1\n", "f.yaml:1:7", "a line that begins with %"),
        ('a: "\\UFFFFFFFF"\n', "f.yaml:1:", "no meaning"),
    ],
)
def test_what_is_no_yaml_is_told_with_place_and_way_out(text, place, words):
    message = fault(text)
    assert message.startswith(place)
    assert words in message


def test_a_value_of_the_command_line_is_told_by_its_name():
    with pytest.raises(SettingsError) as caught:
        load_value("&a 1", "command line: steps")
    assert caught.value.faults[0].startswith("command line: steps:1:1: ")


# Whatever comes.


@given(st.binary(max_size=200))
@example(b"\xff")
@example(b"a: \x85b")
def test_any_bytes_are_read_or_told_and_never_crash(data):
    try:
        document = load(data, "f.yaml")
    except SettingsError as error:
        assert all(each.isprintable() for each in error.faults)
    else:
        assert isinstance(document.values, dict)


@given(st.text("ab1.:-[]{}&*!|>'\"#%@`\\ \t\n,?~e", max_size=60))
def test_any_punctuation_is_read_or_told_and_never_crashes(text):
    try:
        load(text.encode(), "f.yaml")
    except SettingsError as error:
        assert all(each.startswith("f.yaml") and each.isprintable() for each in error.faults)


words = st.from_regex(r"[a-z_]{1,8}", fullmatch=True).filter(lambda word: load_value(word, "x") == word)


@given(st.dictionaries(words, st.integers(-(10**9), 10**9), min_size=1))
def test_every_key_stands_where_its_line_is(values):
    document = load("".join(f"{key}: {value}\n" for key, value in values.items()).encode(), "f.yaml")
    assert document.values == values
    assert [document.keys[key,].line for key in values] == list(range(1, len(values) + 1))
