"""What the machine and the installation have: Python, torch, the devices and their precision, the weights."""

import platform
import sys
from collections.abc import Iterator

from monet_watch.doctor.findings import Finding, Premises, fine, note, wrong
from monet_watch.engine.devices import DeviceFacts
from monet_watch.errors import WeightsError
from monet_watch.household import find_weights
from monet_watch.weights import NAMED_SOURCES

__all__ = ["check_cards", "check_devices", "check_precision", "check_python", "check_torch", "check_weights"]

_LEAST_PYTHON = (3, 11)
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
