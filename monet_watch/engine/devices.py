"""What there is to paint with: torch, and each device as it is. Torch itself is imported when somebody asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monet_watch.errors import SettingsError

if TYPE_CHECKING:
    import torch

__all__ = ["DeviceFacts", "TorchFacts", "device_name", "every_device", "look_at_torch"]


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """A device of the name ``asked`` for, which is torch's ``device``: its own ``name``, and its best ``precision``.

    ``memory_bytes`` is a card's memory, None of a processor. ``fault`` says why it cannot be used; then nothing else
    is known.
    """

    asked: str
    device: str = ""
    name: str = ""
    precision: str = ""
    memory_bytes: int | None = None
    fault: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class TorchFacts:
    """Torch's ``version``, how many ``cards`` it sees, and the devices that were asked for.

    ``fault`` says why there is no torch that could be used.
    """

    version: str = ""
    cards: int = 0
    devices: tuple[DeviceFacts, ...] = ()
    fault: str = ""


def look_at_torch(names: Sequence[str]) -> TorchFacts:
    """Import torch and look at the devices of these ``names``, as the config has them; each multiplies two numbers."""
    try:
        import torch
    except (ImportError, OSError, RuntimeError) as error:  # a library of its own that is missing is any of these
        return TorchFacts(fault=str(error) or type(error).__name__)
    return TorchFacts(str(torch.__version__), torch.cuda.device_count(), tuple(map(_look_at_device, names)))


def _look_at_device(asked: str) -> DeviceFacts:
    import torch

    from monet_watch.engine.precision import best_precision
    from monet_watch.engine.vgg import pick_device

    try:
        device = pick_device(asked)
        torch.ones(1, 1, device=device).mm(torch.ones(1, 1, device=device)).item()
        memory = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else None
        return DeviceFacts(asked, str(device), device_name(device), best_precision(device), memory)
    except SettingsError as error:
        return DeviceFacts(asked, fault=error.message, remedy=error.remedy)
    except RuntimeError as error:
        return DeviceFacts(asked, fault=f"The device {asked} fails: {str(error).partition(chr(10))[0]}")


def every_device() -> tuple[str, ...]:
    """Return every CUDA device that this process may see (CUDA_VISIBLE_DEVICES), else Metal's, else the processor."""
    import torch

    if torch.cuda.is_available():
        return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))
    return ("mps",) if torch.backends.mps.is_available() else ("cpu",)


def device_name(device: "torch.device") -> str:
    """Return what the device is called by whoever made it, or, of a processor, what torch takes it for."""
    import platform

    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} ({torch.backends.cpu.get_cpu_capability()})"
