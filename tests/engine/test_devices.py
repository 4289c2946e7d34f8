"""Which devices there are, told by a torch that pretends: cards that this machine need not have."""

import pytest
import torch

from monet_watch.engine.devices import every_device
from monet_watch.engine.vgg import pick_device


@pytest.fixture
def machine(monkeypatch):
    """Give torch so many cards of NVIDIA's, and, or not, a Mac's."""

    def make(cards=0, metal=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: metal)

    return make


def test_every_card_counts_that_torch_sees(machine):
    machine(cards=3)
    assert every_device() == ("cuda:0", "cuda:1", "cuda:2")


def test_without_a_card_it_is_the_mac_s(machine):
    machine(metal=True)
    assert every_device() == ("mps",)


def test_without_either_it_is_the_processor(machine):
    machine()
    assert every_device() == ("cpu",)


def test_auto_for_one_painting_is_the_first_of_them(machine):
    machine(cards=2, metal=True)
    assert str(pick_device("auto")) == "cuda:0"
