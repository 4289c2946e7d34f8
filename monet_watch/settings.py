"""Settings of each folder: what a ``style.yaml`` may hold, how folders inherit, and where every value came from.

Inheritance, from weak to strong: the recipe's own numbers, the daemon config's ``defaults``, then the ``style.yaml`` of
each folder from the inbox root down. The ``recipe`` named deepest is the base, and the keys given explicitly on *any*
level apply over it, the deepest last: a folder that picks another recipe keeps the ``image_size`` that was asked for
above it. A key without a value counts as not given.

A picture named ``style.jpg`` (or .png and so on), or several named ``style-*.jpg``, are the style of their folder and
of the folders below it, until a deeper one names its own. All that lie in one folder are used together, in the order of
their names. A ``style:`` key in the same folder's ``style.yaml`` counts instead of them.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Optional

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    WithJsonSchema,
    create_model,
)
from pydantic.fields import FieldInfo

from monet_watch.errors import SettingsError
from monet_watch.faults import choice_error, settings_error, shown, told, translate
from monet_watch.output import FORMATS, TIMELAPSES, Format, Output, Timelapse
from monet_watch.recipes import RECIPES, Recipe
from monet_watch.styles.library import (
    DEFAULT_STYLE,
    StyleLibrary,
    StyleSource,
    is_picture_name,
    read_inside,
    read_style,
    readable,
)
from monet_watch.yamlfile import LIMIT_BYTES, Document, KeyPath, Position, load, load_value

__all__ = [
    "BESIDE_THE_PAINTING",
    "BUILT_IN",
    "DEFAULT_RECIPE",
    "FORMER_DEFAULTS",
    "MOST_PRIORITY",
    "MOST_STYLES",
    "Defaults",
    "FolderSettings",
    "Origin",
    "ResolvedSettings",
    "StyleSettings",
    "identity",
    "is_settings_file",
    "is_style_picture",
    "json_schema",
    "origins_of",
    "resolve_single",
    "settings_key",
]

DEFAULT_RECIPE = "swift"
"""The recipe where none is named anywhere."""

FORMER_DEFAULTS = ("classic",)
"""What `DEFAULT_RECIPE` has been in earlier versions: what was painted with it counts as painted."""

MOST_STYLES = 16
"""More style pictures than this for one painting are refused: each is held in memory."""

MOST_PRIORITY = 100
"""A folder's priority lies between minus this and this; 0 where none is given."""

BESIDE_THE_PAINTING = ("priority", "output", "jpeg_quality", "webp_quality", "keep_location", "timelapse")
"""Settings that change nothing of a painting: nothing is painted anew when they change."""

_FORMER_SPACING = 10
"""Steps between stages of the recipes whose stages come further and further apart, before they did."""

_COMMAND_LINE = "command line"
_SETTINGS_NAMES = ("style.yaml", "style.yml")
_FIRST_FIELDS = frozenset(
    (
        "image_size", "enlarge", "style_layers", "content_layers", "style_weight", "content_weight", "tv_weight",
        "steps", "lr", "history_size", "save_every", "style_scale", "initial_image", "seed",
    )
)  # fmt: skip
_OUTPUT_KEYS = BESIDE_THE_PAINTING[1:]
_BESIDE_THE_RECIPE = ("recipe", "style", "priority", *_OUTPUT_KEYS)
_RECIPE_KEYS = tuple(name for name in Recipe.model_fields if name != "recipe")


def _known_recipe(name: str) -> str:
    if name not in RECIPES:
        raise choice_error(name, RECIPES)
    return name


def _listed(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple):
        return value
    raise ValueError(f"must be the name or the path of a picture, or a list of them, not {shown(value)}")


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty; write the name or the path of a picture, or remove the line")
    return value.strip()


def _some_and_not_too_many(styles: tuple[str, ...]) -> tuple[str, ...]:
    if not styles:
        raise ValueError("must not be empty; name at least one, or remove the line")
    if len(styles) > MOST_STYLES:
        raise ValueError(f"{len(styles)} styles are more than {MOST_STYLES}; name fewer")
    return styles


def _formats(value: object) -> object:
    """One format or several; ``jpg`` is what many call a JPEG."""
    listed = (value,) if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not listed:
        raise ValueError(f"must be png, jpeg or webp, or a list of them, not {shown(value)}")
    names = ["jpeg" if each == "jpg" else each for each in listed]
    for name in names:
        if name not in FORMATS:
            raise choice_error(str(name), FORMATS)
    return tuple(name for name in FORMATS if name in names)


def _timelapse(value: object) -> object:
    """``true`` and ``false`` are what many would write."""
    name = {True: "webp", False: "none"}[value] if isinstance(value, bool) else value
    if name not in TIMELAPSES:
        raise choice_error(str(name), TIMELAPSES)
    return name


_FORMATS_SCHEMA = {
    "anyOf": [
        {"enum": [*FORMATS, "jpg"]},
        {"type": "array", "items": {"enum": [*FORMATS, "jpg"]}, "minItems": 1},
    ]
}
_TIMELAPSE_SCHEMA = {"anyOf": [{"type": "string", "enum": [*TIMELAPSES]}, {"type": "boolean"}]}
_TimelapseName = Annotated[Timelapse, BeforeValidator(_timelapse), WithJsonSchema(_TIMELAPSE_SCHEMA)]
_Formats = Annotated[tuple[Format, ...], BeforeValidator(_formats), WithJsonSchema(_FORMATS_SCHEMA)]
_STYLE_SCHEMA = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": MOST_STYLES},
    ]
}
_RecipeName = Annotated[str, AfterValidator(_known_recipe)]
_Styles = Annotated[
    tuple[Annotated[str, AfterValidator(_not_blank)], ...],
    AfterValidator(_some_and_not_too_many),
    BeforeValidator(_listed),
    WithJsonSchema(_STYLE_SCHEMA),
]


def _may_be_missing(info: FieldInfo) -> Any:
    """A recipe's field with its bounds and words, that need not be given, and takes no text for a number."""
    strict = [Strict()] if info.annotation in (int, float, bool) else []
    bounded = Annotated[(info.annotation, *info.metadata, *strict)] if info.metadata or strict else info.annotation
    return (Optional[bounded], Field(None, description=info.description))  # noqa: UP045 (a value, not an annotation)


if TYPE_CHECKING:
    _RecipeValues = BaseModel
else:
    _RecipeValues = create_model(
        "_RecipeValues", **{name: _may_be_missing(Recipe.model_fields[name]) for name in _RECIPE_KEYS}
    )


class StyleSettings(_RecipeValues):
    """What a style.yaml may hold: the fields of `Recipe` with the same bounds, ``style`` and ``priority``.

    None means not given.

    Frozen. Raises pydantic.ValidationError on unknown keys, on values out of bounds, and on text or fractions where
    whole numbers belong; a whole number serves where any number does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    recipe: _RecipeName | None = Field(None, description="the named recipe that the other values start from")
    style: _Styles | None = Field(
        None,
        description="the style picture: a name of the library, or a path from this file's folder; or a list of them",
    )
    priority: Annotated[int, Strict()] | None = Field(
        None,
        ge=-MOST_PRIORITY,
        le=MOST_PRIORITY,
        description="which photos are painted first: those of the highest priority; it changes nothing of the painting",
    )
    output: _Formats | None = Field(
        None, description="the formats of the painting's files; a PNG is there in any case, and is what was painted"
    )
    jpeg_quality: Annotated[int, Strict()] | None = Field(None, ge=1, le=100, description="quality of JPEG files")
    webp_quality: Annotated[int, Strict()] | None = Field(None, ge=1, le=100, description="quality of WebP files")
    keep_location: Annotated[bool, Strict()] | None = Field(
        None, description="whether the painting's files tell where the photo was taken"
    )
    timelapse: _TimelapseName | None = Field(
        None, description="a moving picture of the stages: a WebP, or an MP4 where ffmpeg is installed; or none"
    )

    def changes(self) -> dict[str, object]:
        """The recipe values given explicitly."""
        values = ((name, getattr(self, name)) for name in _RECIPE_KEYS)
        return {name: value for name, value in values if value is not None}

    def output_changes(self) -> dict[str, Any]:
        """What is given of the fields of `Output`."""
        given = {"formats": self.output, **{name: getattr(self, name) for name in _OUTPUT_KEYS[1:]}}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from; str() gives e.g. ``holiday/style.yaml:3``, ``recipe swift``, ``built in``."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"

    @property
    def place(self) -> str:
        """Like str(), with the column, as messages about faults begin."""
        return str(self) if self.column is None else f"{self}:{self.column}"


BUILT_IN = Origin("built in")
"""Where the values come from that nobody has given."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """The daemon config's ``defaults``; ``folder`` is what its relative style paths are relative to."""

    settings: StyleSettings = field(default_factory=StyleSettings)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class ResolvedSettings:
    """How the photos of one folder are painted, and where each value came from (every Recipe key, and the others).

    ``priority`` says which are painted first and ``output`` in which files they are delivered, and nothing of the
    painting. ``former`` is what the same settings meant
    with each of `FORMER_DEFAULTS`; empty where a recipe is named.
    """

    recipe: Recipe
    styles: tuple[StyleSource, ...]
    origins: Mapping[str, Origin]
    former: tuple[Recipe, ...] = ()
    priority: int = 0
    output: Output = field(default_factory=Output)


@dataclass(frozen=True, slots=True)
class _NamedStyle:
    """A style as somebody named it: looked up only if no deeper level names another."""

    place: str
    look_up: Callable[[], StyleSource]


@dataclass(frozen=True, slots=True)
class _Level:
    """What one place says: the config's defaults, one folder, or the command line."""

    settings: StyleSettings = field(default_factory=StyleSettings)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    styles: tuple[_NamedStyle, ...] = ()
    faults: tuple[str, ...] = ()


class FolderSettings:
    """The settings of every folder of an inbox, read once until `refresh`."""

    def __init__(self, inbox: Path, defaults: Defaults, library: StyleLibrary) -> None:
        self._inbox = inbox
        self._library = library
        self._defaults = _of_defaults(defaults, library)
        self._levels: dict[PurePosixPath, _Level] = {}

    def resolve(self, folder: PurePosixPath) -> ResolvedSettings:
        """``folder`` is relative to the inbox (``PurePosixPath()`` is the inbox); one that is gone only inherits.

        Raises SettingsError with every fault in the settings of this folder and the ones above it.
        """
        chain = [folder, *folder.parents][::-1]
        return _resolved([self._defaults, *map(self._level, chain)], self._library)

    def refresh(self) -> None:
        """Forget what was read; the next `resolve` looks at the folders again."""
        self._levels.clear()

    def folders_with_settings(self) -> tuple[PurePosixPath, ...]:
        """Every folder of the inbox, relative to it, in which a settings file or a style picture lies, sorted.

        Hidden folders are skipped, and symlinks to folders are not followed.
        """
        found = []
        for folder, subfolders, names in os.walk(self._inbox):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            if any(is_settings_file(name) or is_style_picture(name) for name in names):
                found.append(PurePosixPath(Path(folder).relative_to(self._inbox).as_posix()))
        return tuple(sorted(found))

    def faults(self, folders: Iterable[PurePosixPath]) -> tuple[str, ...]:
        """Return whatever keeps photos of the ``folders`` from being painted, in their settings or style pictures."""
        faults: dict[str, None] = {}
        read = set[StyleSource]()
        for folder in dict.fromkeys(folders):
            try:
                for source in set(self.resolve(folder).styles) - read:
                    read_style(source)
                    read.add(source)
            except SettingsError as error:
                faults.update(dict.fromkeys(error.faults))
        return tuple(faults)

    def _level(self, folder: PurePosixPath) -> _Level:
        if folder not in self._levels:
            self._levels[folder] = self._read_level(folder)
        return self._levels[folder]

    def _read_level(self, folder: PurePosixPath) -> _Level:
        try:
            names = self._file_names(folder)  # of maybe thousands of photos
        except SettingsError as error:
            return _Level(faults=error.faults)
        in_order = partial(sorted, key=lambda name: (name.lower(), name))
        level = self._of_files([folder / name for name in in_order(filter(is_settings_file, names))])
        if level.styles:
            return level
        return self._with_pictures(level, [folder / name for name in in_order(filter(is_style_picture, names))])

    def _file_names(self, folder: PurePosixPath) -> list[str]:
        """The names of whatever lies in ``folder`` and is no folder; none if it is gone. Raises SettingsError.

        An inbox that is not there is a fault, lest photos be painted with other settings while a disk is missing.
        """
        path = self._inbox / folder
        if ".." in folder.parts or folder.is_absolute():
            raise settings_error([f"{folder}: it does not lie in the inbox; name a folder that does"])
        try:
            if folder.parts and path.is_symlink():
                raise settings_error([f"{folder}: links to folders are not followed; put the folder itself here"])
            with os.scandir(path) as entries:
                return [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]
        except (FileNotFoundError, NotADirectoryError) as error:
            if folder.parts:
                return []
            raise settings_error([f"{path}: the inbox is not there; make the folder, or mount its disk"]) from error
        except OSError as error:
            words = f"it cannot be read ({error.strerror or error}); give whoever runs monet-watch the permission"
            raise settings_error([f"{folder}: {words}"]) from error

    def _of_files(self, paths: Sequence[PurePosixPath]) -> _Level:
        """What the settings file of one folder says; more than one is a fault."""
        levels = [self._read_file(path) for path in paths] or [_Level()]
        faults = [fault for level in levels for fault in level.faults]
        faults += [f"{path}: a second settings file beside {paths[0].name}; keep one of them" for path in paths[1:]]
        return replace(levels[0], faults=tuple(faults))

    def _read_file(self, path: PurePosixPath) -> _Level:
        try:
            data = read_inside(self._inbox / path, self._inbox, LIMIT_BYTES, str(path))
            document = load(data, str(path))
        except SettingsError as error:
            return _Level(faults=error.faults)
        settings, faults = _valid_or_style_alone(document)
        folder = self._inbox / path.parent
        styles = tuple(
            _NamedStyle(place, partial(self._library.find_shared, value, folder, self._inbox))
            for value, place in _style_places(settings, document)
        )
        return _Level(settings, origins_of(settings, document), styles, faults)

    def _with_pictures(self, level: _Level, paths: Sequence[PurePosixPath]) -> _Level:
        if not paths:
            return level
        if len(paths) > MOST_STYLES:
            fault = f"{paths[0]}: it is one of {len(paths)} style pictures; keep {MOST_STYLES} of them, or fewer"
            return replace(level, faults=(*level.faults, fault))
        sources = [StyleSource(str(path), self._inbox / path, self._inbox) for path in paths]
        styles = tuple(_NamedStyle(f"{source.name}: style", partial(readable, source)) for source in sources)
        origin = Origin(", ".join(source.name for source in sources))
        return replace(level, styles=styles, origins={**level.origins, "style": origin})


def resolve_single(
    recipe_name: str | None,
    assignments: Sequence[str],
    style_files: Sequence[str],
    defaults: Defaults,
    library: StyleLibrary,
) -> ResolvedSettings:
    """Settings of a one-off painting: the ``defaults``, and what the command line says.

    ``assignments`` are ``key=value`` with the value as in a style.yaml, the last of one key counts; ``recipe_name`` and
    ``style_files`` (paths from the working directory, or names of the library) count more than an assignment of
    ``recipe`` or ``style``. Raises SettingsError with every fault.
    """
    values, faults = _assigned(assignments)
    if recipe_name is not None:
        values["recipe"] = recipe_name
    if style_files:
        values["style"] = list(style_files)
    level = _of_command_line(values, library)
    levels = [_of_defaults(defaults, library), replace(level, faults=(*faults, *level.faults))]
    return _resolved(levels, library)


def settings_key(resolved: ResolvedSettings, style_digests: Iterable[str], weights_sha256: str) -> str:
    """SHA-256 (hex) of everything but the photo: the recipe's numbers, the styles in their order, and the weights.

    The recipe's name is left out, since only its numbers make the picture. Paintings keep their key when a recipe gains
    a field: at its default, which stands for what was done before there was such a field, it does not count. So they do
    where only the spacing of the stages has become another.
    """
    parts = {
        "recipe": _keyed_values(resolved.recipe),
        "styles": list(style_digests),
        "weights": weights_sha256,
    }
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _keyed_values(recipe: Recipe) -> dict[str, Any]:
    whole = recipe.model_dump(mode="json", exclude={"recipe"})
    whole["save_every"] = recipe.save_every or _FORMER_SPACING
    changed = recipe.model_dump(mode="json", exclude={"recipe"}, exclude_defaults=True)
    return {key: value for key, value in whole.items() if key in _FIRST_FIELDS or key in changed}


def identity(photo_sha256: str, settings_key: str) -> str:
    """SHA-256 (hex) of a painting's photo and settings."""
    return hashlib.sha256(f"{photo_sha256}\n{settings_key}".encode("ascii")).hexdigest()


def is_settings_file(name: str) -> bool:
    """``style.yaml`` or ``style.yml``, in any case."""
    return name.lower() in _SETTINGS_NAMES


def is_style_picture(name: str) -> bool:
    """``style.jpg``, ``style-2.png`` and the like, in any case."""
    if name[:5].lower() != "style":  # which most photos' names show at once
        return False
    return is_picture_name(name) and re.match(r"style(-.+)?\.[^.]+\Z", name, re.IGNORECASE | re.DOTALL) is not None


def origins_of(settings: StyleSettings, document: Document, above: KeyPath = ()) -> dict[str, Origin]:
    """Where each given key of ``settings`` stands in ``document``, below the key path ``above``."""
    given = (key for key in StyleSettings.model_fields if getattr(settings, key) is not None)
    return {key: _origin(document.name, document.keys.get((*above, key))) for key in given}


def _origin(name: str, at: Position | None) -> Origin:
    return Origin(name) if at is None else Origin(name, at.line, at.column)


def json_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of style.yaml, for editors; its defaults are those of `DEFAULT_RECIPE`."""
    generated = StyleSettings.model_json_schema()
    defaults = {**RECIPES[DEFAULT_RECIPE].model_dump(mode="json"), "style": DEFAULT_STYLE, "priority": 0}
    defaults |= {**asdict(Output()), "output": list(Output().formats)}
    keys = [*_BESIDE_THE_RECIPE, *_RECIPE_KEYS]
    properties = {key: _given_schema(generated["properties"][key], defaults[key]) for key in keys}
    properties["recipe"]["enum"] = sorted(RECIPES)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "style.yaml of monet-watch",
        "description": "How the photos of a folder, and of the folders below it, are painted.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _given_schema(generated: Mapping[str, Any], default: object) -> dict[str, Any]:
    """The schema of a key's value, where pydantic describes one that may be missing."""
    choices = [choice for choice in generated["anyOf"] if choice != {"type": "null"}]
    value = {"anyOf": choices} if len(choices) > 1 else choices[0]
    distinct = (
        {"uniqueItems": True} if value.get("type") == "array" else {}
    )  # a layer is named once; pydantic can't say so
    return {"description": generated["description"], **value, **distinct, "default": default}


def _valid(values: Mapping[str, object], place: Callable[[KeyPath, bool], str]) -> StyleSettings:
    try:
        return StyleSettings.model_validate(values)
    except ValidationError as error:
        raise settings_error(translate(error, StyleSettings, place)) from error


def _valid_or_style_alone(document: Document) -> tuple[StyleSettings, tuple[str, ...]]:
    """The settings of a file, and its faults: beside these, a style that cannot be found is to be told as well."""
    try:
        return _valid(document.values, document.where), ()
    except SettingsError as error:
        faults = error.faults
    try:
        return StyleSettings.model_validate({"style": document.values.get("style")}), faults
    except ValidationError:
        return StyleSettings(), faults


def _style_places(settings: StyleSettings, document: Document) -> Iterator[tuple[str, str]]:
    """Each style named, and its place and key as messages begin."""
    styles = settings.style or ()
    for index, value in enumerate(styles):
        number = "" if len(styles) == 1 else f"[{index + 1}]"
        yield value, f"{document.where(('style', index))}: style{number}"


def _trusted_styles(
    settings: StyleSettings, place: str, folder: Path, library: StyleLibrary
) -> tuple[_NamedStyle, ...]:
    styles = settings.style or ()
    return tuple(_NamedStyle(f"{place}: style", partial(library.find_trusted, value, folder)) for value in styles)


def _of_defaults(defaults: Defaults, library: StyleLibrary) -> _Level:
    place = defaults.origins.get("style", Origin("defaults")).place
    styles = _trusted_styles(defaults.settings, place, defaults.folder or Path(), library)
    return _Level(defaults.settings, defaults.origins, styles)


def _of_command_line(values: Mapping[str, object], library: StyleLibrary) -> _Level:
    try:
        settings = _valid(values, lambda path, of_key: _COMMAND_LINE)
    except SettingsError as error:
        return _Level(faults=error.faults)
    origins = origins_of(settings, Document(_COMMAND_LINE))
    return _Level(settings, origins, _trusted_styles(settings, _COMMAND_LINE, Path(), library))


def _assigned(assignments: Iterable[str]) -> tuple[dict[str, object], list[str]]:
    """The values of ``key=value`` arguments, and the faults of those that are none."""
    values: dict[str, object] = {}
    faults: list[str] = []
    for assignment in assignments:
        key, sign, text = (part.strip() for part in assignment.partition("="))
        if not sign or not key:
            faults.append(f"{_COMMAND_LINE}: {shown(assignment)} is no setting; write key=value, such as steps=200")
            continue
        try:
            values[key] = load_value(text, f"{_COMMAND_LINE}: {key}")
        except SettingsError as error:
            faults.extend(error.faults)
    return values, faults


def _resolved(levels: Sequence[_Level], library: StyleLibrary) -> ResolvedSettings:
    """Lay the levels over each other, the weakest first. Raises SettingsError with the faults of all of them."""
    faults = [fault for level in levels for fault in level.faults]
    styles, more_faults = _styles_of(levels, library)
    if faults or more_faults:
        raise settings_error(told([*faults, *more_faults], "settings"))
    name, priority, output = DEFAULT_RECIPE, 0, Output()
    changes: dict[str, object] = {}
    origins: dict[str, Origin] = dict.fromkeys(_BESIDE_THE_RECIPE, BUILT_IN)
    for level in levels:
        name = level.settings.recipe or name
        priority = priority if level.settings.priority is None else level.settings.priority
        output = replace(output, **level.settings.output_changes())
        changes |= level.settings.changes()
        origins |= level.origins
    own = dict.fromkeys(_RECIPE_KEYS, Origin(f"recipe {name}"))
    bases = FORMER_DEFAULTS if origins["recipe"] is BUILT_IN else ()
    former = tuple(RECIPES[base].with_changes(changes) for base in bases)
    recipe = RECIPES[name].with_changes(changes)
    return ResolvedSettings(recipe, styles, {**own, **origins}, former, priority, output)


def _styles_of(levels: Sequence[_Level], library: StyleLibrary) -> tuple[tuple[StyleSource, ...], list[str]]:
    """The styles that the deepest level with any names, and the faults of those that cannot be found."""
    built_in = _NamedStyle(f"{BUILT_IN}: style", partial(library.find, DEFAULT_STYLE))
    named = next((level.styles for level in reversed(levels) if level.styles), (built_in,))
    sources: list[StyleSource] = []
    faults: list[str] = []
    for style in named:
        try:
            sources.append(style.look_up())
        except SettingsError as error:
            faults += [f"{style.place}: {fault}" for fault in error.faults]
    return tuple(sources), faults
