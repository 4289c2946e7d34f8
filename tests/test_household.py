"""A config made into a running house, with real parts: what it finds at its start, and who may run it."""

import json
import signal
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from monet_watch import household
from monet_watch.config import load_config
from monet_watch.console import PlainConsole
from monet_watch.daemon import Mailbox, Outcome
from monet_watch.errors import AlreadyRunningError, LedgerUnavailableError, WeightsError
from monet_watch.household import House, ask, find_weights, run_daemon, weights_folder
from monet_watch.ledger import LEDGER_NAME, JobState, Ledger
from monet_watch.notices import Notice
from monet_watch.renewal import WORKER_KEYS
from monet_watch.requests import Act, Request, RequestBox
from monet_watch.service import StopAsked, single_instance
from monet_watch.workers.base import Allowance, WeightsFile
from monet_watch.workers.memory import MemoryWorker, tiny_png
from tests.rehearsal import Rehearsal


class Home:
    """Folders and a config; what a run tells is in ``notices``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notices: list[Notice] = []
        self.config_file = folder / "config.yaml"
        self.config_file.write_text("inbox: inbox\noutbox: outbox\nstate: state\nsettle_seconds: 0.1\n")
        (folder / "inbox").mkdir(exist_ok=True)
        (folder / "inbox" / "style.png").write_bytes(tiny_png())

    def run(self, stream, **overrides: object) -> Outcome:
        config = load_config(self.config_file, overrides)
        console = PlainConsole(stream)
        return run_daemon(House(config, {}, console, Mailbox(), once=True, listen=self.notices.append))

    def ledger(self) -> Ledger:
        return Ledger.open_read_only(self.folder / "state" / LEDGER_NAME)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def stream(tmp_path):
    with (tmp_path / "console.txt").open("w") as stream:
        yield stream


def allowances(tmp_path, config):
    """What the workers of a crew are allowed, one after the other."""
    weights = WeightsFile("oxford", tmp_path / "weights.bin", "00" * 32)
    rooms = household._Rooms(House(config, {}, None, Mailbox()), None, None, tmp_path, weights, None, None)
    crew = rooms.crew()
    return [crew._make_worker(place.device, lambda event: None)._allowance for place in crew.places]


@pytest.mark.parametrize(
    ("devices", "sharers"),
    [
        (("cpu",), [1]),
        (("cuda:0", "cuda:1"), [2, 2]),
        (("cpu", "cuda:0"), [1, 2]),
        (("cpu", "mps"), [2, 2]),
    ],
)
def test_a_worker_is_allowed_what_the_config_says_and_those_on_a_card_of_their_own_share_the_cores_with_all(
    tmp_path, devices, sharers
):
    limits = {"threads": 3, "memory_limit": "1 GiB", "nice": 7, "decode_seconds": 8.0}
    config = load_config(None, {"devices": devices, **limits})
    usual = Allowance(3, memory_bytes=2**30, nice=7, decode_seconds=8.0)

    assert allowances(tmp_path, config) == [replace(usual, sharers=count) for count in sharers]


@pytest.mark.parametrize(
    ("devices", "sharers", "sharers_of_card"),
    [
        (("cpu",), [3] * 3, [3] * 3),
        (("cuda:0", "cuda:1"), [6] * 6, [3] * 6),
        (("cuda:0", "cpu"), [6] * 3 + [3] * 3, [3] * 6),
    ],
)
def test_workers_of_one_device_share_its_memory_and_all_of_them_the_cores(tmp_path, devices, sharers, sharers_of_card):
    found = allowances(tmp_path, load_config(None, {"devices": devices, "workers_per_device": 3}))

    assert [each.sharers for each in found] == sharers
    assert [each.sharers_of_card for each in found] == sharers_of_card
    assert not any(each.finds_others for each in found)


def test_where_the_devices_are_to_be_found_one_worker_begins_with_that(tmp_path):
    (found,) = allowances(tmp_path, load_config(None, {"workers_per_device": 2}))

    assert (found.finds_others, found.sharers, found.sharers_of_card) == (True, 2, 2)


OTHERS = {
    "weights": "torchvision",
    "devices": ("cpu",),
    "workers_per_device": 2,
    "threads": 3,
    "memory_limit": "1 GiB",
    "hang_seconds": 7.0,
    "retry_seconds": 7.0,
    "settle_seconds": 7.0,
    "rescan_seconds": 7.0,
    "active_hours": ("22:00-07:00",),
    "nice": 7,
    "keep_stages": "none",
    "limit_megapixels": 7.0,
    "decode_seconds": 7.0,
    "defaults": {"steps": 7},
}


@pytest.mark.parametrize("key", OTHERS)
def test_the_keys_that_ask_for_new_workers_are_those_that_reach_the_workers(tmp_path, key):
    def made(config):
        files = {name: WeightsFile(name, tmp_path / name, "00" * 32) for name in ("oxford", "torchvision")}
        rooms = household._Rooms(
            House(config, {}, None, Mailbox()), None, None, tmp_path, files[config.weights], None, None
        )
        crew = rooms.crew()
        workers = [crew._make_worker(place.device, lambda event: None) for place in crew.places]
        return crew._hang_seconds, [(worker._device, worker._weights, worker._allowance) for worker in workers]

    is_another = made(load_config(None, {key: OTHERS[key]})) != made(load_config(None))
    assert is_another == (key in WORKER_KEYS)


def painted_elsewhere(home: Home, *names: str) -> None:
    """Make paintings with workers that pretend, and lose the photos, and the state that was kept."""
    with Rehearsal(home.folder) as house:
        for name in names:
            house.drop(name, name.encode())
        house.rest()
        assert len(house.records()) == len(names)
    for name in names:
        (home.folder / "inbox" / name).unlink()
    (home.folder / "ledger.sqlite3").unlink()


def test_an_empty_inbox_is_done_at_once_and_leaves_everything_in_order(home, stream):
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    assert home.run(stream) is Outcome.FINE
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
    assert {notice.event for notice in home.notices} >= {"started", "stopped"}
    with single_instance(home.folder / "state"):
        pass


def test_a_lost_state_is_read_back_from_the_records(home, stream):
    painted_elsewhere(home, "trip/a.jpg")
    home.run(stream)
    with home.ledger() as ledger:
        (job,) = ledger.overview().done
    assert (str(job.path), str(job.folder), job.state) == ("trip/a.jpg", "trip/a", JobState.DONE)
    assert job.size == len(b"trip/a.jpg")
    assert (job.width, job.height, job.loss) == (32, 32, 100 / 4)


@pytest.mark.parametrize(
    "damage", [b"{}", b"no JSON", {"times.finished": "yesterday"}, {"photo.path_base64": "\u00e9"}, {"format": 9}]
)
def test_a_record_that_is_damaged_is_left_out_and_told(home, stream, damage):
    painted_elsewhere(home, "a.jpg", "b.jpg")
    record = home.folder / "outbox" / "a" / "painting.json"
    record.write_bytes(damage if isinstance(damage, bytes) else damaged(record, damage))
    home.run(stream)
    with home.ledger() as ledger:
        assert [str(job.path) for job in ledger.overview().done] == ["b.jpg"]
    assert any(str(record) in notice.text for notice in home.notices if notice.event == "problem")


def damaged(record: Path, changes: dict[str, object]) -> bytes:
    values = json.loads(record.read_bytes())
    for key, value in changes.items():
        group, _, name = key.rpartition(".")
        (values[group] if group else values)[name] = value
    return json.dumps(values).encode()


def test_what_a_killed_run_left_behind_is_tidied_up(home, stream):
    left = [
        home.folder / "outbox" / "a" / ".monet-watch-1.tmp",
        home.folder / "archive" / "a" / ".monet-watch-1.tmp",
        home.folder / "state" / "checkpoints" / "x.checkpoint",
    ]
    for path in left:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half")
    home.run(stream, archive=home.folder / "archive")
    assert not any(path.exists() for path in left)


def test_a_second_house_on_the_same_state_is_refused(home, stream):
    with single_instance(home.folder / "state"), pytest.raises(AlreadyRunningError, match="holds the state folder"):
        home.run(stream)


class Serving:
    """A daemon that runs on and paints nothing; ``heard`` is called with its mailbox and everything that it tells."""

    def __init__(self, home: Home, monkeypatch, heard) -> None:
        monkeypatch.setattr(household, "_worker_factory", lambda *_: lambda device, post: MemoryWorker(post, device))
        monkeypatch.setattr(household, "_FIRST_PAUSE_SECONDS", 0.01)
        self.home, self.mailbox, self.heard = home, Mailbox(), heard

    def listen(self, notice: Notice) -> None:
        self.home.notices.append(notice)
        self.heard(self.mailbox, notice)

    def run(self, stream) -> Outcome:
        config = load_config(self.home.config_file)
        return run_daemon(House(config, {}, PlainConsole(stream), self.mailbox, listen=self.listen))


@pytest.fixture
def full_disk(monkeypatch):
    """The ledger's disk is full until so many tries to open it have failed; returns the tries."""
    opened, tries = Ledger.open, []

    def fail(times: int) -> list[int]:
        def open_or_fail(*args: object) -> Ledger:
            tries.append(len(tries))
            if len(tries) <= times:
                raise LedgerUnavailableError("The record cannot be used: database or disk is full.")
            return opened(*args)

        monkeypatch.setattr(Ledger, "open", open_or_fail)
        return tries

    return fail


def test_a_start_while_the_disk_of_the_state_is_full_waits_for_room(home, stream, monkeypatch, full_disk):
    tries = full_disk(3)

    def stop_when_started(mailbox: Mailbox, notice: Notice) -> None:
        if notice.event == "started":
            mailbox.post(StopAsked("SIGTERM", 1))

    assert Serving(home, monkeypatch, stop_when_started).run(stream) is Outcome.FINE
    assert len(tries) == 4
    (told,) = (notice.text for notice in home.notices if notice.event == "problem")
    assert "disk is full" in told
    assert {notice.event for notice in home.notices} >= {"started", "stopped"}


def test_a_start_that_waits_for_room_can_be_stopped(home, stream, monkeypatch, full_disk):
    full_disk(10**9)

    def stop_when_told(mailbox: Mailbox, notice: Notice) -> None:
        mailbox.post(StopAsked("SIGTERM", 1))

    assert Serving(home, monkeypatch, stop_when_told).run(stream) is Outcome.FINE
    assert [notice.event for notice in home.notices] == ["problem"]
    with single_instance(home.folder / "state"):
        pass


def test_a_single_run_does_not_wait_for_room(home, stream, full_disk):
    full_disk(1)
    with pytest.raises(LedgerUnavailableError):
        home.run(stream)


def test_an_inbox_that_is_not_there_is_waited_for_and_once_says_that_something_is_wrong(home, stream):
    (home.folder / "inbox" / "style.png").unlink()
    (home.folder / "inbox").rmdir()
    assert home.run(stream) is Outcome.PROBLEMS
    assert any("cannot be read" in notice.text for notice in home.notices)


def test_weights_that_are_missing_end_it_with_the_reason(home, stream):
    with pytest.raises(WeightsError):
        home.run(stream, weights=str(home.folder / "missing.safetensors"))
    with single_instance(home.folder / "state"):
        pass


def test_fetched_weights_lie_with_the_state_of_a_service(home):
    config = load_config(None, {"outbox": home.folder / "outbox"})
    assert weights_folder(config, {"STATE_DIRECTORY": "/var/lib/monet-watch"}) == Path("/var/lib/monet-watch/weights")
    assert weights_folder(load_config(home.config_file), {}) == home.folder / "state" / "weights"


def test_the_default_weights_come_with_the_program(home):
    found = find_weights(load_config(home.config_file), {})
    assert found.source == "oxford"
    assert found.path.is_file()


class TestAsk:
    def test_without_a_daemon_a_request_is_done_at_once_and_holds_at_the_next_start(self, home, stream):
        config = load_config(home.config_file)
        (home.folder / "state").mkdir()
        with Ledger.open(home.folder / "state" / LEDGER_NAME) as ledger:
            job = ledger.wait(PurePosixPath("a.jpg"), size=1, mtime_ns=1, reason="seen")
            ledger.fail(job.id, kind="NotAPhotoError", reason="text", remedy="replace")

        assert ask(config, {}, Request(Act.RETRY)).text == "1 photo will be tried again."
        with home.ledger() as ledger:
            assert ledger.get(job.id).state is JobState.WAITING
        assert not list((home.folder / "state" / "requests").iterdir())

    def test_a_request_that_a_running_daemon_does_not_get_to_waits_for_it(self, home, monkeypatch):
        monkeypatch.setattr(household, "_ANSWER_SECONDS", 0.3)
        config = load_config(home.config_file)
        with single_instance(home.folder / "state"):
            assert "as soon as it can" in ask(config, {}, Request(Act.PAUSE)).text
        assert [request for _, request in RequestBox(home.folder / "state" / "requests").waiting()] == [
            Request(Act.PAUSE)
        ]

    def test_a_pause_before_the_first_start_holds(self, home, stream):
        (home.folder / "inbox" / "a.jpg").write_bytes(b"a")
        ask(load_config(home.config_file), {}, Request(Act.PAUSE))
        assert home.run(stream) is Outcome.PROBLEMS
        with home.ledger() as ledger:
            assert [job.state for job in ledger.known(PurePosixPath("a.jpg"))] == [JobState.QUEUED]


@pytest.mark.parametrize("other", ["weights", "memory"])
def test_actors_that_paint_with_other_weights_or_another_memory_limit_are_not_this_daemon_s(tmp_path, home, other):
    def namespace(sha256: str, **overrides: object) -> str:
        config = load_config(home.config_file, {"cluster": {}, **overrides})
        weights = WeightsFile("oxford", tmp_path / "weights", sha256)
        return household._ray_cluster(config.cluster, config, weights, tmp_path)._cluster.namespace

    assert namespace("a") == namespace("a")
    assert namespace("a") != (namespace("b") if other == "weights" else namespace("a", memory_limit="1 GiB"))
