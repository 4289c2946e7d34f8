"""How faults in settings are told: one line each, with the place, what is wrong and how to mend it.

Everything that pydantic finds is translated here and nowhere else, so that the daemon's config, a shared folder's
``style.yaml`` and the command line speak with one voice.
"""

import difflib
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from monet_watch.errors import SettingsError

__all__ = ["MOST_FAULTS", "Place", "choice_error", "hint", "nearest", "settings_error", "shown", "told", "translate"]

MOST_FAULTS = 20
"""Faults told of one file; whoever mends twenty will be shown the next twenty."""

Place = Callable[[tuple[str | int, ...], bool], str]
"""Says where the value (False) or the key (True) at a path stands, as ``file:line:column``."""

_LONGEST_SHOWN = 40
_LONGEST_COMPARED = 64  # difflib takes quadratic time, and no setting's name is longer

_BOUNDS: Mapping[str, tuple[str, str]] = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_KINDS: Mapping[str, str] = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text (put it in quotes if it is meant as text)",
    "tuple_type": "a list",
    "list_type": "a list",
    "model_type": "a group of settings (key: value)",
    "model_attributes_type": "a group of settings (key: value)",
    "dict_type": "a group of settings (key: value)",
}


def settings_error(faults: Sequence[str]) -> SettingsError:
    """Return the error that tells all ``faults`` (at least one)."""
    if len(faults) == 1:
        return SettingsError(faults[0], faults=tuple(faults))
    message = f"There are {len(faults)} faults in the settings; the first is {faults[0]}"
    return SettingsError(message, faults=tuple(faults))


def told(faults: Iterable[str], name: str) -> tuple[str, ...]:
    """Return the first `MOST_FAULTS` of the faults of the file ``name``, and a line that says how many are left."""
    everything = list(faults)
    left = len(everything) - MOST_FAULTS
    rest = (f"{name}: and {left} more faults; mend the ones above first",) if left > 0 else ()
    return (*everything[:MOST_FAULTS], *rest)


def translate(error: ValidationError, model: type[BaseModel], place: Place) -> tuple[str, ...]:
    """Return what pydantic found while it validated ``model``, one fault each, in the order of their places."""
    details = _without_echoes(error.errors(include_url=False))
    details.sort(key=lambda detail: _position(place(detail["loc"], detail["type"] == "extra_forbidden")))
    faults = [_translated(each, model, place) for each in itertools.islice(details, MOST_FAULTS)]
    unshown = [""] * (len(details) - len(faults))
    return told(faults + unshown, place((), False))


def _position(place: str) -> list[int]:
    """Line and column at the end of a place; a place without them comes first."""
    return [int(number) for number in re.findall(r":(\d+)", place)[-2:]]


def _without_echoes(details: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out that a list is too short where that is only because none of its entries is valid."""
    above = {detail["loc"][:-1] for detail in details}
    return [detail for detail in details if detail["type"] != "too_short" or detail["loc"] not in above]


def _translated(detail: ErrorDetails, model: type[BaseModel], place: Place) -> str:
    of_key = detail["type"] == "extra_forbidden"
    words = _unknown_key(detail, model) if of_key else _what(detail)
    key = _key(detail["loc"])
    return f"{place(detail['loc'], of_key)}: {key}: {words}" if key else f"{place((), False)}: {words}"


def _key(path: tuple[str | int, ...]) -> str:
    """``("log", "level")`` is shown as ``log.level``, ``("style_layers", 2)`` as ``style_layers[3]``."""
    parts = (f"[{part + 1}]" if isinstance(part, int) else f".{_plain(part)}" for part in path)
    return "".join(parts).removeprefix(".")


def _plain(key: str) -> str:
    """A key as it stands where it is an ordinary word, else quoted and shortened."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", key) else shown(key)


def _unknown_key(detail: ErrorDetails, model: type[BaseModel]) -> str:
    *above, key = detail["loc"]
    keys = sorted(_model_at(model, above).model_fields)
    return f"there is no such setting; {hint(str(key), keys)}"


def _model_at(model: type[BaseModel], path: Iterable[str | int]) -> type[BaseModel]:
    for part in path:
        inner = model.model_fields[str(part)].annotation
        for each in get_args(inner) or (inner,):  # a group that may be left out is a union with None
            if isinstance(each, type) and issubclass(each, BaseModel):
                model = each
    return model


def _what(detail: ErrorDetails) -> str:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"must be {words} {_number(context[bound])}, not {shown(value)}"
    if kind in _KINDS:
        return f"must be {_KINDS[kind]}, not {shown(value)}"
    if kind == "literal_error":
        return _no_choice(value, re.findall(r"'([^']*)'", str(context["expected"])))
    if kind in ("too_short", "missing_argument"):
        return "must not be empty; name at least one, or remove the line"
    return str(context["error"]) if kind == "value_error" else detail["msg"]


def _no_choice(value: object, choices: Sequence[str]) -> str:
    return f"{shown(value)} is not one of the choices; {hint(value if isinstance(value, str) else '', choices)}"


def choice_error(value: str, choices: Iterable[str]) -> PydanticCustomError:
    """Return what a validator raises when ``value`` is none of the ``choices``."""
    words = _no_choice(value, sorted(choices))
    return PydanticCustomError("choice", "{words}", {"words": words})


def hint(word: str, choices: Sequence[str]) -> str:
    """Return ``did you mean 'x'?`` for the choice nearest to ``word``, else a line that lists them."""
    near = nearest(word, choices)
    if near is not None:
        return f"did you mean {near!r}?"
    return f"choose one of {', '.join(choices)}" if choices else "there is none to choose from"


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that ``word`` most probably stands for, None where it is like none of them."""
    if not 0 < len(word) <= _LONGEST_COMPARED:
        return None
    folded = {_folded(choice): choice for choice in choices}
    wanted = _folded(word)
    close = difflib.get_close_matches(wanted, folded, n=1) or _containing(wanted, folded)
    return folded[close[0]] if close else None


def _folded(word: str) -> str:
    return re.sub(r"[\s_-]+", "_", word.strip().casefold())


def _containing(word: str, choices: Iterable[str]) -> list[str]:
    """The one choice that contains ``word``, or lies within it: ``size`` for ``image_size``."""
    found = [each for each in choices if min(len(each), len(word)) >= 4 and (word in each or each in word)]
    return found if len(found) == 1 else []


def _number(bound: object) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def shown(value: object) -> str:
    """Return ``value`` as it may stand in a message: short, and with everything unprintable escaped."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a group of settings"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value[: _LONGEST_SHOWN + 1]) if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST_SHOWN + 2 else f"{text[:_LONGEST_SHOWN]}…"
