"""The daemon's own YAML: where, how many, when. ``config.example.yaml`` explains every key.

Relative paths are relative to the file; on the command line, and where there is no file, to the working directory.
``~`` is the home folder. The file belongs to the owner of the machine and is trusted, but it is read as strictly as a
shared folder's ``style.yaml``, so that a slip of the pen is told and not guessed at.
"""

import hashlib
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    Strict,
    ValidationError,
)

from monet_watch.faults import choice_error, settings_error, shown, told, translate
from monet_watch.hours import ActiveHours, Range
from monet_watch.settings import Defaults, Origin, StyleSettings, origins_of
from monet_watch.styles.library import read_inside
from monet_watch.yamlfile import LIMIT_BYTES, Document, KeyPath, load

__all__ = ["ClusterSettings", "Config", "LogSettings", "NotifySettings", "load_config", "state_folder"]

_COMMAND_LINE = "command line"
_PROGRAM = "monet-watch"
_DEVICES = ("auto", "cpu", "cuda", "cuda:0", "mps")  # the shapes that a device's name may have, for messages
_CARD = ("gpu", "nvidia")  # what people call a graphics card; of the names, the nearest by its letters is cpu
_DEVICE = re.compile(r"auto|cpu|(cuda|mps)(:(0|[1-9][0-9]?))?")
_ADDRESS = re.compile(r"(ray://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}")
_WEIGHTS = ("oxford", "torchvision")
_MEBI, _TEBI = 2**20, 2**40
_UNITS = {"mb": 10**6, "mib": _MEBI, "gb": 10**9, "gib": 2**30, "tb": 10**12, "tib": _TEBI}
_SIZE = re.compile(rf"(?P<number>\d+(\.\d*)?)\s*(?P<unit>{'|'.join(_UNITS)})", re.IGNORECASE | re.ASCII)
_LEAST_MEMORY, _MOST_MEMORY = 256 * _MEBI, 64 * _TEBI


def _path(value: object) -> object:
    if not isinstance(value, str | Path) or not str(value).strip():
        raise ValueError(f"must be a path, not {shown(value)}")
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise ValueError(f"the home folder in {shown(str(value))} is not known; write the path in full") from error


def _weights(value: object) -> object:
    """A word that is neither a name nor looks like a path is a name misspelt."""
    if not isinstance(value, str) or value in _WEIGHTS:
        return value if value in _WEIGHTS else _path(value)
    if re.fullmatch(r"[A-Za-z0-9_-]+", value):
        raise choice_error(value, (*_WEIGHTS, "a path to a .pth or .safetensors file"))
    return _path(value)


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str | Path) else value


def _device(name: str) -> str:
    if name.casefold() in _CARD:
        raise ValueError(f"{shown(name)} is not one of the choices; did you mean 'cuda'?")
    if not _DEVICE.fullmatch(name):
        raise choice_error(name, _DEVICES)
    return name


def _distinct_devices(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("must not be empty; name at least one, or remove the line")
    numbered = [f"{name}:0" if name in ("cuda", "mps") else name for name in names]
    for index, name in enumerate(numbered):
        if name in numbered[:index]:
            raise ValueError(f"{names[index]} is named twice; one worker serves each device, name it once")
    if "auto" in names and len(names) > 1:
        raise ValueError("auto chooses the devices by itself; name it alone, or name the devices")
    return names


def _command(value: object) -> object:
    """A program and its arguments; a text is taken apart as a shell does, but nothing in it is replaced."""
    if not isinstance(value, str):
        return value
    try:
        return tuple(shlex.split(value))
    except ValueError as error:
        raise ValueError(f"cannot be taken apart: {error}; write a list, such as [program, argument]") from error


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return text


def _address(text: str) -> str:
    """The port tells Ray's two ways in apart: a driver on a node of the cluster, and a client anywhere."""
    if text != "auto" and not _ADDRESS.fullmatch(text):
        raise ValueError(f"must be auto, host:port such as 10.0.0.1:6379, or ray://host:10001, not {shown(text)}")
    return text


def _whole_or_fraction(count: float) -> float:
    if count > 1 and count != int(count):
        raise ValueError("must be a whole number, or less than 1 to share one")
    return count


def _not_blank(glob: str) -> str:
    if not glob.strip():
        raise ValueError("must not be empty; write a name or a pattern such as *.bak, or remove the line")
    return glob


def _hours(text: str) -> str:
    Range.parse(text)
    return text


def _size(value: object) -> object:
    """The bytes of a size, which is a number of MiB, or a number with its unit."""
    words = f"must be a size such as 6 GiB or 4096 MiB, not {shown(value)}"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(words)
    found = _SIZE.fullmatch(f"{value} MiB" if not isinstance(value, str) else value.strip())
    if found is None:
        raise ValueError(words)
    return int(float(found["number"]) * _UNITS[found["unit"].lower()])


def _within_bounds(size_bytes: int) -> int:
    if size_bytes < _LEAST_MEMORY:
        raise ValueError(f"must be at least {_LEAST_MEMORY // _MEBI} MiB, not {size_bytes / _MEBI:g} MiB")
    if size_bytes > _MOST_MEMORY:
        raise ValueError(f"must be at most {_MOST_MEMORY // _TEBI} TiB")
    return size_bytes


def _stages(value: object) -> object:
    """A word, or a number of pictures. YAML knows more than one way to write none."""
    if value in ("all", "none") or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10_000):
        return value
    raise ValueError(f"must be all, none, or how many stages of a finished painting stay, not {shown(value)}")


_Path = Annotated[Path, BeforeValidator(_path)]
_Paths = Annotated[tuple[_Path, ...], BeforeValidator(_listed)]
_Devices = Annotated[
    tuple[Annotated[str, AfterValidator(_device)], ...],
    AfterValidator(_distinct_devices),
    BeforeValidator(_listed),
]
_Hours = Annotated[tuple[Annotated[str, AfterValidator(_hours)], ...], BeforeValidator(_listed)]
_Globs = Annotated[tuple[Annotated[str, AfterValidator(_not_blank)], ...], BeforeValidator(_listed)]
_Addresses = Annotated[tuple[Annotated[str, AfterValidator(_not_blank)], ...], BeforeValidator(_listed)]
_Command = Annotated[tuple[Annotated[str, AfterValidator(_no_nul)], ...], BeforeValidator(_command)]
_Number = Annotated[float, Strict()]
_Memory = Annotated[int, AfterValidator(_within_bounds), BeforeValidator(_size)]
_RECORD = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LogSettings(BaseModel):
    """How the daemon talks."""

    model_config = _RECORD

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "plain", "json"] = "auto"


class ClusterSettings(BaseModel):
    """A Ray cluster to paint on. ``idle_seconds`` and ``linger_seconds`` are those of workers with nothing to do."""

    model_config = _RECORD

    address: Annotated[str, AfterValidator(_address)] = "auto"
    gpus_per_worker: Annotated[_Number, AfterValidator(_whole_or_fraction)] = Field(1.0, ge=0, le=64)
    cpus_per_worker: Annotated[_Number, AfterValidator(_whole_or_fraction)] = Field(1.0, ge=0, le=1024)
    max_workers: Annotated[int, Strict(), Field(ge=1, le=1000)] = 8
    idle_seconds: _Number = Field(300.0, ge=1, le=86400)
    linger_seconds: _Number = Field(600.0, ge=1, le=86400)
    fallback: Literal["none", "local"] = "none"
    token_file: _Path | None = None


class NotifySettings(BaseModel):
    """To whom messages are sent, as apprise writes addresses, and of what: `monet_watch.messages`."""

    model_config = _RECORD

    urls: _Addresses = ()
    collections: Annotated[bool, Strict()] = True
    problems: Annotated[bool, Strict()] = True
    gather_seconds: _Number = Field(300.0, ge=0, le=86400)


class Config(BaseModel):
    """The daemon's settings, frozen; from `load_config`, every path is absolute.

    Sizes are in millions of pixels and of bytes, ``memory_limit`` is in bytes, times are in seconds.
    """

    model_config = _RECORD

    inbox: _Path = Path("inbox")
    outbox: _Path = Path("outbox")
    state: _Path | None = None
    style_library: _Paths = ()
    weights: Annotated[Literal["oxford", "torchvision"] | Path, BeforeValidator(_weights)] = "oxford"
    devices: _Devices = ("auto",)
    workers_per_device: Annotated[int, Strict(), Field(ge=1, le=64)] = 1
    threads: Annotated[int, Strict(), Field(ge=1, le=1024)] | None = None
    memory_limit: _Memory | None = None
    cluster: ClusterSettings | None = None
    hang_seconds: _Number = Field(600.0, ge=1, le=86400)
    retry_seconds: _Number = Field(30.0, ge=0.1, le=3600)
    settle_seconds: _Number = Field(2.0, ge=0, le=3600)
    rescan_seconds: _Number = Field(300.0, ge=1, le=86400)
    watch: Literal["auto", "events", "polling", "scans"] = "auto"
    polling_seconds: _Number = Field(5.0, ge=0.1, le=3600)
    active_hours: _Hours = ()
    nice: Annotated[int, Strict(), Field(ge=0, le=19)] = 10
    after: Literal["keep", "move", "delete"] = "keep"
    archive: _Path | None = None
    gallery: Annotated[bool, Strict()] = True
    contact_sheet: Annotated[bool, Strict()] = True
    after_painting: _Command = ()
    after_painting_seconds: _Number = Field(60.0, ge=0.1, le=86400)
    notify: NotifySettings = NotifySettings()
    metrics_file: _Path | None = None
    keep_stages: Annotated[Literal["all", "none"] | int, BeforeValidator(_stages)] = "all"
    ignore: _Globs = ()
    limit_megapixels: _Number = Field(200.0, gt=0, le=4000)
    limit_megabytes: _Number = Field(512.0, gt=0, le=65536)
    decode_seconds: _Number = Field(120.0, ge=0.1, le=3600)
    log: LogSettings = LogSettings()
    defaults: StyleSettings = StyleSettings()

    _source: Path | None = PrivateAttr(default=None)
    _base: Path | None = PrivateAttr(default=None)
    _origins: Mapping[str, Origin] = PrivateAttr(default_factory=dict)

    @property
    def stages_kept(self) -> int | None:
        """How many stages of a finished painting stay; None: all."""
        if isinstance(self.keep_stages, int):
            return self.keep_stages
        return None if self.keep_stages == "all" else 0

    @property
    def source(self) -> Path | None:
        """The file it was read from."""
        return self._source

    def hours(self) -> ActiveHours:
        """``active_hours`` in the machine's local time."""
        return ActiveHours(tuple(map(Range.parse, self.active_hours)))

    def folder_defaults(self) -> Defaults:
        """``defaults`` with the origin of each key, as `FolderSettings` wants them."""
        return Defaults(self.defaults, self._origins, self._base)


@dataclass(frozen=True, slots=True)
class _Given:
    """What file and command line say, and who says it. ``base`` is what the file's relative paths are relative to."""

    document: Document
    overrides: Mapping[str, object]
    base: Path

    def values(self) -> dict[str, object]:
        """Everything given; a key without a value counts as not given."""
        values = _without_blanks(self.document.values)
        for key, value in self.overrides.items():
            top, _, inner = key.partition(".")
            group = values.get(top, {})
            if not inner:
                values[top] = value
            elif isinstance(group, Mapping):
                values[top] = {**group, inner: value}
        return values

    def is_overridden(self, path: KeyPath) -> bool:
        """Whether the command line gave the value at ``path``."""
        return any(".".join(map(str, path[:length])) in self.overrides for length in (1, 2))

    def place(self, path: KeyPath = (), of_key: bool = False) -> str:
        """Where a value stands, as messages about it begin."""
        return _COMMAND_LINE if self.is_overridden(path) else self.document.where(path, of_key)

    def place_of_one(self, *keys: str) -> str:
        """Where the first of the ``keys`` that was given stands."""
        given = next((key for key in keys if key in self.values()), None)
        return f"{self.place((given,))}: {given}" if given else f"{self.document.name}: {keys[0]}"

    def absolute(self, key: str, path: Path) -> Path:
        """The path that the value of ``key`` means."""
        whole = (Path.cwd() if key in self.overrides else self.base) / path
        return Path(os.path.realpath(whole)) if ".." in whole.parts else whole


def load_config(path: Path | None, overrides: Mapping[str, object] | None = None) -> Config:
    """Read the config (None: the defaults); ``overrides`` come from the command line, None values are ignored.

    Keys of ``overrides`` are those of the config, ``log.level`` and the like for one of a group.
    Raises SettingsError with every fault as ``file:line:column: key: what``, or ``command line: key: what``.
    """
    document = load(read_inside(path, None, LIMIT_BYTES), str(path)) if path else Document("built in")
    given_overrides = {key: value for key, value in (overrides or {}).items() if value is not None}
    given = _Given(document, given_overrides, path.absolute().parent if path else Path.cwd())
    config, faulty, faults = _validated(given)
    config = config.model_copy(update=_absolute_paths(config, given))
    faults += [fault for keys, fault in _folder_faults(config, given) if faulty.isdisjoint(keys)]
    if faults:
        raise settings_error(told(faults, document.name))
    config._source = path.absolute() if path else None
    config._base = given.base
    config._origins = _default_origins(config, given)
    return config


def state_folder(config: Config, environ: Mapping[str, str]) -> Path:
    """Where ledger, checkpoints and lock live.

    The config's ``state``, else the first of ``$STATE_DIRECTORY`` (as systemd gives it), else a folder in the
    platform's place for users' state that is named after the outbox and a piece of the SHA-256 of its path. Raises
    SettingsError if that lies in the inbox or the outbox.
    """
    given = environ.get("STATE_DIRECTORY", "").split(os.pathsep)[0]
    folder = config.state or (Path(given) if given else _own_state_folder(config.outbox))
    place = "$STATE_DIRECTORY" if given and not config.state else "state"
    for name, shared in (("inbox", config.inbox), ("outbox", config.outbox)):
        if _within(folder, shared):
            words = f"{folder} lies in the {name}, which is shared; name a folder elsewhere by `state:` in the config"
            raise settings_error([f"{place}: {words}"])
    return folder


def _own_state_folder(outbox: Path) -> Path:
    mark = hashlib.sha256(os.fsencode(outbox)).hexdigest()[:12]
    return platformdirs.user_state_path(_PROGRAM) / f"{outbox.name or 'outbox'}-{mark}"


def _without_blanks(values: Mapping[str, object]) -> dict[str, object]:
    """The values without the keys of ours that have none, as when everything below one is commented out."""
    groups = (Config, LogSettings, ClusterSettings, NotifySettings)
    known = {key for group in groups for key in group.model_fields}
    kept = ((key, value) for key, value in values.items() if value is not None or key not in known)
    return {key: _without_blanks(value) if isinstance(value, Mapping) else value for key, value in kept}


def _validated(given: _Given) -> tuple[Config, set[str], list[str]]:
    """The config, without the values that are faulty; the keys of those, and the faults."""
    values = given.values()
    try:
        return Config.model_validate(values), set(), []
    except ValidationError as error:
        faulty = {str(detail["loc"][0]) for detail in error.errors(include_url=False)}
        rest = {key: value for key, value in values.items() if key not in faulty}
        return Config.model_validate(rest), faulty, list(translate(error, Config, given.place))


def _absolute_paths(config: Config, given: _Given) -> dict[str, object]:
    single = ("inbox", "outbox", "state", "archive", "weights", "metrics_file")
    named = {key: getattr(config, key) for key in single}
    paths: dict[str, object] = {k: given.absolute(k, value) for k, value in named.items() if isinstance(value, Path)}
    if config.after_painting and "/" in config.after_painting[0]:
        program, *arguments = config.after_painting
        paths["after_painting"] = (str(given.absolute("after_painting", Path(program).expanduser())), *arguments)
    if config.cluster is not None and config.cluster.token_file is not None:
        file = given.absolute("cluster.token_file", config.cluster.token_file)
        paths["cluster"] = config.cluster.model_copy(update={"token_file": file})
    return paths | {"style_library": tuple(given.absolute("style_library", each) for each in config.style_library)}


def _default_origins(config: Config, given: _Given) -> dict[str, Origin]:
    origins = origins_of(config.defaults, given.document, ("defaults",))
    overridden = (key for key in origins if given.is_overridden(("defaults", key)))
    return origins | dict.fromkeys(overridden, Origin(_COMMAND_LINE))


_Rule = tuple[str, str, Callable[[Path, Path], bool], str]


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _within(one: Path, other: Path) -> bool:
    """Whether ``one`` is ``other`` or lies in it, after all links."""
    return Path(os.path.realpath(one)).is_relative_to(os.path.realpath(other))


def _below(one: Path, other: Path) -> bool:
    return _within(one, other) and not _same(one, other)


_RULES: tuple[_Rule, ...] = (
    ("outbox", "inbox", _same, "is the inbox itself, and the paintings would be painted again"),
    ("outbox", "inbox", _below, "lies in the inbox, and the paintings would be painted again"),
    ("inbox", "outbox", _below, "lies in the outbox, and the photos would lie among the paintings"),
    ("archive", "inbox", _within, "is or lies in the inbox, and the photos moved there would be painted again"),
    ("archive", "outbox", _within, "is or lies in the outbox, and the photos would lie among the paintings"),
    ("inbox", "archive", _below, "lies in the archive, and the photos moved there could come back"),
    ("state", "inbox", _within, "is or lies in the inbox, which is shared, and the ledger must not be"),
    ("state", "outbox", _within, "is or lies in the outbox, which is shared, and the ledger must not be"),
)


def _folder_faults(config: Config, given: _Given) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with the folders together, each fault after the keys that it is about."""
    for key, other, is_wrong, words in _RULES:
        one, two = getattr(config, key), getattr(config, other)
        if one and two and is_wrong(one, two):
            place = given.place_of_one(key, other)
            yield (key, other), f"{place}: the {key} {one} {words}; choose folders side by side"
    if config.after == "move" and config.archive is None:
        words = "`after: move` needs a folder to move to; add a line such as `archive: archive`"
        yield ("after", "archive"), f"{given.place_of_one('after')}: {words}"
