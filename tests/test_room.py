"""Whether there is room for a painting: the estimate holds what a real one takes, and too little makes it wait."""

import shutil

import numpy as np
import pytest

from monet_watch.recipes import SWIFT
from monet_watch.room import NoRoomError, Room, require_room, room_for
from tests.rehearsal import Rehearsal

SIDE = 96
MORE_THAN_ANY_DISK = "image_size: 16384\nsteps: 10000\nsave_every: 1\n"
MEBI = 1 << 20


def test_a_painting_takes_no_more_than_was_thought(tiny_network):
    """Noise, painted from coarse to fine: nothing compresses worse."""
    from safetensors.torch import save

    from monet_watch.engine.events import Checkpoint, Finished, Snapshot
    from monet_watch.engine.paint import Painter
    from monet_watch.outbox.picture import encode_png

    photo, style = np.random.default_rng(1).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    changes = {"image_size": SIDE, "steps": 30, "save_every": 3, "least_gain": 0.0, "precision": "fp32"}
    recipe = SWIFT.with_changes(changes)
    room = room_for(recipe, (SIDE, SIDE))
    pictures, checkpoints = 0, []
    for event in Painter(tiny_network).paint(photo, [style], recipe):
        if isinstance(event, Snapshot | Finished):
            pictures += len(encode_png(event.image))
        elif isinstance(event, Checkpoint):
            checkpoints.append(len(save(event.state)))
    assert 0.5 * (room.outbox_bytes - MEBI) < pictures < room.outbox_bytes
    assert 0.5 * (room.state_bytes - MEBI) < 2 * max(checkpoints) < room.state_bytes


def test_the_most_that_a_checkpoint_keeps_is_the_engines(tiny_network):
    """The daemon does not import the engine, which would bring torch."""
    from monet_watch.engine.paint import CHECKPOINT_LIMIT_BYTES

    assert room_for(SWIFT, (1000, 1000)).state_bytes == 2 * CHECKPOINT_LIMIT_BYTES + MEBI
    assert room_for(SWIFT, (4000, 4000)).state_bytes == 2 * 12 * 16_000_000 + MEBI


@pytest.mark.parametrize("short", ["outbox", "state"])
def test_a_disk_with_too_little_room_is_named(tmp_path, short):
    free = shutil.disk_usage(tmp_path).free
    needed = {"outbox_bytes": 0, "state_bytes": 0, f"{short}_bytes": 2 * free + MEBI}
    with pytest.raises(NoRoomError, match=f"MiB in {tmp_path}/{short}") as refused:
        require_room(tmp_path / "outbox", tmp_path / "state" / "not" / "there" / "yet", Room(**needed))
    assert short in refused.value.remedy
    require_room(tmp_path / "outbox", tmp_path / "state", Room(1, 1))


def test_a_painting_for_which_there_is_no_room_waits_is_told_once_and_tried_again(tmp_path):
    with Rehearsal(tmp_path) as house:
        house.drop("style.yaml", MORE_THAN_ANY_DISK.encode())
        house.drop("a.jpg", b"a")
        house.drop("b.jpg", b"b")
        house.rest()
        for _ in range(20):
            house.advance(60)
        assert house.states("a.jpg") == house.states("b.jpg") == ["queued"]
        assert not house.worker.jobs
        (told,) = house.told("problem")
        assert "too little room" in told and str(house.outbox) in told
        assert not house.problems()


def test_a_painting_that_waits_for_room_holds_back_none_that_takes_less(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=100 * MEBI))
    with Rehearsal(tmp_path) as house:
        house.rest()
        house.drop("large/style.yaml", b"image_size: 4096")
        for number in range(20):
            house.drop(f"large/{number}.jpg", b"%d" % number)
        house.rest()
        house.drop("small.jpg", b"small")
        house.rest()
        assert house.states("small.jpg") == ["done"]
        assert len(house.told("problem")) == 1
        assert "too little room" in house.ledger.overview().trouble
        monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=1 << 60))
        house.advance(5)
        house.rest()
        assert house.states("large/0.jpg") == house.states("large/19.jpg") == ["done"]
        assert house.ledger.overview().trouble == ""


def test_room_is_not_missed_any_more_when_the_photo_that_waited_for_it_is_gone(tmp_path):
    with Rehearsal(tmp_path) as house:
        house.drop("style.yaml", MORE_THAN_ANY_DISK.encode())
        house.drop("a.jpg", b"a")
        house.rest()
        assert house.ledger.overview().trouble
        house.remove("a.jpg")
        house.advance(20)
        assert house.ledger.overview().trouble == ""


def test_it_is_painted_when_there_is_room_again_and_a_later_shortage_is_told_again(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    with Rehearsal(tmp_path) as house:
        for name in ("a.jpg", "b.jpg"):
            monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=1000))
            house.drop(name, name.encode())
            house.rest()
            house.advance(120)
            assert house.states(name) == ["queued"]
            monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
            house.advance(5)
            house.rest()
            assert house.states(name) == ["done"]
        assert len(house.told("problem")) == 2


def test_a_share_that_says_nothing_of_its_size_is_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"total": 0, "free": 0}))
    require_room(tmp_path, tmp_path, Room(1 << 60, 1 << 60))


def test_a_disk_that_cannot_be_looked_at_is_trusted(tmp_path):
    nowhere = tmp_path / ("n" * 300)
    require_room(nowhere, nowhere, Room(1 << 60, 1 << 60))
