"""monet-watch: watches a folder and paints every photo dropped into it in the manner of Claude Monet.

As a library::

    from monet_watch import RECIPES, Finished, load_network, paint

    recipe = RECIPES["swift"].with_changes({"image_size": 256})
    network = load_network()
    for event in paint(content, style, recipe, network):
        if isinstance(event, Finished):
            picture = event.image  # uint8, (H, W, 3), sRGB

``Recipe()`` alone is the recipe ``classic``.

The names that need torch are imported on first use, so that ``import monet_watch`` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from monet_watch.errors import (
    AlreadyRunningError,
    LedgerError,
    LedgerUnavailableError,
    MonetWatchError,
    NotAPhotoError,
    OutboxError,
    PaintingError,
    PhotoError,
    PhotoTooLargeError,
    SettingsError,
    TruncatedPhotoError,
    WeightsError,
    WorkerError,
)

if TYPE_CHECKING:
    from monet_watch.engine.events import Checkpoint, Event, Finished, Losses, Snapshot, Step
    from monet_watch.engine.paint import paint
    from monet_watch.engine.vgg import VGG19
    from monet_watch.recipes import RECIPES, Recipe
    from monet_watch.settings import StyleSettings
    from monet_watch.weights import load_network

__version__ = "0.1.0"

__all__ = [
    "RECIPES",
    "VGG19",
    "AlreadyRunningError",
    "Checkpoint",
    "Event",
    "Finished",
    "LedgerError",
    "LedgerUnavailableError",
    "Losses",
    "MonetWatchError",
    "NotAPhotoError",
    "OutboxError",
    "PaintingError",
    "PhotoError",
    "PhotoTooLargeError",
    "Recipe",
    "SettingsError",
    "Snapshot",
    "Step",
    "StyleSettings",
    "TruncatedPhotoError",
    "WeightsError",
    "WorkerError",
    "__version__",
    "load_network",
    "paint",
]

_HOMES = {
    "RECIPES": "monet_watch.recipes",
    "Recipe": "monet_watch.recipes",
    "StyleSettings": "monet_watch.settings",
    "VGG19": "monet_watch.engine.vgg",
    "load_network": "monet_watch.weights",
    "Checkpoint": "monet_watch.engine.events",
    "Event": "monet_watch.engine.events",
    "Finished": "monet_watch.engine.events",
    "Losses": "monet_watch.engine.events",
    "Snapshot": "monet_watch.engine.events",
    "Step": "monet_watch.engine.events",
    "paint": "monet_watch.engine.paint",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'monet_watch' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
