"""Which precision a device does well."""

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch

__all__ = ["Precision", "best_precision", "resolve_precision"]

Precision = Literal["fp32", "tf32", "bf16", "fp64"]
"""What the network computes in. tf32 is fp32 with products and convolutions of 10 bits of mantissa, as NVIDIA's cards
since Ampere offer; fp64 is for tests."""

_CPU_FACTS = Path("/proc/cpuinfo")


def best_precision(device: torch.device) -> Precision:
    """Return ``bf16`` where ``device`` computes in it natively, else ``fp32``.

    What only emulates bf16 is slower with it than without. There is no card with tf32 and without bf16.
    """
    if device.type == "cuda":
        return "bf16" if _card_has_bf16(device) else "fp32"
    return "bf16" if device.type == "cpu" and _processor_has_bf16() else "fp32"


def resolve_precision(wish: Literal["auto", "bf16", "tf32", "fp32"], device: torch.device) -> Precision:
    """Return ``wish``; what `best_precision` says where it is ``auto``, and fp32 where ``device`` lacks what is wished.

    A processor without bf16 emulates it, at up to two hundred times the time and in the memory of fp32.
    """
    if wish == "tf32":
        return "tf32" if _has_tf32(device) else "fp32"
    if wish == "auto" or (wish == "bf16" and device.type == "cpu"):
        return best_precision(device)
    return wish


def _has_tf32(device: torch.device) -> bool:
    return device.type == "cuda" and torch.version.hip is None and _is_ampere(device)


def _card_has_bf16(device: torch.device) -> bool:
    # torch.cuda.is_bf16_supported asks the current card only.
    return torch.version.hip is not None or _is_ampere(device)


def _is_ampere(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) >= (8, 0)


def _processor_has_bf16() -> bool:
    if platform.machine().lower() in ("aarch64", "arm64"):
        return "bf16" in _flags()
    questions = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch's own, which not every version has
    answers: list[Callable[[], bool]] = [getattr(torch.cpu, name, lambda: False) for name in questions]
    return any(answer() for answer in answers)


def _flags() -> set[str]:
    """What the processor says that it can do, where the system tells."""
    try:
        lines = _CPU_FACTS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith("Features") for flag in line.partition(":")[2].split()}
