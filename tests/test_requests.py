"""What commands ask of the daemon: requests in files, what becomes of each in a house at work, and names of photos."""

import errno
import os
from pathlib import Path, PurePosixPath

import pytest

from monet_watch.errors import LedgerError, SettingsError
from monet_watch.ledger import PAUSED_KEY, Ledger
from monet_watch.requests import Act, Answer, Request, RequestBox, known_photo
from tests.rehearsal import Rehearsal

NOT_UTF8 = os.fsdecode(b"caf\xe9.jpg")


def retry(*names: str) -> Request:
    return Request(Act.RETRY, tuple(map(PurePosixPath, names)))


def forget(*names: str) -> Request:
    return Request(Act.FORGET, tuple(map(PurePosixPath, names)))


@pytest.fixture
def house(tmp_path):
    with Rehearsal(tmp_path) as house:
        yield house


class TestRequestBox:
    def test_requests_come_out_in_the_order_in_which_they_were_left(self, tmp_path):
        box = RequestBox(tmp_path / "requests")
        left = [Request(Act.PAUSE), retry("a.jpg", NOT_UTF8), Request(Act.RESUME), *[retry(str(n)) for n in range(12)]]
        names = [box.leave(request) for request in left]

        assert list(RequestBox(tmp_path / "requests").waiting()) == list(zip(names, left, strict=True))

    def test_an_answered_request_is_gone_and_its_answer_is_collected_once(self, tmp_path):
        box = RequestBox(tmp_path)
        name = box.leave(Request(Act.PAUSE))
        assert box.collect(name) is None
        box.answer(name, Answer(False, "no"))

        assert list(box.waiting()) == []
        assert box.collect(name) == Answer(False, "no")
        assert box.collect(name) is None

    def test_answers_that_nobody_collects_do_not_pile_up(self, tmp_path):
        box = RequestBox(tmp_path)
        for number in range(60):
            box.answer(f"{number:012d}-ab.request", Answer(True, ""))

        assert len(list(tmp_path.iterdir())) == 50

    def test_a_request_that_may_not_be_removed_is_done_once(self, tmp_path, monkeypatch):
        box = RequestBox(tmp_path)
        name = box.leave(Request(Act.PAUSE))

        def refuse(self, missing_ok=False):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr(Path, "unlink", refuse)
        box.answer(name, Answer(True, "done"))
        assert list(box.waiting()) == []

    def test_what_is_no_request_is_removed_and_harms_nobody(self, tmp_path):
        box = RequestBox(tmp_path)
        for number, data in enumerate((b"", b"[]", b'{"act": "dance", "paths": []}', b'{"act": "pause"}', b"\xff")):
            (tmp_path / f"{number:012d}-ab.request").write_bytes(data)
        (tmp_path / "note.txt").write_bytes(b"mine")

        assert list(box.waiting()) == []
        assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]

    def test_a_box_that_cannot_be_written_is_told(self, tmp_path):
        (tmp_path / "requests").write_bytes(b"no folder")
        with pytest.raises(LedgerError, match="Nothing can be asked"):
            RequestBox(tmp_path / "requests").leave(Request(Act.PAUSE))


class TestRetry:
    def test_a_problem_is_tried_again_and_its_report_goes(self, house):
        house.drop("a.jpg", b"")
        house.drop("b.jpg", b"b" * 2000)
        house.rest()
        assert house.states("b.jpg") == ["problem"]
        assert house.problems() == ["b.jpg.problem.txt"]
        house.dispatch.suspend()

        assert house.ask(retry("b.jpg")) == Answer(True, "b.jpg will be tried again.")
        assert house.problems() == []
        assert house.states("b.jpg") == ["waiting"]

    def test_all_problems_are_tried_again_with_their_number(self, house):
        for name in ("a.jpg", "b.jpg"):
            house.drop(name, b"b" * 2000)
        house.rest()

        assert house.ask(retry()).text == "2 photos will be tried again."
        assert house.ask(retry()).text == "There is nothing to try again."

    def test_a_photo_that_waits_for_its_next_try_waits_no_longer(self, house):
        (house.outbox / "a").write_bytes(b"no folder")
        house.drop("a/a.jpg", b"a")
        house.rest()
        assert house.states("a/a.jpg") == ["queued"]
        (house.outbox / "a").unlink()

        assert "without a further pause" in house.ask(retry("a/a.jpg")).text
        house.turn()
        assert house.states("a/a.jpg") == ["done"]

    def test_a_painting_that_was_removed_by_hand_is_painted_anew_only_when_asked_for(self, house):
        house.drop("a.jpg", b"a")
        house.rest()
        for path in (house.outbox / "a").iterdir():
            path.unlink()
        (house.outbox / "a").rmdir()
        house.advance(300)
        house.rest()
        assert house.records() == []

        assert house.ask(retry("a.jpg")) == Answer(True, "a.jpg will be painted anew: its painting was removed.")
        house.rest()
        assert house.records() == ["a"]

    def test_a_painting_that_is_there_is_not_painted_again(self, house):
        house.drop("a.jpg", b"a")
        house.rest()
        before = list(house.files())

        answer = house.ask(retry("a.jpg"))

        assert not answer.fine
        assert "remove that folder first" in answer.text
        assert list(house.files()) == before

    def test_each_photo_has_its_own_line_and_one_that_is_not_known_makes_the_answer_bad(self, house):
        house.drop("a.jpg", b"b" * 2000)
        house.rest()

        answer = house.ask(retry("a.jpg", "z.jpg"))

        assert answer == Answer(False, "a.jpg will be tried again.\nz.jpg is not known.")
        assert house.told("asked", "a.jpg") == ["a.jpg will be tried again (`retry`)."]
        assert house.told("asked", "z.jpg") == ["z.jpg is not known (`retry`)."]

    def test_a_line_break_in_a_name_is_shown_and_begins_no_line(self, house):
        assert house.ask(forget("a\nb.jpg")) == Answer(False, "a\\nb.jpg is not known.")

    def test_one_that_is_being_painted_is_left_alone(self, tmp_path):
        with Rehearsal(tmp_path, automatic=False) as house:
            house.worker.ready()
            house.drop("a.jpg")
            house.rest()

            assert house.ask(retry("a.jpg")).text == "a.jpg is being painted."
            assert house.states("a.jpg") == ["running"]

    def test_one_that_waits_is_looked_at_again(self, house):
        house.drop("held/a.jpg")
        house.drop("held/style.yaml", b"stepz: 1\n")
        house.rest()
        (house.inbox / "held" / "style.yaml").unlink()

        assert "is looked at again" in house.ask(retry("held/a.jpg")).text
        house.rest()
        assert house.states("held/a.jpg") == ["done"]


class TestForget:
    def test_a_forgotten_photo_that_lies_there_is_painted_beside_what_was_painted(self, house):
        house.drop("a.jpg", b"a")
        house.rest()
        before = dict(house.files())

        assert house.ask(forget("a.jpg")).fine
        house.rest()

        assert len(house.records()) == 2
        assert before.items() <= dict(house.files()).items()

    def test_a_forgotten_photo_that_is_gone_leaves_no_row_and_no_report(self, house):
        house.drop("a.jpg", b"b" * 2000)
        house.rest()
        (house.inbox / "a.jpg").unlink()

        assert house.ask(forget("a.jpg")).fine
        assert house.jobs("a.jpg") == ()
        assert house.problems() == []

    def test_of_a_painting_that_was_begun_and_is_forgotten_no_stages_stay(self, tmp_path):
        with Rehearsal(tmp_path, automatic=False) as house:
            house.worker.ready()
            house.drop("a.jpg")
            house.rest()
            house.worker.begin()
            house.worker.step(2)
            house.worker.snapshot()
            house.ask(Request(Act.PAUSE))
            house.rest()
            assert (house.outbox / "a" / "progress_0002.png").exists()

            assert house.ask(forget("a.jpg")).fine
            house.ask(Request(Act.RESUME))
            house.rest()
            while house.worker.proceed():
                pass
            house.rest()

            assert house.records() == [path.name for path in house.outbox.iterdir()] == ["a"]

    def test_what_is_being_painted_is_not_forgotten(self, tmp_path):
        with Rehearsal(tmp_path, automatic=False) as house:
            house.worker.ready()
            house.drop("a.jpg")
            house.rest()

            assert not house.ask(forget("a.jpg")).fine
            assert house.states("a.jpg") == ["running"]


class TestPause:
    def test_what_is_painted_stops_after_a_checkpoint_and_goes_on_when_resumed(self, tmp_path):
        with Rehearsal(tmp_path, automatic=False) as house:
            house.worker.ready()
            house.drop("a.jpg", b"a")
            house.drop("b.jpg", b"b")
            house.rest()
            house.worker.begin()
            house.worker.step(3)
            assert house.ask(Request(Act.PAUSE)).fine
            house.rest()

            assert (house.states("a.jpg"), house.states("b.jpg")) == (["queued"], ["queued"])
            assert house.checkpoints.load(house.jobs("a.jpg")[0].identity) == b"3"
            house.advance(1)
            assert "Paused since" in house.view.overview.resting

            assert house.ask(Request(Act.RESUME)).fine
            assert house.states("a.jpg") == ["running"]
            assert house.worker.job.resume == b"3"
            assert house.jobs("a.jpg")[0].attempts == 1

    def test_photos_are_queued_while_it_is_paused(self, house):
        house.ask(Request(Act.PAUSE))
        house.drop("a.jpg")
        house.rest()

        assert house.states("a.jpg") == ["queued"]

    def test_a_pause_outlives_the_daemon(self, tmp_path):
        with Rehearsal(tmp_path) as house:
            house.ask(Request(Act.PAUSE))
        with Rehearsal(tmp_path) as house:
            house.drop("a.jpg")
            house.rest()
            assert house.states("a.jpg") == ["queued"]
            house.ask(Request(Act.RESUME))
            house.rest()
            assert house.states("a.jpg") == ["done"]

    def test_to_pause_twice_and_to_resume_twice_is_to_do_it_once(self, house):
        house.ask(Request(Act.PAUSE))
        since = house.ledger.noted(PAUSED_KEY)

        assert house.ask(Request(Act.PAUSE)) == Answer(True, "It is paused already.")
        assert house.ledger.noted(PAUSED_KEY) == since
        house.ask(Request(Act.RESUME))
        assert house.ask(Request(Act.RESUME)) == Answer(True, "It is not paused.")

    def test_once_ends_while_it_is_paused(self, tmp_path):
        (tmp_path / "inbox").mkdir()
        (tmp_path / "inbox" / "a.jpg").write_bytes(b"a")
        with Rehearsal(tmp_path, once=True) as house:
            house.ask(Request(Act.PAUSE))
            house.rest()
            assert house.daemon.finished()


class TestKnownPhoto:
    @pytest.fixture
    def ledger(self, tmp_path):
        (tmp_path / "inbox" / "trip").mkdir(parents=True)
        with Ledger.open(tmp_path / "ledger.sqlite3") as ledger:
            for name in ("trip/IMG_0001.jpg", "trip/IMG_0417.jpg", "top.jpg", NOT_UTF8):
                ledger.wait(PurePosixPath(name), size=1, mtime_ns=1, reason="seen")
            yield ledger

    @pytest.mark.parametrize(
        ("given", "cwd"),
        [
            ("trip/IMG_0417.jpg", "."),
            ("./trip/../trip/IMG_0417.jpg", "."),
            ("{inbox}/trip/IMG_0417.jpg", "."),
            ("IMG_0417.jpg", "inbox/trip"),
            ("../trip/IMG_0417.jpg", "inbox/trip"),
            ("inbox/trip/IMG_0417.jpg", "."),
        ],
    )
    def test_a_photo_may_be_named_in_each_usual_way(self, tmp_path, ledger, given, cwd):
        inbox = tmp_path / "inbox"
        found = known_photo(given.format(inbox=inbox), inbox, ledger, tmp_path / cwd)
        assert found == PurePosixPath("trip/IMG_0417.jpg")

    def test_a_photo_may_be_named_by_way_of_a_link_to_the_inbox(self, tmp_path, ledger):
        (tmp_path / "link").symlink_to(tmp_path / "inbox")
        found = known_photo(str(tmp_path / "link" / "top.jpg"), tmp_path / "inbox", ledger, tmp_path)
        assert found == PurePosixPath("top.jpg")

    def test_a_name_that_is_no_utf8_is_a_name(self, tmp_path, ledger):
        assert known_photo(NOT_UTF8, tmp_path / "inbox", ledger, tmp_path) == PurePosixPath(NOT_UTF8)

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ("trip/IMG_417.jpg", "did you mean trip/IMG_0417.jpg?"),
            ("IMG_0417.jpg", "did you mean trip/IMG_0417.jpg?"),
            ("xyz", "`monet-watch status` shows"),
            ("/etc/passwd", "does not lie in the inbox"),
            ("../../passwd", "does not lie in the inbox"),
            ("new.jpg", "was not looked at yet"),
        ],
    )
    def test_another_name_is_refused_with_advice(self, tmp_path, ledger, given, words):
        (tmp_path / "inbox" / "new.jpg").write_bytes(b"new")
        with pytest.raises(SettingsError) as caught:
            known_photo(given, tmp_path / "inbox", ledger, Path("/"))
        assert words in caught.value.faults[0]
