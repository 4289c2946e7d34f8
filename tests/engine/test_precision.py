"""The precision that a device does well, for devices that this machine need not have."""

import platform

import pytest
import torch

from monet_watch.engine import precision
from monet_watch.engine.precision import best_precision, resolve_precision

CPU, CARD, MAC = torch.device("cpu"), torch.device("cuda:1"), torch.device("mps")


@pytest.fixture
def intel(monkeypatch):
    """A function of what torch says of a processor by Intel or AMD."""

    def pretend(**answers):
        monkeypatch.setattr(platform, "machine", lambda: "x86_64")
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
            answer = answers.get(name, False)
            monkeypatch.setattr(torch.cpu, name, lambda answer=answer: answer, raising=False)

    return pretend


@pytest.mark.parametrize("feature", ["_is_avx512_bf16_supported", "_is_amx_tile_supported"])
def test_a_processor_with_instructions_for_bf16_uses_them(intel, feature):
    intel(**{feature: True})
    assert best_precision(CPU) == "bf16"


def test_a_processor_without_them_does_not_emulate_them(intel):
    intel()
    assert best_precision(CPU) == "fp32"


def test_a_torch_that_cannot_be_asked_counts_as_a_no(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "AMD64")
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert best_precision(CPU) == "fp32"


@pytest.mark.parametrize(
    ("flags", "best"),
    [("fp asimd i8mm bf16 dgh", "bf16"), ("fp asimd svebf16", "fp32"), ("fp asimd", "fp32"), (None, "fp32")],
)
def test_an_arm_processor_is_known_by_its_flags(monkeypatch, tmp_path, flags, best):
    facts = tmp_path / "cpuinfo"
    if flags is not None:
        facts.write_text(f"processor\t: 0\nFeatures\t: {flags}\nCPU implementer\t: 0x41\n")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(precision, "_CPU_FACTS", facts)
    assert best_precision(CPU) == best


@pytest.mark.parametrize(("capability", "best"), [((7, 5), "fp32"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_a_card_is_asked_itself_and_not_the_first_one(monkeypatch, capability, best):
    asked = []
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: asked.append(device) or capability)
    assert best_precision(CARD) == best
    assert asked == [CARD]


def test_amd_s_cards_have_bf16(monkeypatch):
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert best_precision(CARD) == "bf16"


def test_a_mac_s_card_paints_in_fp32():
    assert best_precision(MAC) == "fp32"


@pytest.mark.parametrize("device", [CPU, MAC])
def test_what_has_no_tf32_is_said_to_compute_in_fp32(device):
    assert resolve_precision("tf32", device) == "fp32"


@pytest.mark.parametrize(
    ("hip", "capability", "expected"), [(None, (7, 5), "fp32"), (None, (8, 0), "tf32"), ("6.4", (9, 4), "fp32")]
)
def test_tf32_is_what_nvidia_s_cards_have_since_ampere(monkeypatch, hip, capability, expected):
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_precision("tf32", CARD) == expected


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16"), (False, "fp32")])
def test_bf16_on_a_processor_is_granted_where_it_need_not_be_emulated(intel, native, expected):
    intel(_is_avx512_bf16_supported=native)
    assert resolve_precision("bf16", CPU) == expected


@pytest.mark.parametrize(("wish", "device"), [("bf16", CARD), ("bf16", MAC), ("fp32", CPU)])
def test_any_other_wish_is_granted(wish, device):
    assert resolve_precision(wish, device) == wish
