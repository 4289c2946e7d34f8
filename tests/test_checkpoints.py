"""The last checkpoint of each painting under way."""

import pytest

from monet_watch.checkpoints import Checkpoints
from monet_watch.errors import OutboxError


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints")


def test_the_last_one_of_each_painting_is_kept(checkpoints):
    checkpoints.save("a", b"first")
    checkpoints.save("b", b"other")
    checkpoints.save("a", b"second")
    assert (checkpoints.load("a"), checkpoints.load("b"), checkpoints.load("c")) == (b"second", b"other", None)


def test_one_that_is_discarded_is_gone_and_may_be_discarded_again(checkpoints):
    checkpoints.save("a", b"first")
    checkpoints.discard("a")
    checkpoints.discard("a")
    assert checkpoints.load("a") is None


def test_those_of_other_paintings_and_what_interrupted_writes_left_are_removed(checkpoints, tmp_path):
    checkpoints.keep_only({"a"})
    for identity in ("a", "b", "c"):
        checkpoints.save(identity, identity.encode())
    (tmp_path / "checkpoints" / ".monet-watch-12.tmp").write_bytes(b"half")
    checkpoints.keep_only({"a", "d"})
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["a.checkpoint"]


def test_one_that_cannot_be_written_leaves_the_one_before(checkpoints, tmp_path):
    (tmp_path / "checkpoints" / "a.checkpoint").mkdir(parents=True)
    with pytest.raises(OutboxError):
        checkpoints.save("a", b"data")
    assert checkpoints.load("a") is None


def test_a_folder_that_cannot_be_made_is_told_as_what_it_is(checkpoints, tmp_path):
    (tmp_path / "checkpoints").write_bytes(b"")
    with pytest.raises(OutboxError, match="cannot be made"):
        checkpoints.save("a", b"data")
    assert checkpoints.load("a") is None
    checkpoints.discard("a")
    checkpoints.keep_only(())


def test_where_nobody_can_look_none_is_seen_and_none_is_removed(tmp_path):
    checkpoints = Checkpoints(tmp_path / ("n" * 300))
    assert checkpoints.identities() == set()
    checkpoints.keep_only({"a"})
