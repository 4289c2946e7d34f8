"""What several rooms' tests share: a narrow network of the real one's class, its weights file, and small pictures."""

import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from monet_watch.recipes import LAYERS
from monet_watch.workers.base import WeightsFile

if TYPE_CHECKING:  # most tests need no torch, which takes seconds to import
    from torch import Tensor

    from monet_watch.engine.vgg import VGG19

Picture = NDArray[np.uint8]

TINY_CHANNELS = (4, 4, 6, 6, 8, 8, 8, 8, 8, 8, 8, 8, 8)
TORCHVISION_PLACES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the sweeps, too, which take hours of a processor")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The tests marked ``full`` are left out, and counted as deselected, unless somebody asks for them."""
    if config.getoption("--full"):
        return
    left_out = [item for item in items if item.get_closest_marker("full")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("full")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests have counted, by ``record_property``, is told at the end, whether they passed or failed."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            if report.when == "call" and report.user_properties:
                counts = ", ".join(f"{name} {value}" for name, value in report.user_properties)
                terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {counts}")


@pytest.fixture(scope="session")
def tiny_convolutions() -> "dict[str, tuple[Tensor, Tensor]]":
    """Random convolutions of VGG-19's depth and a few channels each, scaled so that activations keep their size."""
    import torch

    generator = torch.Generator().manual_seed(1)
    convolutions = {}
    for name, given, made in zip(LAYERS, (3, *TINY_CHANNELS), TINY_CHANNELS, strict=False):
        weight = torch.randn(made, given, 3, 3, generator=generator) * (2 / (9 * given)) ** 0.5
        convolutions[name] = (weight, 0.1 * torch.randn(made, generator=generator))
    return convolutions


@pytest.fixture(scope="session")
def tiny_network(tiny_convolutions: "dict[str, tuple[Tensor, Tensor]]") -> "VGG19":
    """The narrow network, on the CPU."""
    from monet_watch.engine.vgg import VGG19

    return VGG19(tiny_convolutions)


@pytest.fixture(scope="session")
def tiny_weights(
    tiny_convolutions: "dict[str, tuple[Tensor, Tensor]]", tmp_path_factory: pytest.TempPathFactory
) -> WeightsFile:
    """The narrow network in a file, with torchvision's names."""
    from safetensors.torch import save

    tensors = {}
    for place, (weight, bias) in zip(TORCHVISION_PLACES, tiny_convolutions.values(), strict=True):
        tensors |= {f"features.{place}.weight": weight, f"features.{place}.bias": bias}
    data = save(tensors)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    path.write_bytes(data)
    return WeightsFile(str(path), path, hashlib.sha256(data).hexdigest())


@pytest.fixture(scope="session")
def make_picture() -> Callable[..., Picture]:
    """A function of (height, width, seed): a picture of soft random shapes, uint8, (H, W, 3)."""

    def make(height: int = 48, width: int = 64, seed: int = 0) -> Picture:
        coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
        return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))

    return make


@pytest.fixture(scope="session")
def make_photo(make_picture: Callable[..., Picture]) -> Callable[..., bytes]:
    """A function of (height, width, seed): such a picture as a PNG file's bytes."""

    def make(height: int = 48, width: int = 64, seed: int = 0) -> bytes:
        file = io.BytesIO()
        Image.fromarray(make_picture(height, width, seed)).save(file, "PNG")
        return file.getvalue()

    return make


@pytest.fixture(scope="session")
def run_for_whom_permissions_count() -> Callable[..., str]:
    """A function of a Python script and its arguments: run it in a process that may read only what it is allowed to.

    Root's process leaves behind what lets it read everything. Returns what the script prints.
    """

    def run(script: str, *arguments: object) -> str:
        command = [sys.executable, "-c", script, *map(str, arguments)]
        if os.geteuid() == 0:
            command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
        done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
