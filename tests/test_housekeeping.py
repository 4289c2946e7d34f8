"""The state folder does not grow: what no painting needs goes."""

from pathlib import PurePosixPath

import pytest

from monet_watch.housekeeping import HOUSEKEEPING_SECONDS
from tests.rehearsal import Rehearsal


@pytest.fixture
def house(tmp_path):
    """Three photos: one is painted and has a checkpoint, the others wait for their turn."""
    with Rehearsal(tmp_path, automatic=False, steps=10) as house:
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            house.drop(name, name.encode())
            house.rest()
        house.worker.ready()
        house.turn()
        house.worker.begin()
        house.worker.step(2)
        house.worker.checkpoint()
        house.turn()
        yield house


def identity(house, name):
    return house.jobs(name)[0].identity


def test_a_finished_painting_leaves_no_checkpoint(house):
    assert house.checkpoints.identities() == {identity(house, "a.jpg")}
    house.worker.step(8)
    house.worker.finish()
    house.turn()
    assert house.checkpoints.identities() == set()


def test_what_is_painted_or_queued_keeps_its_checkpoint_however_many_rounds_are_made(house):
    kept = {identity(house, "a.jpg"), identity(house, "b.jpg")}
    house.checkpoints.save(identity(house, "b.jpg"), b"of an earlier attempt")
    for _ in range(3):
        house.advance(HOUSEKEEPING_SECONDS)
    assert house.checkpoints.identities() == kept


def test_a_photo_that_was_deleted_while_it_waited_loses_its_checkpoint_without_a_restart(house):
    house.checkpoints.save(identity(house, "b.jpg"), b"of an earlier attempt")
    house.remove("b.jpg")
    house.advance(1)
    assert not house.jobs("b.jpg")
    house.advance(HOUSEKEEPING_SECONDS)
    assert house.checkpoints.identities() == {identity(house, "a.jpg")}


def test_stages_that_were_kept_for_a_photo_that_was_deleted_go_without_a_restart(house):
    for name in ("a.jpg", "b.jpg"):
        house.undelivered.keep(identity(house, name), {"progress_0002.png": b"a stage"})
    house.remove("b.jpg")
    house.advance(1)
    house.advance(HOUSEKEEPING_SECONDS)
    assert house.undelivered.identities() == [identity(house, "a.jpg")]


def test_the_start_removes_what_the_last_run_left(house, tmp_path):
    house.checkpoints.save("of a painting that nobody knows", b"left")
    (tmp_path / "checkpoints" / ".monet-watch-12.tmp").write_bytes(b"half")
    wanted = identity(house, "a.jpg")
    house.__exit__()
    with Rehearsal(tmp_path, automatic=False, steps=10) as again:
        again.turn()
        assert again.checkpoints.identities() == {wanted}
        assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [f"{wanted}.checkpoint"]


def test_no_row_of_a_photo_is_lost_by_it(house):
    house.advance(HOUSEKEEPING_SECONDS)
    assert {path.name for path in house.ledger.known_paths()} == {"a.jpg", "b.jpg", "c.jpg"}
    assert house.ledger.known(PurePosixPath("b.jpg"))[0].settings
