"""What is to be done with the photos of a folder: settings, styles and weights, with everything's hash."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from monet_watch.output import Output
from monet_watch.recipes import Recipe
from monet_watch.settings import BESIDE_THE_PAINTING, BUILT_IN, FolderSettings, ResolvedSettings, settings_key
from monet_watch.styles.library import StyleSource, read_style
from monet_watch.workers.base import PictureFile, WeightsFile

__all__ = ["Plan", "PlannedStyle", "Planner", "make_plan"]


@dataclass(frozen=True, slots=True)
class PlannedStyle:
    """A style picture, and the SHA-256 (hex) that it had when the plan was made."""

    source: StyleSource
    sha256: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything but the photo. ``origins`` says for each setting where it came from, in words.

    ``former_keys`` are the settings' keys with the recipes that used to be the default; ``priority`` and ``output`` are
    those of the folder. They are no part of the painting, so they are not stored.
    """

    settings_key: str
    recipe: Recipe
    styles: tuple[PlannedStyle, ...]
    origins: Mapping[str, str]
    weights_source: str
    weights_sha256: str
    former_keys: tuple[str, ...] = field(default=(), compare=False)
    priority: int = field(default=0, compare=False)
    output: Output = field(default_factory=Output, compare=False)

    def to_json(self) -> str:
        """Return the plan as ASCII text; file names that are no UTF-8 survive as escapes."""
        return json.dumps(
            {
                "settings_key": self.settings_key,
                "recipe": self.recipe.model_dump(mode="json"),
                "styles": [
                    [style.source.name, str(style.source.path), str(style.source.root or ""), style.sha256]
                    for style in self.styles
                ],
                "origins": dict(self.origins),
                "weights": [self.weights_source, self.weights_sha256],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Read what `to_json` wrote."""
        data = json.loads(text)
        styles = tuple(
            PlannedStyle(StyleSource(name, Path(path), Path(root) if root else None), sha256)
            for name, path, root, sha256 in data["styles"]
        )
        recipe = Recipe.model_validate(data["recipe"])
        return cls(data["settings_key"], recipe, styles, data["origins"], *data["weights"])

    def follows(self, earlier: "Plan") -> bool:
        """Say whether only the default recipe is another than in ``earlier``, and nobody has named any."""
        unnamed = earlier.origins.get("recipe") == str(BUILT_IN)
        return unnamed and earlier.settings_key in self.former_keys

    def style_files(self) -> tuple[PictureFile, ...]:
        """Read the style pictures as they are at this moment. Raises SettingsError if one cannot be read."""
        return tuple(PictureFile(style.source.name, read_style(style.source)) for style in self.styles)


def make_plan(resolved: ResolvedSettings, weights: WeightsFile) -> Plan:
    """Read the styles of ``resolved`` and return the plan. Raises SettingsError if one cannot be read."""
    styles = tuple(PlannedStyle(source, _digest(source)) for source in resolved.styles)
    variants = [resolved, *(replace(resolved, recipe=former) for former in resolved.former)]
    key, *former = (settings_key(each, [style.sha256 for style in styles], weights.sha256) for each in variants)
    origins = {name: str(origin) for name, origin in resolved.origins.items() if name not in BESIDE_THE_PAINTING}
    words = (weights.source, weights.sha256)
    return Plan(key, resolved.recipe, styles, origins, *words, tuple(former), resolved.priority, resolved.output)


def _digest(source: StyleSource) -> str:
    return hashlib.sha256(read_style(source)).hexdigest()


_Made = tuple[ResolvedSettings, tuple[object, ...], Plan]  # a plan, with the settings and the marks of the style files


class Planner:
    """The plan of each folder of an inbox, made once until `refresh`. Neighbours that inherit the same share one."""

    def __init__(self, settings: FolderSettings, weights: WeightsFile) -> None:
        self._settings = settings
        self._weights = weights
        self._plans: dict[PurePosixPath, _Made] = {}
        self._latest: _Made | None = None
        self._fresh: set[PurePosixPath] = set()

    def plan(self, folder: PurePosixPath) -> Plan:
        """Return the plan of ``folder``, relative to the inbox. Raises SettingsError."""
        if folder not in self._fresh:
            self._renew(folder)
        return self._plans[folder][2]

    def refresh(self) -> None:
        """Look at the folders' settings again, each when it is next asked for."""
        self._settings.refresh()
        self._fresh.clear()

    def _renew(self, folder: PurePosixPath) -> None:
        """Make the plan again, unless the settings and the style files are what they were, here or a folder before."""
        resolved = self._settings.resolve(folder)
        marks = tuple(_mark(source.path) for source in resolved.styles)
        for made in (self._plans.get(folder), self._latest):
            if made is not None and made[:2] == (resolved, marks):
                break
        else:
            made = (resolved, marks, make_plan(resolved, self._weights))
        self._plans[folder] = self._latest = made
        self._fresh.add(folder)


def _mark(path: Path) -> object:
    """What changes when a file is replaced or written."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
