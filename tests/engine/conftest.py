"""What the tests of the engine share."""

import pytest

from monet_watch.engine import precision


@pytest.fixture
def bf16_instructions(monkeypatch):
    """The processor passes for one that computes in bf16, whatever it is: tiny networks can wait for the emulation."""
    monkeypatch.setattr(precision, "_processor_has_bf16", lambda: True)
