"""The demonstration: a real daemon on a folder of its own, a real photo, a painting after a few minutes."""

import importlib.util
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from monet_watch.config import Config, load_config, state_folder
from monet_watch.console import ConsoleView
from monet_watch.daemon import Mailbox, Outcome
from monet_watch.errors import PhotoError, SettingsError
from monet_watch.household import House, find_weights, run_daemon
from monet_watch.inbox.ignore import is_photo_name
from monet_watch.ledger import LEDGER_NAME, JobState, Ledger
from monet_watch.notices import Notice
from monet_watch.recipes import RECIPES
from monet_watch.settings import DEFAULT_RECIPE, is_style_picture
from monet_watch.workers.local import measured_step

__all__ = [
    "MEASURED_SIZE",
    "PATIENCE_SECONDS",
    "Demo",
    "Estimate",
    "check_place",
    "demo_photo",
    "estimate",
    "measure",
    "prepare",
    "run_demo",
]

PATIENCE_SECONDS = 240.0
"""What the demonstration tries to stay within."""

MEASURED_SIZE = 192
"""Pixels: side of the square on which a step is measured."""

_SIZES = (512, 448, 384, 320, 256, 224, 192)
_EXPECTED_STEPS = 80  # after which a painting has mostly ended by itself
_FEWEST_STEPS = 40
_STAGES = 8  # of a painting of fewer steps than the recipe's own spacing is made for
_FEWEST_STEPS_WITH_OWN_STAGES = 40
_ASPECT = 1.5  # of most photos
_START_SECONDS = 15.0  # to load torch and the network, to settle, and to decode
_MADE_BY = "# Made by monet-watch demo."
_PHOTO = "chelsea.png"
_CONFIG_NAME = "config.yaml"


@dataclass(frozen=True, slots=True)
class Estimate:
    """How large and how long: ``image_size`` is the short side in pixels, ``seconds`` the time that it will take.

    ``steps`` is the upper bound: a painting ends earlier when further steps no longer pay.
    """

    image_size: int
    steps: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demonstration works on. Folders are absolute."""

    folder: Path
    photo: Path
    style: Path | None
    estimate: Estimate

    @property
    def config_file(self) -> Path:
        """The config that the daemon is given, and that serves for more photos afterwards."""
        return self.folder / _CONFIG_NAME


def estimate(step_seconds: float, size: int | None = None, steps: int | None = None) -> Estimate:
    """Choose size and steps so that a painting is done in a few minutes, and say about how long it takes.

    ``step_seconds`` is the time of a step on a square of `MEASURED_SIZE`; a step's time grows with the pixels.
    What the caller chose, ``size`` or ``steps``, is kept. Even a painting that takes all the steps that are chosen here
    is done in time, except on very slow machines.
    """
    per_pixel = step_seconds / MEASURED_SIZE**2

    def one_step(side: int) -> float:
        return per_pixel * _ASPECT * side**2

    room = PATIENCE_SECONDS - _START_SECONDS
    fitting = (side for side in _SIZES if one_step(side) * _expected(steps) <= room)
    side = size or next(fitting, _SIZES[-1])
    most = RECIPES[DEFAULT_RECIPE].steps
    number = steps or max(_FEWEST_STEPS, min(most, int(room / one_step(side))))
    return Estimate(side, number, _START_SECONDS + _expected(number) * one_step(side))


def _expected(steps: int | None) -> int:
    """How many steps a painting will take that may take ``steps``."""
    return min(steps or _EXPECTED_STEPS, _EXPECTED_STEPS)


def demo_photo() -> Path:
    """Return the photo that is painted unless another is named: one of scikit-image's. Raises PhotoError."""
    # Found without an import of the package, which would take a second and a hundred megabytes.
    spec = importlib.util.find_spec("skimage")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        photo = Path(folder) / "data" / _PHOTO
        if photo.is_file():
            return photo
    raise PhotoError("The demonstration's photo is missing: scikit-image is not installed.", "Name one with --photo.")


def measure(config: Config, environ: Mapping[str, str]) -> float:
    """Return the seconds of one step on this machine, measured. Raises WeightsError and WorkerError."""
    weights = find_weights(config, environ)
    return measured_step(weights, config.devices[0], config.threads, MEASURED_SIZE)


def prepare(demo: Demo) -> Config:
    """Make the folders and the config of the demonstration.

    Raises SettingsError where the photo would not count as one, or something else would be overwritten.
    """
    check_place(demo.folder, demo.photo)
    for name in ("inbox", "outbox"):
        (demo.folder / name).mkdir(parents=True, exist_ok=True)
    demo.config_file.write_text(_config_text(demo), encoding="utf-8")
    return load_config(demo.config_file)


def check_place(folder: Path, photo: Path) -> None:
    """Raise SettingsError where ``photo`` would not count as one, or something in ``folder`` would be overwritten."""
    name, target, config_file = photo.name, folder / "inbox" / photo.name, folder / _CONFIG_NAME
    if is_style_picture(name) or not is_photo_name(name):
        raise SettingsError(f"{name} is not the name of a photo; rename it, to photo.jpg for example.")
    if target.exists() and target.read_bytes() != photo.read_bytes():
        raise SettingsError(f"{target} is another photo; choose another --folder.")
    if config_file.exists() and not config_file.read_text("utf-8", "replace").startswith(_MADE_BY):
        raise SettingsError(f"{config_file} was not made by a demonstration; choose another --folder.")


def _config_text(demo: Demo) -> str:
    size, steps = demo.estimate.image_size, demo.estimate.steps
    spacing = f"  save_every: {math.ceil(steps / _STAGES)}\n" if steps < _FEWEST_STEPS_WITH_OWN_STAGES else ""
    style = f"  style: {_quoted(str(demo.style))}\n" if demo.style is not None else ""
    return (
        f"{_MADE_BY} Drop more photos into inbox, and paint them with:\n"
        "#   monet-watch run --config config.yaml\n"
        "inbox: inbox\noutbox: outbox\nstate: state\n"
        f"defaults:\n  image_size: {size}\n  steps: {steps}\n{spacing}{style}"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def run_demo(
    demo: Demo, config: Config, environ: Mapping[str, str], console: ConsoleView
) -> tuple[Outcome, Path | None]:
    """Run the daemon until the photo is painted; return how it ended and where the painting lies, if there is one.

    The photo is dropped into the inbox when the daemon has begun to watch it.
    """
    target = config.inbox / demo.photo.name

    def drop(notice: Notice) -> None:
        if notice.event == "started" and not target.exists():
            shutil.copyfile(demo.photo, target)

    outcome = run_daemon(House(config, environ, console, Mailbox(), once=True, listen=drop))
    return outcome, _painting(config, environ, PurePosixPath(target.name))


def _painting(config: Config, environ: Mapping[str, str], photo: PurePosixPath) -> Path | None:
    """The folder of the painting that the photo last led to; None where it is not painted."""
    with Ledger.open_read_only(state_folder(config, environ) / LEDGER_NAME) as ledger:
        for job in ledger.known(photo)[:1]:
            if job.state is JobState.DONE and job.folder is not None:
                return config.outbox / job.folder
    return None
