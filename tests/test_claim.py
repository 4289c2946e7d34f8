"""The outbox belongs to one daemon, on whatever machine that runs; one that was killed has no claim."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from monet_watch.claim import CLAIM_NAME, SILENCE_SECONDS, Claim, OutboxClaim
from monet_watch.errors import AlreadyRunningError

HOLD = """
import sys
from pathlib import Path
from monet_watch.claim import OutboxClaim
with OutboxClaim(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the outbox."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def leave(folder, claim, silent_seconds=0.0):
    """Let ``claim`` lie in the outbox, renewed so long ago."""
    path = folder / CLAIM_NAME
    path.write_text(json.dumps(asdict(claim)))
    at = path.stat().st_mtime - silent_seconds
    os.utime(path, (at, at))


def elsewhere(**changes):
    """The claim of a daemon on another machine."""
    return replace(Claim.mine(), **{"host": "attic", "machine": "another", "boot": "another", **changes})


def test_a_second_daemon_is_refused_with_the_first_ones_number(holder, tmp_path):
    with pytest.raises(AlreadyRunningError, match=f"process {holder.pid} on "):
        OutboxClaim(tmp_path).take()


def test_of_a_daemon_that_ended_nothing_is_left(holder, tmp_path):
    holder.communicate()
    assert list(tmp_path.iterdir()) == []


def test_after_a_kill_the_outbox_is_free_at_once(holder, tmp_path):
    holder.kill()
    holder.wait()
    with OutboxClaim(tmp_path):
        assert json.loads((tmp_path / CLAIM_NAME).read_text())["pid"] == os.getpid()


def test_another_process_that_was_given_the_number_since_is_not_the_daemon(tmp_path):
    leave(tmp_path, replace(Claim.mine(), token="other", started="1"))
    OutboxClaim(tmp_path).take()


def test_a_claim_from_before_the_machine_was_started_again_is_void(tmp_path):
    leave(tmp_path, replace(Claim.mine(), token="other", boot="an earlier one"))
    OutboxClaim(tmp_path).take()


@pytest.mark.parametrize(
    "where", [{}, {"machine": Claim.mine().machine, "boot": Claim.mine().boot, "space": "container"}]
)
def test_of_a_daemon_that_cannot_be_seen_the_files_time_counts(tmp_path, where):
    leave(tmp_path, elsewhere(**where), silent_seconds=SILENCE_SECONDS / 2)
    with pytest.raises(AlreadyRunningError, match="on attic"):
        OutboxClaim(tmp_path).take()
    leave(tmp_path, elsewhere(**where), silent_seconds=SILENCE_SECONDS * 2)
    OutboxClaim(tmp_path).take()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": 1}', "\x00"])
def test_a_file_that_is_no_claim_is_none(tmp_path, text):
    (tmp_path / CLAIM_NAME).write_text(text)
    OutboxClaim(tmp_path).take()


def test_an_outbox_that_cannot_be_written_is_claimed_when_it_can(tmp_path):
    claim = OutboxClaim(tmp_path / "outbox")
    claim.take()
    claim.renew()
    (tmp_path / "outbox").mkdir()
    claim.renew()
    assert (tmp_path / "outbox" / CLAIM_NAME).is_file()


def test_a_claim_that_is_renewed_is_as_young_as_a_file_can_be(tmp_path):
    with OutboxClaim(tmp_path) as claim:
        os.utime(tmp_path / CLAIM_NAME, (0, 0))
        claim.renew()
        assert (tmp_path / CLAIM_NAME).stat().st_mtime > 0
        assert [path.name for path in tmp_path.iterdir()] == [CLAIM_NAME]


def test_whoever_finds_another_in_its_place_gives_way_and_leaves_that_ones_claim(tmp_path):
    with OutboxClaim(tmp_path) as claim:
        leave(tmp_path, elsewhere())
        with pytest.raises(AlreadyRunningError, match="on attic"):
            claim.renew()
    assert json.loads((tmp_path / CLAIM_NAME).read_text())["host"] == "attic"
