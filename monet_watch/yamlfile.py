"""YAML files with the position of everything in them, read from people who are not trusted and not programmers.

A subset of YAML is enough for settings, and the rest of it is where its dangers lie: aliases can grow a small file
without limit, tags can name Python objects, and deep nesting ends in a RecursionError. So anchors, aliases and tags
are refused, and size, depth and the number of parts are limited: no file takes long.

Plain scalars are read as a person means them, nearer to YAML 1.2 than to PyYAML's 1.1: ``1e6`` is a number, ``010`` is
ten, ``1:30`` and ``2024-05-01`` are text. ``yes`` and ``on`` are still true.
"""

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

import yaml
from yaml.error import Mark, MarkedYAMLError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from monet_watch.faults import settings_error, shown, told

__all__ = ["DEEPEST", "LIMIT_BYTES", "MOST_PARTS", "Document", "KeyPath", "Position", "load", "load_value"]

LIMIT_BYTES = 64 * 1024
"""A larger file is refused: settings by hand take a hundredth of it."""

DEEPEST = 16
"""More levels of nesting than this are refused: settings have three."""

MOST_PARTS = 2000
"""More keys, values and groups in one file than this are refused: settings have some dozens."""

_LONGEST_NUMBER = 100  # characters; Python refuses to convert some thousands of digits, with an error of its own

KeyPath = tuple[str | int, ...]
"""The way to a value: keys of mappings, indices (from 0) of lists."""

_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # where PyYAML, too, begins a line


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a text file; both numbers count from 1, columns in characters."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Document:
    """The values of one file (str, int, float, bool, None, list, dict), and where each key and each value stands."""

    name: str
    values: Mapping[str, object] = field(default_factory=dict)
    keys: Mapping[KeyPath, Position] = field(default_factory=dict)
    positions: Mapping[KeyPath, Position] = field(default_factory=dict)

    def where(self, path: KeyPath = (), of_key: bool = False) -> str:
        """Return ``file:line:column`` of the value (or the key) at ``path``, else of the nearest part that is there."""
        if of_key and path in self.keys:
            return f"{self.name}:{self.keys[path]}"
        while path and path not in self.positions:
            path = path[:-1]
        return f"{self.name}:{self.positions[path]}" if path else self.name


def load(data: bytes, name: str) -> Document:
    """Return what the YAML file ``name`` with the content ``data`` says; an empty file is an empty mapping.

    Raises SettingsError with every fault as ``file:line:column: what; how to mend it``.
    """
    text = _decoded(data, name)
    root = _composed(text, name)
    builder = _Builder(name)
    values = builder.mapping(root)
    if builder.faults:
        raise settings_error(told(builder.faults, name))
    return Document(name, values, builder.keys, builder.positions)


def load_value(text: str, name: str) -> object:
    """Return the value that ``text`` means to YAML, as after a colon; ``name`` says in messages where it was given.

    Raises SettingsError as `load` does.
    """
    _refuse_control_characters(text, name)
    root = _composed(text, name)
    builder = _Builder(name)
    value = None if root is None else builder.value(root, ())
    if builder.faults:
        raise settings_error(builder.faults)
    return value


def _decoded(data: bytes, name: str) -> str:
    if len(data) > LIMIT_BYTES:
        words = f"the file has {len(data)} bytes, more than {LIMIT_BYTES}; settings are short: is it the right file?"
        raise settings_error([f"{name}: {words}"])
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", errors="replace")
        _refuse(name, _position(before), "the file is not UTF-8 text; save it with the encoding UTF-8")
    _refuse_control_characters(text, name)
    return text


def _refuse_control_characters(text: str, name: str) -> None:
    found = _CONTROL.search(text)
    if found:
        position = _position(text[: found.start()])
        _refuse(name, position, f"a control character ({found[0]!a}) stands here; remove it")


def _position(before: str) -> Position:
    """The place just after the text ``before``."""
    lines = _LINE_BREAK.split(before)
    return Position(len(lines), len(lines[-1]) + 1)


def _refuse(name: str, position: Position, words: str) -> NoReturn:
    raise settings_error([f"{name}:{position}: {words}"])


class _RefusedError(Exception):
    """Something that is YAML and not for settings: where it stands, and the words for it."""

    def __init__(self, mark: Mark, words: str) -> None:
        super().__init__(words)
        self.mark = mark
        self.words = words


_ALIAS = "a word that begins with & or * links parts of a file, which is not for settings; put the value in quotes"
_TAG = "a word that begins with ! is a YAML tag, which is not for settings; remove it, or put the value in quotes"
_TOO_DEEP = f"brackets or lists nest deeper than {DEEPEST} levels; flatten them"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without links and tags, with limited depth and breadth and other plain scalars."""

    depth = 0
    parts = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        """Compose the next node. Raises _RefusedError before anything dangerous is followed."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            raise _RefusedError(event.start_mark, _ALIAS)
        if getattr(event, "tag", None) is not None:
            raise _RefusedError(event.start_mark, _TAG)
        if self.depth > DEEPEST:
            raise _RefusedError(event.start_mark, _TOO_DEEP)
        self.parts += 1
        if self.parts > MOST_PARTS:
            words = f"there are more than {MOST_PARTS} keys and values; keep those needed"
            raise _RefusedError(event.start_mark, words)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def fetch_flow_collection_start(self, token_class: type[yaml.Token]) -> None:
        """Go into a bracket. Raises _RefusedError at one too many: to read ahead takes quadratic time."""
        if self.flow_level > DEEPEST:
            raise _RefusedError(self.get_mark(), _TOO_DEEP)
        super().fetch_flow_collection_start(token_class)


_FLOAT = r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(?i:inf)|\.(?i:nan)"

_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"(?i:yes|no|true|false|on|off)", list("yYnNtTfFoO")),
    ("int", r"[-+]?[0-9][0-9_]*|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})\\Z"), _first)


def _composed(text: str, name: str) -> Node | None:
    """The tree of ``text``; None where there is nothing but comments. The one place where PyYAML's errors end."""
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    except _RefusedError as error:
        _refuse(name, _of_mark(error.mark), error.words)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark or loader.get_mark()
        _refuse(name, _of_mark(mark), _syntax(error, text, mark))
    except (ValueError, OverflowError):  # PyYAML converts escapes such as "\UFFFFFFFF" without a check
        _refuse(name, _of_mark(loader.get_mark()), "a number or an escape here has no meaning; write it out")
    finally:
        loader.dispose()


def _of_mark(mark: Mark) -> Position:
    return Position(mark.line + 1, mark.column + 1)


_SYNTAX: Mapping[str, str] = {
    "expected a single document": "a second document begins here; remove the line of dashes",
    "mapping values are not allowed": "a colon stands where none is expected; put the value in quotes, "
    "or check how this line and the one above are indented",
    "could not find expected ':'": "a key without a colon; write `key: value`",
    "while scanning an alias": _ALIAS,
    "while scanning an anchor": _ALIAS,
    "while scanning a tag": _TAG,
    "while parsing a tag": _TAG,
    "could not determine a constructor": _TAG,
    "while scanning a directive": "a line that begins with % is not for settings; remove it",
    "found unexpected end of stream": "the quotation mark opened at {context} is never closed",
    "found unexpected document": "the quotation mark opened at {context} is never closed",
    "found unknown escape": 'a backslash in "double quotes" begins an escape; use single quotes',
    "expected escape sequence": 'a backslash in "double quotes" begins an escape; use single quotes',
    "while parsing a flow sequence": "the list opened at {context} lacks a comma or its closing ]",
    "while parsing a flow mapping": "the bracket opened at {context} lacks a comma or its closing }}",
    "expected <block end>": "this line does not fit the ones above; begin all keys of a group in the same column",
    "sequence entries are not allowed": "a dash begins a list and stands on a line of its own; move it there",
    "that cannot start any token": "a value cannot begin with this character; put the value in quotes",
}


def _syntax(error: MarkedYAMLError, text: str, mark: Mark) -> str:
    """PyYAML's complaint in words for people, with a way out."""
    if "'\\t'" in (error.problem or ""):
        return _tab(text, mark)
    complaint = f"{error.context or ''}: {error.problem or ''}"
    context = _of_mark(error.context_mark or mark)
    for words, translation in _SYNTAX.items():
        if words in complaint:
            return translation.format(context=context)
    return f"this is no YAML ({error.problem}); write one `key: value` in each line"


def _tab(text: str, mark: Mark) -> str:
    line = _LINE_BREAK.split(text)[mark.line]
    if not line[: mark.column].strip():
        return "the line is indented with a tab; indent with spaces"
    return "a tab stands where a space belongs; replace it by a space"


class _Builder:
    """Turns nodes into plain values, and notes positions and faults on the way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.faults: list[str] = []
        self.keys: dict[KeyPath, Position] = {}
        self.positions: dict[KeyPath, Position] = {}

    def mapping(self, root: Node | None) -> dict[str, object]:
        """The values of a whole file."""
        if root is None:
            return {}
        value = self.value(root, ())
        if value is None:  # such as a lone `---`
            return {}
        if not isinstance(value, dict):
            self._fault(root, "the file must hold settings; write one `key: value` in each line")
            return {}
        return value

    def value(self, node: Node, path: KeyPath) -> object:
        """The plain value of ``node``, which stands at ``path``."""
        self.positions[path] = _of_mark(node.start_mark)
        if isinstance(node, MappingNode):
            return {key: self.value(value, (*path, key)) for key, value in self._items(node, path)}
        if isinstance(node, SequenceNode):
            return [self.value(each, (*path, index)) for index, each in enumerate(node.value)]
        return self._scalar(node)

    def _items(self, node: MappingNode, path: KeyPath) -> Iterator[tuple[str, Node]]:
        """The entries of a mapping without those that are faults."""
        for key, value in node.value:
            if not self._is_text(key):
                self._fault(key, "a key must be a word; put it in quotes if it is meant so")
            elif (*path, key.value) in self.keys:
                first = self.keys[*path, key.value].line
                self._fault(key, f"{shown(key.value)} stands here a second time (first in line {first}); keep one")
            elif self._is_clean(key):
                self.keys[*path, key.value] = _of_mark(key.start_mark)
                yield key.value, value

    def _scalar(self, node: Node) -> object:
        kind, text = node.tag.rpartition(":")[2], node.value
        if kind in ("int", "float") and len(text) > _LONGEST_NUMBER:
            self._fault(node, f"the number has more than {_LONGEST_NUMBER} characters; write it shorter")
            return None
        match kind:
            case "null":
                return None
            case "bool":
                return text.lower() in ("yes", "true", "on")
            case "int":
                return int(text, 16) if text.startswith("0x") else int(text)
            case "float":
                return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        return text if self._is_clean(node) else None

    def _is_text(self, node: Node) -> bool:
        return isinstance(node, ScalarNode) and node.tag.endswith(":str")

    def _is_clean(self, node: Node) -> bool:
        """Whether the text holds no control character, nor half of one, smuggled in by an escape."""
        found = _CONTROL.search(node.value)
        if found:
            self._fault(node, f"a control character ({found[0]!a}) is written here; remove it")
        return not found

    def _fault(self, node: Node, words: str) -> None:
        self.faults.append(f"{self.name}:{_of_mark(node.start_mark)}: {words}")
