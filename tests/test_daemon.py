"""The loop: messages in, decisions out; what is due; how it starts and ends."""

import contextlib
import itertools
from datetime import UTC, datetime, timedelta, timezone
from pathlib import PurePosixPath

import pytest

from monet_watch.config import Config
from monet_watch.daemon import HEARTBEAT_SECONDS, Outcome
from monet_watch.errors import LedgerError, LedgerUnavailableError, SettingsError
from monet_watch.hours import ActiveHours, Range
from monet_watch.inbox import mounts
from monet_watch.inbox.hints import EventsLost, FileGone
from monet_watch.inbox.survey import InboxGone, Scanned, Unreadable
from monet_watch.inbox.watch import Mode
from monet_watch.ledger import HEARTBEAT_KEY, RESTING_KEY, JobState
from monet_watch.requests import Act, Request
from monet_watch.service import ReloadAsked, StopAsked
from tests.rehearsal import EPOCH, LIMIT_BYTES, Rehearsal


@pytest.fixture
def house(tmp_path):
    with Rehearsal(tmp_path) as house:
        yield house


def test_a_photo_that_lies_there_at_the_start_is_painted(tmp_path):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "early.jpg").write_bytes(b"early")
    with Rehearsal(tmp_path) as house:
        house.rest()
        assert house.records() == ["early"]


def test_a_photo_that_no_event_told_of_is_found_by_the_next_scan(house):
    house.rest()
    (house.inbox / "silent.jpg").write_bytes(b"silent")
    house.advance(290)
    assert not house.jobs("silent.jpg")
    house.advance(10)
    house.rest()
    assert house.records() == ["silent"]


def test_a_photo_that_vanished_without_an_event_is_forgotten_by_the_next_scan(house):
    house.drop("held/a.jpg")
    house.drop("held/style.yaml", b"stepz: 1\n")
    house.rest()
    (house.inbox / "held" / "a.jpg").unlink()
    house.advance(300)
    assert not house.jobs("held/a.jpg")


def test_a_watch_that_dies_is_replaced_and_what_it_missed_is_found(house):
    house.rest()
    house.watches[-1].die()
    (house.inbox / "missed.jpg").write_bytes(b"missed")
    house.advance(1)
    house.rest()
    assert len(house.watches) == 2
    assert house.records() == ["missed"]
    assert "started again" in house.told("watching")[-1]


def test_how_the_inbox_is_watched_is_noted_and_what_ended_the_watch(house):
    began = house.time_of_day()
    house.rest()
    state = house.ledger.watch_state()
    assert (state.mode, state.reason, state.trouble) == ("events", "A script says so.", "")
    assert state.scanned_at == began
    assert state.restarted_at is None
    house.advance(60)
    house.watches[-1].die()
    house.advance(1)
    house.rest()
    state = house.ledger.watch_state()
    assert (state.restarted_for, state.restarted_at) == ("a script has ended it", house.time_of_day())
    assert state.scanned_at == house.time_of_day()


def test_a_watch_that_gets_less_than_it_should_is_told_of_once_and_noted_as_it_goes_on(house):
    house.rest()
    watch = house.watches[-1]
    watch.mode, watch.limited = Mode.MIXED, True
    for count in (1, 2, 3):
        watch.reason = f"{count} folders are looked through; raise the limit."
        house.advance(1)
    assert house.told("watching")[1:] == ["1 folders are looked through; raise the limit."]
    assert house.ledger.watch_state().reason == watch.reason
    assert house.ledger.watch_state().limited


def test_lost_events_lead_to_one_scan_of_everything_at_once(house):
    house.rest()
    (house.inbox / "missed.jpg").write_bytes(b"missed")
    house.advance(1)
    lost_at = house.time_of_day()
    house.watches[-1].say(EventsLost(), EventsLost())
    house.rest()
    assert house.records() == ["missed"]
    assert house.ledger.watch_state().scanned_at == lost_at
    assert "everything is looked through" in house.told("watching")[-1]


def test_a_folder_that_cannot_be_looked_into_is_told_once_until_it_could(house):
    house.rest()
    folder = PurePosixPath("shut")
    shut, seen = Scanned(folder, (), (Unreadable(folder, "Permission denied"),)), Scanned(folder, ())
    for scanned in (shut, shut, seen, shut):
        house.mailbox.post(scanned)
        house.turn()
    assert len(house.told("problem", "shut")) == 2


@pytest.fixture
def mounted(monkeypatch, tmp_path):
    """A function of folders: the system says that something is mounted there, and nowhere else."""

    def says(*points):
        lines = [f"{number} 27 0:{number} / {point} rw - nfs4 x rw" for number, point in enumerate(points, 30)]
        (tmp_path / "mountinfo").write_text("\n".join(["27 1 254:0 / / rw - ext4 /dev/vda rw", *lines]))

    monkeypatch.setattr(mounts, "_MOUNTINFO", tmp_path / "mountinfo")
    says()
    return says


def test_an_inbox_whose_share_is_unmounted_forgets_no_photo_not_even_at_a_restart(tmp_path, mounted):
    """What is left is an empty folder; a photo that was queued or waited still does, and no problem is cleared."""
    inbox = tmp_path / "inbox"
    mounted(inbox)
    with Rehearsal(tmp_path, automatic=False) as house:
        house.drop("queued.jpg")
        house.drop("held/waits.jpg")
        house.drop("held/style.yaml", b"stepz: 1\n")
        house.drop("problem.jpg", b"x" * (LIMIT_BYTES + 1))
        house.rest()
        before = {name: house.states(name) for name in ("queued.jpg", "held/waits.jpg", "problem.jpg")}
        assert before == {"queued.jpg": ["queued"], "held/waits.jpg": ["waiting"], "problem.jpg": ["problem"]}
        inbox.rename(tmp_path / "share")
        inbox.mkdir()
        mounted()
        house.watches[-1].die()
        for name in before:
            house.watches[-1].say(FileGone(PurePosixPath(name)))
        house.worker.ready()
        house.advance(300)
        assert {name: house.states(name) for name in before} == before
        assert "that is not mounted" in house.ledger.watch_state().trouble
    with Rehearsal(tmp_path, automatic=False, style=b"") as house:
        house.rest()
        house.worker.ready()
        house.advance(300)
        assert {name: house.states(name) for name in before} == before
        inbox.rmdir()
        (tmp_path / "share").rename(inbox)
        mounted(inbox)
        house.advance(60)
        assert house.states("queued.jpg") == ["running"]
        assert house.ledger.watch_state().trouble == ""


def test_an_inbox_that_is_unmounted_while_a_bulk_is_on_its_way_is_away_and_not_empty(tmp_path, mounted):
    inbox = tmp_path / "inbox"
    mounted(inbox)
    with Rehearsal(tmp_path, automatic=False, style=b"") as house:
        house.turn()
        for number in range(30):
            (inbox / f"{number}.jpg").write_bytes(b"%d" % number)
        house.arrivals.scan()
        house.turn()
        inbox.rename(tmp_path / "share")
        inbox.mkdir()
        mounted()
        house.arrivals.scan()
        house.turn()
        assert "that is not mounted" in house.ledger.watch_state().trouble
        inbox.rmdir()
        (tmp_path / "share").rename(inbox)
        mounted(inbox)
        house.advance(60)
        house.rest()
        assert house.ledger.counts()[JobState.QUEUED] == 30


def test_settings_that_settled_when_the_inbox_was_unmounted_and_are_not_in_it_any_more_hold_no_photo(tmp_path, mounted):
    inbox = tmp_path / "inbox"
    mounted(inbox)
    with Rehearsal(tmp_path, automatic=False) as house:
        house.rest()
        house.drop("style.yaml", b"steps: 3\n")
        house.drop("a.jpg", b"a")
        house.turn()
        inbox.rename(tmp_path / "share")
        inbox.mkdir()
        mounted()
        house.advance(2)
        assert "that is not mounted" in house.ledger.watch_state().trouble
        inbox.rmdir()
        (tmp_path / "share").rename(inbox)
        (inbox / "style.yaml").unlink()
        mounted(inbox)
        for _ in range(3):
            house.advance(60)
        assert house.states("a.jpg") == ["queued"]


def test_photos_of_a_share_that_is_unmounted_below_the_inbox_wait_for_it_and_the_others_are_painted(tmp_path, mounted):
    nas = tmp_path / "inbox" / "nas"
    nas.mkdir(parents=True)
    mounted(nas)
    with Rehearsal(tmp_path, automatic=False) as house:
        house.drop("nas/a.jpg", b"a")
        house.drop("b.jpg", b"b")
        house.rest()
        nas.rename(tmp_path / "share")
        nas.mkdir()
        mounted()
        house.advance(300)
        [waiting] = house.jobs("nas/a.jpg")
        assert waiting.state is JobState.WAITING
        assert waiting.reason == "What was mounted at nas in the inbox is not mounted."
        house.worker.ready()
        house.advance(1)
        assert house.states("b.jpg") == ["running"]
        assert len([text for text in house.told("problem") if "not mounted" in text]) == 1
        nas.rmdir()
        (tmp_path / "share").rename(nas)
        mounted(nas)
        house.advance(300)
        house.rest()
        assert house.states("nas/a.jpg") == ["queued"]


def test_an_inbox_that_goes_away_takes_no_photo_with_it(tmp_path):
    with Rehearsal(tmp_path, automatic=False) as house:
        house.drop("a.jpg", b"a")
        house.drop("b.jpg", b"b")
        house.rest()
        assert house.states("a.jpg") == house.states("b.jpg") == ["queued"]
        house.inbox.rename(tmp_path / "unmounted")
        house.watches[-1].die()
        house.worker.ready()
        house.advance(300)
        assert house.states("a.jpg") == house.states("b.jpg") == ["queued"]
        assert any("cannot be read" in text for text in house.told("problem"))
        (tmp_path / "unmounted").rename(house.inbox)
        house.advance(60)
        assert house.states("a.jpg") == ["running"]
        assert any("is there again" in text for text in house.told("started"))


def test_an_inbox_that_goes_away_unheard_while_a_photo_settles_is_told_of_and_leaves_the_loop_its_pauses(house):
    house.drop("a.jpg")
    house.turn()
    house.inbox.rename(house.folder / "unmounted")
    house.advance(2)
    assert house.daemon.nap() > 0
    assert any("cannot be read" in text for text in house.told("problem"))
    (house.folder / "unmounted").rename(house.inbox)
    house.advance(60)
    house.rest()
    assert house.states("a.jpg") == ["done"]


def test_an_inbox_that_is_away_for_long_is_told_once(house):
    house.rest()
    for _ in range(5):
        house.mailbox.post(InboxGone("The inbox cannot be read."))
        house.turn()
    assert len(house.told("problem")) == 1


def test_the_first_signal_lets_the_worker_save_and_takes_no_new_job(tmp_path):
    with Rehearsal(tmp_path, automatic=False) as house:
        house.worker.ready()
        house.drop("a.jpg", b"a")
        house.drop("b.jpg", b"b")
        house.rest()
        house.worker.begin()
        house.worker.step(3)
        house.turn()
        house.mailbox.post(StopAsked("SIGTERM", 1))
        house.turn()
        assert house.daemon.finished()
        assert (house.states("a.jpg"), house.states("b.jpg")) == (["queued"], ["queued"])
        assert house.checkpoints.load(house.jobs("a.jpg")[0].identity) == b"3"
        assert house.jobs("a.jpg")[0].attempts == 0
        assert len(house.worker.jobs) == 1


def test_a_worker_that_saves_nothing_is_waited_for_seven_seconds_and_no_longer(tmp_path):
    with Rehearsal(tmp_path, automatic=False) as house:
        house.worker.ready()
        house.drop("a.jpg")
        house.rest()
        house.worker.cancel = lambda: None  # it hangs
        house.mailbox.post(StopAsked("SIGTERM", 1))
        house.turn()
        house.advance(6.9)
        assert not house.daemon.finished()
        house.advance(0.1)
        assert house.daemon.finished()


def test_it_naps_while_it_waits_for_a_worker_to_save(tmp_path):
    with Rehearsal(tmp_path, automatic=False) as house:
        house.worker.ready()
        house.drop("a.jpg")
        house.rest()
        house.worker.cancel = lambda: None
        house.drop("b.jpg", b"b")
        house.turn()
        house.mailbox.post(StopAsked("SIGTERM", 1))
        house.turn()
        house.advance(3)
        house.advance(0.25)
        assert house.daemon.nap() > 0.1


def test_a_second_signal_ends_the_wait(tmp_path):
    with Rehearsal(tmp_path, automatic=False) as house:
        house.worker.ready()
        house.drop("a.jpg")
        house.rest()
        house.worker.cancel = lambda: None
        house.mailbox.post(StopAsked("SIGINT", 1))
        house.mailbox.post(StopAsked("SIGINT", 2))
        house.turn()
        assert house.daemon.finished()


def test_steps_that_come_together_are_all_told_and_the_last_one_is_noted(tmp_path):
    with Rehearsal(tmp_path, automatic=False, steps=50) as house:
        house.worker.ready()
        house.drop("a.jpg")
        house.rest()
        house.worker.begin()
        house.worker.step(30)
        house.turn()
        assert [text.partition(" of")[0] for text in house.told("step")] == [f"Step {n}" for n in range(1, 31)]
        job = house.jobs("a.jpg")[0]
        assert (job.step, job.loss) == (30, pytest.approx(100 / 30))


def test_the_heartbeat_is_noted_every_ten_seconds(house):
    house.advance(HEARTBEAT_SECONDS)
    assert float(house.ledger.noted(HEARTBEAT_KEY)) == house.time_of_day()
    before = house.time_of_day()
    house.advance(HEARTBEAT_SECONDS - 0.1)
    assert float(house.ledger.noted(HEARTBEAT_KEY)) == before


def test_whoever_shows_it_is_given_the_state_of_things(house):
    house.drop("a.jpg")
    house.rest()
    house.advance(1)
    assert house.view.overview.counts[JobState.DONE] == 1


def test_it_naps_until_the_next_photo_can_be_whole(house):
    house.rest()
    house.drop("a.jpg", closed=False)
    house.turn()
    house.advance(0.3)
    assert 0 < house.daemon.nap() <= 1.0


@pytest.mark.parametrize(
    ("photos", "outcome"),
    [
        ({"a.jpg": b"a", "b.jpg": b"b"}, Outcome.FINE),
        ({"a.jpg": b"a", "held/b.jpg": b"b", "held/style.yaml": b"stepz: 1\n"}, Outcome.PROBLEMS),
        ({}, Outcome.FINE),
    ],
)
def test_once_ends_when_all_is_painted_or_cannot_be(tmp_path, photos, outcome):
    for name, data in photos.items():
        (tmp_path / "inbox" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "inbox" / name).write_bytes(data)
    with Rehearsal(tmp_path, once=True, settle_seconds=0.05) as house:
        original = house.daemon.turn

        def turn(timeout_seconds: float = 0.0) -> None:
            house.clock.now += 0.05
            original(min(timeout_seconds, 0.05))

        house.daemon.turn = turn
        house.daemon.start = lambda: None  # the rehearsal has started it
        assert house.daemon.run() is outcome
        assert float(house.ledger.noted(HEARTBEAT_KEY)) == house.time_of_day()
    assert bool(house.records()) == bool(photos)


def test_once_ends_with_a_problem_when_one_painting_cannot_be_written(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "inbox" / name[0]).mkdir(parents=True)
        (tmp_path / "inbox" / name[0] / name).write_bytes(name.encode())
    with Rehearsal(tmp_path, once=True) as house:
        (house.outbox / "a").write_bytes(b"no folder")
        house.rest()
        assert house.daemon.finished()
        assert (house.states("a/a.jpg"), house.states("b/b.jpg")) == (["queued"], ["done"])
        assert house.daemon._outcome() is Outcome.PROBLEMS


def test_once_ends_with_a_problem_when_a_folder_could_not_be_looked_into(tmp_path):
    with Rehearsal(tmp_path, once=True) as house:
        folder = PurePosixPath("shut")
        house.mailbox.post(Scanned(folder, (), (Unreadable(folder, "Permission denied"),)))
        house.rest()
        assert house.daemon.finished()
        assert house.daemon._outcome() is Outcome.PROBLEMS
        assert "could not be looked at: 1" in house.told("problem")[-1]


def test_once_ends_with_a_problem_when_no_painting_can_be_written(tmp_path):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "a.jpg").write_bytes(b"a")
    with Rehearsal(tmp_path, once=True) as house:
        house.outbox.rmdir()
        house.outbox.write_bytes(b"no folder")
        house.rest()
        assert house.daemon.finished()
        assert house.states("a.jpg") == ["queued"]
        assert house.daemon._outcome() is Outcome.PROBLEMS


def test_once_ends_with_a_problem_when_the_inbox_goes_away_while_a_photo_settles(tmp_path):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "a.jpg").write_bytes(b"a")
    with Rehearsal(tmp_path, once=True) as house:
        house.turn()
        house.inbox.rename(tmp_path / "unmounted")
        house.advance(2)
        assert house.daemon.finished()
        assert house.daemon._outcome() is Outcome.PROBLEMS
        assert "The inbox is away" in house.told("problem")[-1]


# ---- what the service manager is told


def pings(house, seconds):
    """How often the manager is told, in the next ``seconds``, that all is well."""
    before = house.manager.words.count("WATCHDOG=1")
    for _ in range(seconds):
        house.clock.now += 1
        house.daemon.turn()
    return house.manager.words.count("WATCHDOG=1") - before


def test_it_is_ready_once_the_first_scan_has_begun(house, monkeypatch):
    asked = []
    monkeypatch.setattr(house.arrivals, "scan", lambda folder=None: asked.append(list(house.manager.words)))
    house.manager.words.clear()
    house.daemon.start()
    assert "READY=1" not in asked[-1]
    assert house.manager.words == ["READY=1"]


def test_the_status_tells_of_the_queue(tmp_path):
    with Rehearsal(tmp_path, automatic=False) as house:
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            house.drop(name, name.encode())
        house.rest()
        house.worker.ready()
        house.advance(1)
        status = [word for word in house.manager.words if word.startswith("STATUS=")][-1]
        assert "painting a.jpg (step 0 of at most 4)" in status
        assert "2 queued, 0 waiting, 0 done, 0 with a problem" in status


def test_while_all_live_the_watchdog_is_fed_as_often_as_it_asks(house):
    house.rest()
    assert pings(house, 300) == 10


def test_the_watchdog_goes_hungry_when_nobody_looks_through_the_inbox_any_more(house):
    house.rest()
    house.close_surveyor()
    assert pings(house, 300) == 0
    assert len(house.told("problem")) == 1


def test_the_watchdog_goes_hungry_when_nobody_hears_of_a_worker_any_more(house):
    house.rest()
    house.worker.vanish()
    assert pings(house, 300) == 0
    assert len(house.told("problem")) == 1


def test_a_worker_that_died_and_is_replaced_does_not_starve_the_watchdog(house):
    house.rest()
    house.worker.die()
    assert pings(house, 300) == 10
    assert len(house.workers) == 2


def test_the_watchdog_goes_hungry_when_an_inbox_that_is_there_cannot_be_watched_for_long(house):
    house.rest()
    house.blind = True
    house.watches[-1].die()
    assert pings(house, 590) > 18
    assert pings(house, 300) <= 1


def test_an_inbox_that_is_away_does_not_starve_the_watchdog(house):
    """A restart would not bring the share back."""
    house.rest()
    house.blind = True
    house.watches[-1].die()
    house.inbox.rename(house.folder / "elsewhere")
    house.mailbox.post(InboxGone("The inbox is away.", ""))
    assert pings(house, 1200) == 40


def test_a_watch_that_dies_again_and_again_but_is_replaced_does_not_starve_the_watchdog(house):
    house.rest()
    for _ in range(20):
        house.watches[-1].die()
        assert pings(house, 60) == 2


# Hours, and clocks that jump.


def at_night(house_at, *texts):
    """Ranges in the time zone in which the rehearsal's clock stands at ``house_at`` (HH:MM) when it begins."""
    begins = datetime.fromtimestamp(EPOCH + 1000, UTC)
    hour, minute = map(int, house_at.split(":"))
    shift = timedelta(hours=hour, minutes=minute) - timedelta(hours=begins.hour, minutes=begins.minute)
    return ActiveHours(tuple(map(Range.parse, texts)), timezone(shift % timedelta(days=1)))


def test_outside_its_hours_photos_are_queued_and_nothing_is_begun(tmp_path):
    with Rehearsal(tmp_path, hours=at_night("21:00", "22:00-07:00")) as house:
        house.drop("a.jpg")
        house.rest()
        assert house.states("a.jpg") == ["queued"]
        assert "Painting goes on at" in house.told("resting")[-1]
        house.advance(3601)
        house.rest()
        assert house.states("a.jpg") == ["done"]
        assert house.told("resting")[-1] == "Painting goes on."


def test_at_the_end_of_its_hours_what_is_painted_stops_after_a_checkpoint_and_goes_on_in_the_next(tmp_path):
    with Rehearsal(tmp_path, automatic=False, hours=at_night("06:00", "22:00-07:00")) as house:
        house.worker.ready()
        house.drop("a.jpg")
        house.rest()
        house.worker.begin()
        house.worker.step(3)
        house.advance(3600)
        assert house.states("a.jpg") == ["queued"]
        assert house.checkpoints.load(house.jobs("a.jpg")[0].identity) == b"3"
        house.advance(15 * 3600)
        assert house.states("a.jpg") == ["running"]
        assert house.worker.job.resume == b"3"


def test_a_pause_counts_more_than_the_hour(tmp_path):
    with Rehearsal(tmp_path, hours=at_night("23:00", "22:00-07:00")) as house:
        house.ask(Request(Act.PAUSE))
        house.drop("a.jpg")
        house.rest()
        assert house.states("a.jpg") == ["queued"]
        assert "Paused since" in house.ledger.noted(RESTING_KEY)


def test_a_killed_runs_reason_to_rest_does_not_outlive_it(tmp_path):
    with Rehearsal(tmp_path, hours=at_night("12:00", "22:00-07:00")) as house:
        assert house.ledger.noted(RESTING_KEY)
    with Rehearsal(tmp_path) as house:
        assert house.ledger.noted(RESTING_KEY) == ""


@pytest.mark.parametrize("jump", [-1e9, -86400.0, 86400.0, 1e9])
def test_a_clock_that_jumps_changes_nothing_but_the_times_that_are_told(tmp_path, jump):
    with Rehearsal(tmp_path, automatic=False) as house:
        house.worker.ready()
        house.drop("a.jpg", b"a")
        house.rest()
        house.worker.begin()
        house.worker.step(1)
        house.drop("b.jpg", b"b")
        house.rest()
        house.clock_jump = jump
        house.drop("c.jpg", b"c")
        house.rest()
        house.advance(HEARTBEAT_SECONDS)
        assert float(house.ledger.noted(HEARTBEAT_KEY)) == house.time_of_day()
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            assert house.states(name) == ["running"]
            while house.worker.proceed():
                pass
            house.turn()
            assert house.states(name) == ["done"]
        house.advance(300)
        house.rest()
        assert len(house.worker.jobs) == 3


def test_a_clock_that_jumps_into_or_out_of_the_hours_is_followed(tmp_path):
    with Rehearsal(tmp_path, hours=at_night("12:00", "22:00-07:00")) as house:
        house.drop("a.jpg", b"a")
        house.rest()
        house.clock_jump = 11 * 3600.0
        house.advance(1)
        house.rest()
        assert house.states("a.jpg") == ["done"]
        house.clock_jump = 0.0
        house.advance(1)
        house.drop("b.jpg", b"b")
        house.rest()
        assert house.states("b.jpg") == ["queued"]


# A ledger that cannot be used.


def fill(house) -> None:
    """Let the ledger's disk be full, as SQLite itself sees it: no further page is to be had."""
    house.ledger._database._connection.execute("PRAGMA max_page_count = 1")  # which means: no more than there are


def free(house) -> None:
    house.ledger._database._connection.execute("PRAGMA max_page_count = 1000000")


def test_while_the_ledger_s_disk_is_full_nothing_is_lost_and_everything_goes_on_when_space_returns(tmp_path):
    with Rehearsal(tmp_path, automatic=False) as house:
        house.worker.ready()
        house.drop("a.jpg", b"a")
        house.rest()
        house.worker.begin()
        house.worker.step(2)
        house.turn()
        fill(house)
        for number in range(40):  # more than fits into the pages that there are
            house.drop(f"{number}/{'x' * 200}.jpg", b"b%d" % number)
        house.advance(2.0)
        house.advance(2.0)
        house.worker.step(2)
        house.worker.finish()
        told = [text for text in house.told("problem") if "full" in text]
        for _ in range(20):
            house.advance(10.0)
        assert len(told) == 1 and [text for text in house.told("problem") if "full" in text] == told
        free(house)
        for _ in range(4):
            house.advance(30.0)
        house.rest()
        assert any("can be used again" in text for text in house.told("resting"))
        assert house.states("a.jpg") == ["done"]
        assert house.records() == ["a"]
        counts = house.ledger.overview().counts
        assert (counts[JobState.QUEUED], counts[JobState.RUNNING]) == (39, 1)


@contextlib.contextmanager
def unwritable(house):
    """While nothing can be written into the ledger, not even in place of what is there."""
    house.ledger._database._connection.execute("PRAGMA query_only = 1")
    yield
    house.ledger._database._connection.execute("PRAGMA query_only = 0")


def test_what_large_pictures_are_made_of_is_not_held_in_memory_while_the_ledger_cannot_be_used(tmp_path):
    """Stages and checkpoints go where they belong; what the watch tells of is found by the scan that follows."""
    with Rehearsal(tmp_path, automatic=False, steps=1000) as house:
        house.worker.ready()
        house.drop("a.jpg", b"a")
        house.rest()
        house.worker.begin()
        house.worker.step(1)
        house.turn()
        with unwritable(house):
            house.worker.step(1)
            house.advance(1)
            for _ in range(100):
                house.worker.step(1)
                house.worker.snapshot()
                house.worker.checkpoint()
                house.drop("b.jpg", b"b")
                house.advance(0.1)
            identity = house.jobs("a.jpg")[0].identity
            assert house.checkpoints.load(identity) == b"102"
            assert len(list(house.outbox.glob("a/progress_*.png"))) == 100
            assert {type(message.event).__name__ for message in house.daemon._unheard} == {"JobStep"}
        house.advance(30)
        house.rest()
        assert house.jobs("a.jpg")[0].step == 102
        assert house.states("b.jpg") == ["queued"]


def test_the_hour_to_paint_is_heeded_though_the_ledger_cannot_be_written_when_it_strikes(tmp_path):
    with Rehearsal(tmp_path, hours=at_night("21:00", "22:00-07:00")) as house:
        house.drop("a.jpg")
        house.rest()
        with unwritable(house):
            house.advance(3601)
            house.rest()
        house.advance(30)
        house.rest()
        assert house.states("a.jpg") == ["done"]
        assert house.ledger.noted(RESTING_KEY) == ""


def test_a_start_while_the_ledger_cannot_be_written_waits_for_it(tmp_path):
    """As that of a daemon which takes a changed config over."""
    house = Rehearsal(tmp_path)
    with house:
        house.drop("a.jpg")
        house.rest()
        with unwritable(house):
            house.daemon = house._assemble(house.arrivals._parts.sieve)
            house.daemon.start()
            house.drop("b.jpg", b"b")
            house.advance(3)
        house.advance(30)
        house.rest()
        assert house.states("b.jpg") == ["done"]


def test_the_claim_on_the_outbox_is_renewed_while_the_ledger_cannot_be_written(tmp_path):
    with Rehearsal(tmp_path) as house:
        house.rest()
        with unwritable(house):
            house.drop("a.jpg")
            began = house.clock.now
            for _ in range(300):
                house.advance(1)
        renewed = [at for at in house.renewals if at > began]
        assert max(later - at for at, later in itertools.pairwise([began, *renewed, house.clock.now])) <= 10


def test_a_stop_is_heard_while_the_ledger_cannot_be_used(tmp_path):
    with Rehearsal(tmp_path, automatic=False) as house:
        house.worker.ready()
        fill(house)
        for number in range(40):
            house.drop(f"{number}/{'x' * 200}.jpg", b"b%d" % number)
        house.advance(2.0)
        assert any("full" in text for text in house.told("problem"))
        house.mailbox.post(StopAsked("SIGTERM", 1))
        house.turn()
        assert house.daemon.finished()


def test_a_single_run_ends_where_the_ledger_cannot_be_used(tmp_path):
    with Rehearsal(tmp_path, automatic=False, once=True) as house:
        fill(house)
        with pytest.raises(LedgerUnavailableError, match="full"):
            for number in range(40):
                house.drop(f"{number}/{'x' * 200}.jpg", b"b%d" % number)
                house.turn()


def test_a_state_folder_that_is_removed_ends_the_daemon_with_words(tmp_path):
    """What it would write is lost, and the lock with it: another daemon could begin beside this one."""
    with Rehearsal(tmp_path) as house:
        for path in tmp_path.glob("ledger.sqlite3*"):
            path.unlink()
        with pytest.raises(LedgerError, match="removed or replaced"):
            house.advance(10.0)


# A config that changes.


def reload(house):
    house.mailbox.post(ReloadAsked())
    house.turn()


def test_a_config_that_says_the_same_changes_nothing(house):
    reload(house)
    assert not house.daemon.finished()
    assert "nothing in it is another" in house.told("config")[-1]


def test_a_config_that_says_something_else_ends_the_loop_for_another_daemon_and_leaves_the_painting_alone(tmp_path):
    with Rehearsal(tmp_path, automatic=False) as house:
        house.worker.ready()
        house.drop("a.jpg")
        house.rest()
        house.config = Config(rescan_seconds=60)
        reload(house)
        assert house.daemon.finished()
        assert house.daemon.renewal.config is house.config
        assert house.states("a.jpg") == ["running"]
        assert house.told("config") == ["The config has changed, and holds from this moment on: rescan_seconds."]


def test_no_report_on_settings_outlives_a_daemon_whose_config_is_another_and_one_that_holds_comes_again(tmp_path):
    with Rehearsal(tmp_path) as house:
        for folder in ("gone", "trip"):
            house.drop(f"{folder}/style.yaml", b"stepz: 3\n")
        house.rest()
        reports = house.problems()
        assert reports == ["gone/style.yaml.problem.txt", "trip/style.yaml.problem.txt"]
        (house.inbox / "gone" / "style.yaml").unlink()
        house.config = Config(rescan_seconds=60)
        house.mailbox.post(ReloadAsked())
        house.daemon.run()
    with Rehearsal(tmp_path) as house:
        house.rest()
        assert house.problems() == reports[1:]


def test_a_config_that_wants_other_workers_waits_for_the_checkpoint(tmp_path):
    with Rehearsal(tmp_path, automatic=False) as house:
        house.worker.ready()
        house.drop("a.jpg")
        house.rest()
        house.worker.begin()
        house.worker.step(3)
        cancel, house.worker.cancel = house.worker.cancel, lambda: None
        house.config = Config(nice=19)
        reload(house)
        assert not house.daemon.finished()
        cancel()
        house.turn()
        assert house.daemon.finished()
        assert house.states("a.jpg") == ["queued"]
        assert house.checkpoints.load(house.jobs("a.jpg")[0].identity) == b"3"


def test_a_worker_that_saves_nothing_does_not_hold_up_a_config(tmp_path):
    with Rehearsal(tmp_path, automatic=False) as house:
        house.worker.ready()
        house.drop("a.jpg")
        house.rest()
        house.worker.cancel = lambda: None
        house.config = Config(nice=19)
        reload(house)
        house.advance(6.9)
        assert not house.daemon.finished()
        house.advance(0.1)
        assert house.daemon.finished()


def test_a_config_that_cannot_be_used_leaves_the_old_one_in_force_and_is_told_until_it_is_mended(house, monkeypatch):
    def load():
        raise SettingsError("config.yaml:1:1: nonsense: there is no such setting")

    with monkeypatch.context() as patch:
        patch.setattr(house.daemon._parts.config_file, "_read", load)
        reload(house)
    assert not house.daemon.finished()
    assert "config.yaml:1:1: nonsense" in house.told("config-broken")[-1]
    assert "config.yaml:1:1: nonsense" in house.ledger.overview().config_fault
    reload(house)
    assert house.ledger.overview().config_fault == ""


def test_a_stop_counts_more_than_a_reload(house):
    house.config = Config(nice=19)
    reload(house)
    house.mailbox.post(StopAsked("SIGTERM", 1))
    house.turn()
    assert house.daemon.finished()
    assert house.daemon.renewal is None
    reload(house)
    assert house.daemon.renewal is None


def test_how_each_worker_is_is_noted_with_the_heartbeat_and_not_before(tmp_path):
    with Rehearsal(tmp_path, automatic=False, devices=("cuda:0", "cuda:1")) as house:
        house.workers[0].ready()
        house.advance(HEARTBEAT_SECONDS)
        noted = house.ledger.worker_states()
        assert [(each.device, each.health) for each in noted] == [("cuda:0", "idle"), ("cuda:1", "loading")]
        house.drop("a.jpg")
        house.rest()
        house.workers[1].die("its card is gone")
        house.turn()
        assert house.ledger.worker_states() == noted
        house.advance(HEARTBEAT_SECONDS)
        first, second = house.ledger.worker_states()
        assert (first.health, first.photo, first.failures) == ("painting", "a.jpg", 0)
        assert (second.failures, second.painted) == (1, 0)


def test_workers_count_what_they_have_painted_and_are_not_told_of_after_the_end(tmp_path):
    with Rehearsal(tmp_path) as house:
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            house.drop(name, name.encode())
        house.rest()
        house.advance(HEARTBEAT_SECONDS)
        assert [each.painted for each in house.ledger.worker_states()] == [len(house.records())] == [3]
        house.mailbox.post(StopAsked("SIGTERM", 1))
        house.daemon.run()
        assert house.ledger.worker_states() == ()
