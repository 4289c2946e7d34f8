"""One message for a folder that is finished and one for some minutes' problems, through apprise to a real server."""

import os
from collections.abc import Iterator

import pytest

from monet_watch import messages
from monet_watch.clerk import Office
from monet_watch.config import load_config
from monet_watch.errors import SettingsError
from monet_watch.messages import MOST_LISTED, Messages, faults_of_addresses
from monet_watch.notices import Level, Notice
from monet_watch.reports import require_reports
from tests.end_to_end.house import wait_until
from tests.receiver import Receiver, receiver
from tests.rehearsal import LIMIT_BYTES, Rehearsal


@pytest.fixture
def service(monkeypatch) -> Iterator[Receiver]:
    monkeypatch.setitem(os.environ, "NO_PROXY", "127.0.0.1")
    with receiver() as found:
        yield found


@pytest.fixture
def house(tmp_path) -> Iterator[Rehearsal]:
    with Rehearsal(tmp_path) as house:
        yield house


class Desk:
    """The messages of a house in which painting takes no time."""

    def __init__(self, house: Rehearsal, *addresses: str, **settings: object) -> None:
        places = {"inbox": house.inbox, "outbox": house.outbox}
        config = load_config(None, {**places, "notify": {"urls": list(addresses), **settings}})
        self.told: list[Notice] = []
        self.messages = Messages(Office(config, house.folder / "ledger.sqlite3", self.told.append), quiet_seconds=0.0)

    def hear(self, *notices: Notice) -> None:
        for notice in notices:
            self.messages.heard(notice)

    def finish(self) -> None:
        self.messages.end()
        wait_until(lambda: self.messages.ended, "the messages")


def titles(service: Receiver) -> list[str]:
    return [message["title"] for message in service.received]


def test_a_folder_that_is_finished_is_told_once_with_what_could_not_be_painted(house, service):
    for name in ("a", "b", "c"):
        house.drop(f"trip/{name}.jpg", name.encode())
    house.drop("trip/huge.jpg", b"x" * (LIMIT_BYTES + 1))
    house.rest()
    desk = Desk(house, service.address, problems=False)
    desk.hear(*house.notices)
    desk.finish()
    (message,) = service.received
    assert message["title"] == "monet-watch: 3 new paintings in trip"
    assert message["type"] == "success"
    lines = message["message"].splitlines()
    assert lines[0] == "Every photo in trip is done; 3 are painted."
    assert lines[1] == "1 could not be painted:" and lines[2].startswith("- huge.jpg: ")
    assert lines[3] == f"They lie in {house.outbox}/trip."


def test_nothing_is_told_of_a_folder_while_a_photo_in_it_waits(house, service):
    house.drop("trip/a.jpg", b"a")
    house.drop("trip/empty.jpg", b"")
    house.rest()
    desk = Desk(house, service.address)
    desk.hear(*house.notices)
    wait_until(lambda: not desk.messages._due, "its look at the folder")
    house.drop("trip/empty.jpg", b"b")
    seen = len(house.notices)
    house.rest()
    desk.hear(*house.notices[seen:])
    desk.finish()
    assert titles(service) == ["monet-watch: 2 new paintings in trip"]


def test_problems_are_gathered_and_one_that_is_solved_is_not_told(house, service):
    desk = Desk(house, service.address, collections=False, gather_seconds=600)
    desk.hear(
        Notice("problem", "It looks like a text file.", "trip/letter.jpg", Level.ERROR),
        Notice("problem", "There is no room. It is tried again in 30 s.", "trip/a.jpg", Level.ERROR),
        Notice("problem", "A stage could not be written.", "trip/b.jpg", Level.WARNING),
        Notice("problem", "The outbox cannot be written.", level=Level.ERROR),
        Notice("done", "It is painted.", "trip/a.jpg"),
    )
    desk.finish()
    (message,) = service.received
    assert (message["title"], message["type"]) == ("monet-watch: 2 problems", "failure")
    assert message["message"].splitlines() == [
        "- trip/letter.jpg: It looks like a text file.",
        "- The outbox cannot be written.",
    ]


def test_of_very_many_problems_the_first_are_listed_and_the_rest_counted(house, service):
    desk = Desk(house, service.address)
    desk.hear(*(Notice("problem", "It is damaged.", f"{number}.jpg", Level.ERROR) for number in range(1000)))
    desk.finish()
    lines = service.received[0]["message"].splitlines()
    assert len(lines) == MOST_LISTED + 1 and lines[-1] == f"- and {1000 - MOST_LISTED} more"


def test_hostile_names_are_told_as_text_on_one_line(house, service):
    desk = Desk(house, service.address)
    desk.hear(Notice("problem", "It is damaged.", "<b>a\nb</b>\x1b[31m\u202e.jpg", Level.ERROR))
    desk.finish()
    assert service.received[0]["message"] == "- <b>a\\nb</b>\\x1b[31m\\u202e.jpg: It is damaged."


def test_a_service_that_fails_is_told_once_and_gets_its_message_when_it_works_again(house, service, monkeypatch):
    monkeypatch.setattr(messages, "_FIRST_PAUSE_SECONDS", 0.01)
    service.refuses = True
    desk = Desk(house, service.address, gather_seconds=0)
    desk.hear(Notice("problem", "It is damaged.", "a.jpg", Level.ERROR))
    wait_until(lambda: service.refused >= 3, "the third try")
    service.refuses = False
    wait_until(lambda: len(desk.told) == 2, "a word of it")
    desk.finish()
    assert titles(service) == ["monet-watch: a problem"]
    assert [(notice.event, str(notice.level)) for notice in desk.told] == [("problem", "warning"), ("notify", "info")]


def test_of_two_services_the_one_that_works_gets_its_message_once(house, service, monkeypatch):
    monkeypatch.setattr(messages, "_FIRST_PAUSE_SECONDS", 0.01)
    with receiver() as other:
        other.refuses = True
        desk = Desk(house, other.address, service.address, gather_seconds=0)
        desk.hear(Notice("problem", "It is damaged.", "a.jpg", Level.ERROR))
        wait_until(lambda: other.refused >= 3, "the third try")
        desk.finish()
    assert len(service.received) == 1
    assert "address 1 of notify.urls" in desk.told[0].text


def test_an_address_that_nobody_understands_is_refused_without_telling_its_password(tmp_path):
    addresses = ["json://127.0.0.1", "jsonn://me:secret@host", "secret"]
    config = load_config(None, {"notify": {"urls": addresses}})
    with pytest.raises(SettingsError) as caught:
        require_reports(config)
    assert [fault.partition(" is none")[0] for fault in caught.value.faults] == [
        "notify.urls: address 2 (jsonn)",
        "notify.urls: address 3 (something without ://)",
    ]
    assert "secret" not in str(caught.value)


def test_without_the_extra_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setattr(messages, "find_spec", lambda name: None)
    (fault,) = faults_of_addresses(["json://127.0.0.1"])
    assert "pip install 'monet-watch[notify]'" in fault
    assert list(faults_of_addresses([])) == []


def test_without_addresses_nothing_is_kept_and_no_thread_begins(house):
    desk = Desk(house)
    desk.hear(Notice("problem", "It is damaged.", "a.jpg", Level.ERROR), Notice("done", "", "a.jpg"))
    assert desk.messages.ended and not desk.messages._problems
