"""What the machine and the installation have: Python, torch, the devices and their precision, the weights."""

import platform
import sys
from collections.abc import Iterator, Mapping

from monet_watch.config import Config
from monet_watch.doctor.findings import Finding, Premises, fine, note, wrong
from monet_watch.engine.devices import DeviceFacts, TorchFacts
from monet_watch.errors import WeightsError, WorkerError
from monet_watch.household import find_weights
from monet_watch.weights import NAMED_SOURCES
from monet_watch.wording import number
from monet_watch.workers.local import measured_step

__all__ = [
    "STEP_SIZE",
    "check_cards",
    "check_devices",
    "check_precision",
    "check_python",
    "check_steps",
    "check_torch",
    "check_weights",
    "measure_steps",
]

STEP_SIZE = 64
"""Pixels: the side of the square on which steps are taken."""

_LEAST_PYTHON = (3, 11)
_OTHER_DEVICE = "Mend its driver, free some of its memory, or name other `devices` in the config."
_INSTALL = "Install monet-watch in an environment of its own: python3 -m venv .venv && .venv/bin/pip install ."


def check_python(premises: Premises) -> Iterator[Finding]:
    """Which Python, and whether it is late enough."""
    text = f"Python {platform.python_version()}, {sys.executable}"
    if sys.version_info < _LEAST_PYTHON:
        needed = ".".join(map(str, _LEAST_PYTHON))
        yield wrong("python", text, f"monet-watch needs Python {needed} or later. {_INSTALL}")
    else:
        yield fine("python", text)


def check_torch(premises: Premises) -> Iterator[Finding]:
    """Whether there is a torch that can be imported."""
    facts = premises.torch()
    if facts.fault:
        yield wrong("torch", f"torch cannot be used: {facts.fault}", _INSTALL)
    else:
        yield fine("torch", f"torch {facts.version}")


def check_devices(premises: Premises) -> Iterator[Finding]:
    """Whether each device of the config can be used, and what it is."""
    for device in premises.torch().devices:
        if device.fault:
            yield wrong(
                "device", device.fault, device.remedy or "Mend its driver, or name other `devices` in the config."
            )
        else:
            yield fine("device", f"{_called(device)}: {device.name}{_memory(device)}")


def _called(device: DeviceFacts) -> str:
    return device.device if device.asked == device.device else f"{device.asked} is {device.device}"


def _memory(device: DeviceFacts) -> str:
    return f", {device.memory_bytes / 2**30:.1f} GiB" if device.memory_bytes is not None else ""


def check_cards(premises: Premises) -> Iterator[Finding]:
    """Whether there is a card that torch does not see, and ``auto`` therefore paints on the processor."""
    facts, cards = premises.torch(), len(list((premises.root / "proc/driver/nvidia/gpus").glob("*")))
    if cards and not facts.cards and not facts.fault and "cpu" not in premises.config.devices:
        yield wrong(
            "device",
            f"NVIDIA's driver knows {cards} card{'s' * (cards > 1)}, but torch {facts.version} sees none.",
            "Install a torch built for CUDA, and a driver that is late enough; or set `devices: cpu` in the config.",
        )


def check_precision(premises: Premises) -> Iterator[Finding]:
    """What each device computes in at best."""
    for device in premises.torch().devices:
        if device.fault:
            continue
        if device.precision == "bf16":
            yield fine("precision", f"{device.device} computes in bf16")
        else:
            text = (
                f"{device.device} computes in {device.precision}: without bf16 a step takes two to three times as long"
            )
            yield note("precision", text)


def check_weights(premises: Premises) -> Iterator[Finding]:
    """Whether the weights that the config names are there, and the right ones."""
    try:
        found = find_weights(premises.config, premises.environ)
    except WeightsError as error:
        yield wrong("weights", error.message, error.remedy)
        return
    checked = "verified" if found.source in NAMED_SOURCES else "a file of yours, with nothing to compare it with"
    yield fine("weights", f"{found.source}: {found.path}, SHA-256 {found.sha256[:12]}…, {checked}")


def check_steps(premises: Premises) -> Iterator[Finding]:
    """What a step takes on each device; without weights, of which another check tells, none can be taken."""
    for device in _every_device(premises.torch()):
        try:
            seconds = premises.seconds_per_step(device)
        except WeightsError:
            return
        except WorkerError as error:
            yield wrong("steps", error.message, error.remedy or _OTHER_DEVICE)
        else:
            text = f"{device} takes {number(seconds)} s for a step at {STEP_SIZE} × {STEP_SIZE} pixels"
            yield fine("steps", text)


def _every_device(facts: TorchFacts) -> list[str]:
    """Each device once that can be used; where ``auto`` stands for cards, each card."""
    found: dict[str, None] = {}
    for each in facts.devices:
        is_every_card = each.asked == "auto" and each.device.startswith("cuda")
        names = [f"cuda:{number}" for number in range(facts.cards)] if is_every_card else [each.device]
        found.update(dict.fromkeys([] if each.fault else names))
    return list(found)


def measure_steps(config: Config, environ: Mapping[str, str], device: str) -> float:
    """Return the seconds of a step on ``device``, measured. Raises WeightsError and WorkerError."""
    return measured_step(find_weights(config, environ), device, config.threads, STEP_SIZE)
