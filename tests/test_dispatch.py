"""Which job goes where: attempts, deaths, deliveries that fail, copies, names that collide, and restarts."""

import os
import shutil
import threading
from pathlib import PurePosixPath

import pytest

from monet_watch.aftercare import Aftercare
from monet_watch.crew import FromWorker
from monet_watch.errors import WorkerError
from monet_watch.inbox.hints import FileTouched
from monet_watch.ledger import JobState
from monet_watch.outbox.files import Outbox
from monet_watch.requests import Act, Request
from monet_watch.workers.base import WorkerWaits
from monet_watch.workers.memory import tiny_png
from tests.rehearsal import Rehearsal


@pytest.fixture
def house(tmp_path):
    """One worker, which is ready and does what the test says."""
    with Rehearsal(tmp_path, automatic=False) as house:
        house.worker.ready()
        house.rest()
        yield house


@pytest.fixture
def busy_house(tmp_path):
    """Everything that is queued is painted in no time."""
    with Rehearsal(tmp_path) as house:
        house.rest()
        yield house


def paint(house: Rehearsal) -> None:
    """Let the worker finish the job that it holds, and every one that it is given then."""
    while house.worker.proceed():
        house.turn()
    house.turn()


def outcomes(house: Rehearsal, name: str) -> list[str]:
    return [attempt.outcome for attempt in house.ledger.attempts(house.jobs(name)[0].id)]


# Painting.


def test_a_painting_has_all_its_files_and_a_true_record(house):
    house.drop("trip/IMG 1.jpg", b"the photo")
    house.rest()
    paint(house)
    record = house.record("trip/IMG 1")
    assert {name for name, _ in house.files()} == {
        f"trip/IMG 1/{name}" for name in ("IMG 1.png", "photo.webp", "loss.png", "painting.json", *record.stages)
    }
    assert record.stages == ("progress_0002.png", "progress_0004.png")
    assert (record.photo.path, record.photo.size_bytes) == ("trip/IMG 1.jpg", len(b"the photo"))
    assert record.curve.total == [100, 50, pytest.approx(100 / 3), 25]
    assert record.times.attempts == 1
    job = house.jobs("trip/IMG 1.jpg")[0]
    assert (job.state, str(job.folder), job.loss) == (JobState.DONE, "trip/IMG 1", 25)
    assert record.identity == job.identity


def test_jobs_are_given_out_in_the_order_in_which_they_were_queued(house):
    for name in ("b.jpg", "a.jpg", "c.jpg"):
        house.drop(name, name.encode())
        house.rest()
    paint(house)
    assert [job.photo.name for job in house.worker.jobs] == ["b.jpg", "a.jpg", "c.jpg"]


def test_two_devices_paint_two_photos_at_once(tmp_path):
    with Rehearsal(tmp_path, automatic=False, devices=("cuda:0", "cuda:1")) as house:
        for worker in house.workers:
            worker.ready()
        house.rest()  # else the first scan may meet a file that is half written
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            house.drop(name, name.encode())
        house.rest()
        assert [worker.job.photo.name for worker in house.workers] == ["a.jpg", "b.jpg"]
        assert house.states("c.jpg") == ["queued"]


def test_a_worker_is_not_given_what_it_held_while_the_photo_is_painted_in_another_way(tmp_path):
    """An earlier run had begun the later painting, and this one the earlier."""
    with Rehearsal(tmp_path, automatic=False, devices=("cuda:0", "cuda:1")) as house:
        one, other = house.workers
        one.ready()
        house.drop("a.jpg")
        house.rest()
        house.drop("style.yaml", b"steps: 3\n")
        house.rest()
        later, _ = house.jobs("a.jpg")
        other.ready(holds=later.identity)
        house.rest()
        assert house.states("a.jpg") == ["queued", "running"]
        while one.proceed():
            house.turn()
        house.rest()
        assert house.states("a.jpg") == ["done", "done"]


def test_of_photos_with_equal_turns_a_worker_gets_that_whose_style_it_has_measured(tmp_path):
    with Rehearsal(tmp_path, automatic=False, devices=("cuda:0", "cuda:1")) as house:
        for worker in house.workers:
            worker.ready()
        for number, folder in enumerate(("monet", "turner")):
            (house.inbox / folder).mkdir()
            (house.inbox / folder / "style.png").write_bytes(tiny_png(number))
        house.rest()
        for name in ("monet/0.jpg", "turner/0.jpg", "first/0.jpg", "turner/1.jpg", "monet/1.jpg"):
            house.drop(name, name.encode())
            house.rest()
        assert [worker.job.photo.name for worker in house.workers] == ["0.jpg", "0.jpg"]
        for worker in reversed(house.workers):  # the second takes what is first in the queue
            while len(worker.jobs) < 2:
                worker.proceed()
                house.turn()
        assert house.states("first/0.jpg") == house.states("monet/1.jpg") == ["running"]
        assert house.states("turner/1.jpg") == ["queued"]
        assert house.workers[0].job.photo.data == b"monet/1.jpg"


def test_a_crowd_of_copies_keeps_the_loop_for_a_moment_at_a_time(tmp_path, monkeypatch):
    with Rehearsal(tmp_path, automatic=False) as house:
        house.rest()
        for number in range(40):
            house.drop(f"{number}.jpg", b"the same")
        house.rest()
        copy = house.dispatch._copy_if_painted

        def copy_slowly(job):
            house.clock.now += 0.04
            return copy(job)

        house.worker.ready()
        house.turn()
        monkeypatch.setattr(house.dispatch, "_copy_if_painted", copy_slowly)
        while house.worker.proceed():
            pass
        turns = 0
        while len(house.records()) < 40:
            before = len(house.records())
            house.daemon.turn()
            turns += 1
            assert len(house.records()) - before <= 4
            assert house.daemon.nap() == 0 or len(house.records()) == 40
        assert turns >= 10
        assert len(house.worker.jobs) == 1


def test_a_checkpoint_is_kept_until_the_painting_is_done(house):
    house.drop("a.jpg")
    house.rest()
    house.worker.begin()
    house.worker.step(2)
    house.worker.checkpoint()
    house.turn()
    identity = house.jobs("a.jpg")[0].identity
    assert house.checkpoints.load(identity) == b"2"
    house.worker.step(2)
    house.worker.finish()
    house.turn()
    assert house.checkpoints.load(identity) is None


def test_the_closing_line_and_the_record_tell_the_engine_s_remarks(house):
    house.drop("a.jpg")
    house.rest()
    house.worker.begin()
    house.worker.step(4)
    house.worker.finish("fp32", ("Went on in fp32 from step 3.", "In tiles."))
    house.turn()

    assert house.told("done")[-1].endswith(" Went on in fp32 from step 3. In tiles.")
    assert house.record("a").remarks == ("Went on in fp32 from step 3.", "In tiles.")


def test_a_painting_that_ends_before_its_last_step_is_told_as_done_with_the_steps_it_took(house):
    house.drop("a.jpg")
    house.rest()
    house.worker.begin()
    house.worker.step(3)
    house.worker.finish()
    house.turn()
    assert "at most 4 steps" in house.told("painting")[-1]
    assert house.told("step")[-1].startswith("Step 3 of at most 4,")
    assert house.told("done")[-1].startswith("It is painted, in 3 steps and ")
    assert house.states("a.jpg") == ["done"]


def test_progress_is_in_the_ledger_with_a_pace_that_follows_the_machine(house):
    house.drop("a.jpg")
    house.rest()
    house.worker.begin()
    house.worker.step(2)
    house.turn()
    job = house.jobs("a.jpg")[0]
    assert (job.step, job.steps, job.loss, job.seconds_per_step) == (2, 4, 50, 0.5)
    assert [(step.number, step.seconds) for step in house.ledger.steps_taken(job.id)] == [(1, 0.5), (2, 0.5)]
    assert (job.width, job.height) == (32, 32)


# Failures.


def test_a_photo_that_cannot_be_painted_gets_a_report_with_reason_and_remedy(house):
    house.drop("trip/a.jpg")
    house.rest()
    house.worker.fail("NotAPhotoError", "It is no picture.", "Export it again.")
    house.turn()
    text = (house.outbox / "trip" / "a.jpg.problem.txt").read_text()
    assert "It is no picture." in text
    assert "Export it again." in text
    job = house.jobs("trip/a.jpg")[0]
    assert (job.state, job.kind) == (JobState.PROBLEM, "NotAPhotoError")
    assert house.worker.jobs[0].photo.name == "a.jpg"
    assert house.states("trip/a.jpg") == ["problem"]


@pytest.mark.parametrize("changes", [False, True])
def test_a_problem_that_had_been_begun_is_painted_in_its_place_when_it_is_tried_again(tmp_path, changes):
    """Its stages are there: those of the same painting stay, those of another do not."""
    with Rehearsal(tmp_path, automatic=False) as house:
        house.worker.ready()
        path = house.drop("a.jpg")
        house.rest()
        house.worker.begin()
        house.worker.step(2)
        house.worker.snapshot()
        house.worker.fail("WorkerError", "Memory ran out.", "Use a smaller image_size.")
        house.turn()
        if changes:
            house.drop("style.yaml", b"steps: 1\n")
        else:
            os.utime(path, ns=(0, 1))
            house.advance(300)
        house.rest()
        while house.worker.proceed():
            pass
        house.rest()
        assert house.records() == [entry.name for entry in house.outbox.iterdir()] == ["a"]
        assert len(house.record("a").curve.total) == (1 if changes else 4)


def test_a_problem_is_not_tried_again_by_scans_but_by_a_touch(house):
    house.drop("a.jpg")
    house.rest()
    house.worker.fail("PaintingError", "The loss is not finite.")
    house.advance(300)
    house.advance(300)
    house.rest()
    assert house.states("a.jpg") == ["problem"]
    house.drop("a.jpg", b"a photo again")
    house.rest()
    assert house.states("a.jpg") == ["running"]
    assert house.problems() == []


def test_a_job_whose_worker_dies_goes_on_with_another_worker_from_its_checkpoint(house):
    house.drop("a.jpg")
    house.rest()
    house.worker.begin()
    house.worker.step(2)
    house.worker.checkpoint()
    house.worker.die()
    house.turn()
    assert house.states("a.jpg") == ["queued"]
    house.advance(1.0)
    house.worker.ready()
    house.turn()
    assert len(house.workers) == 2
    assert house.worker.job.resume == b"2"
    paint(house)
    assert house.record("a").times.attempts == 2
    assert outcomes(house, "a.jpg") == ["worker died", "done"]


def test_a_photo_that_ends_its_worker_three_times_is_a_problem_and_the_next_is_painted(house):
    house.drop("bomb.jpg", b"bomb")
    house.rest()
    house.drop("good.jpg", b"good")
    house.rest()
    for pause in (1.0, 2.0, 4.0):
        assert house.worker.job.photo.name == "bomb.jpg"
        house.worker.die("it was ended by SIGSEGV")
        house.turn()
        house.advance(pause)
        house.worker.ready()
        house.turn()
    assert house.states("bomb.jpg") == ["problem"]
    report = (house.outbox / "bomb.jpg.problem.txt").read_text()
    assert "SIGSEGV" in report and "memory_limit" in report
    attempts = [job.attempt for worker in house.workers for job in worker.jobs if job.photo.name == "bomb.jpg"]
    assert attempts == [1, 2, 3]
    assert house.worker.job.photo.name == "good.jpg"


def test_a_device_that_cannot_be_used_is_tried_again_after_growing_pauses_while_others_paint(tmp_path):
    with Rehearsal(tmp_path, automatic=False, devices=("cuda:0", "cpu")) as house:
        cpu = house.workers[1]
        cpu.ready()
        house.workers[0].die("no such device")
        house.turn()
        for pause in (1.0, 2.0, 4.0, 8.0):
            hired = len(house.workers)
            house.advance(pause - 0.1)
            assert len(house.workers) == hired
            house.advance(0.1)
            assert len(house.workers) == hired + 1
            house.worker.die("no such device")
            house.turn()
        assert [text for text in house.told("problem") if "no such device" in text] == [
            "The worker on cuda:0 cannot be started; it is tried again after growing pauses: no such device"
        ]
        assert house.ledger.overview().trouble == "The worker on cuda:0 cannot be started: no such device."
        house.drop("a.jpg")
        house.rest()
        assert cpu.job.photo.name == "a.jpg"


def test_a_job_whose_device_failed_goes_to_another_one_and_the_device_is_tried_with_the_next_job(tmp_path):
    with Rehearsal(tmp_path, automatic=False, devices=("cuda:0", "cuda:1")) as house:
        bad, good = house.workers
        bad.ready()
        good.ready()
        house.rest()
        for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
            house.drop(name, name.encode())
            house.rest()
        assert (bad.job.photo.name, good.job.photo.name) == ("a.jpg", "b.jpg")
        bad.die("the device cuda:0 failed: CUDA error: an illegal memory access was encountered")
        house.turn()
        house.advance(1.0)
        house.worker.ready()
        house.turn()
        assert house.worker.job.photo.name == "c.jpg"
        assert house.states("a.jpg") == ["queued"]
        while good.job.photo.name == "b.jpg":
            good.proceed()
            house.turn()
        assert good.job.photo.name == "a.jpg"
        assert good.job.attempt == 2


def test_a_device_that_fails_every_job_fails_none_of_them_while_there_is_another_device(tmp_path):
    with Rehearsal(tmp_path, automatic=False, devices=("cuda:0", "cuda:1")) as house:
        for worker in house.workers:
            worker.ready()
        house.rest()
        good, names = house.workers[1], [f"{number}.jpg" for number in range(6)]
        for name in names:
            house.drop(name, name.encode())
        house.rest()
        while [house.states(name) for name in names] != [["done"]] * 6:
            bad = next(worker for worker in reversed(house.workers) if worker is not good)
            if bad._job is not None:
                bad.die("the device cuda:0 failed")
            while good.proceed():
                pass
            house.advance(3600.0)
            house.worker.ready()
            house.turn()
        assert house.problems() == []
        assert {house.record(name[0]).times.attempts for name in names} <= {1, 2}


def test_auto_is_every_device_that_the_first_worker_finds(tmp_path):
    with Rehearsal(tmp_path, automatic=False, devices=("auto",)) as house:
        assert [worker.name for worker in house.workers] == ["auto"]
        house.worker.find("cuda:0", "cuda:1", "cuda:2")
        house.turn()
        assert [worker.name for worker in house.workers] == ["auto", "cuda:1", "cuda:2"]
        for worker in house.workers:
            worker.ready()
        house.rest()
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            house.drop(name, name.encode())
        house.rest()
        assert [house.states(name) for name in ("a.jpg", "b.jpg", "c.jpg")] == [["running"]] * 3


def test_the_first_device_that_auto_stands_for_is_tried_again_by_its_name_when_it_fails(tmp_path):
    with Rehearsal(tmp_path, automatic=False, devices=("auto",)) as house:
        house.worker.find("cuda:0", "cuda:1")
        house.turn()
        house.workers[0].die("no memory left on the device")
        house.turn()
        house.advance(1.0)
        assert [worker.name for worker in house.workers] == ["auto", "cuda:1", "cuda:0"]


def test_a_single_run_for_which_no_worker_can_be_started_ends_with_an_error(tmp_path):
    with Rehearsal(tmp_path, automatic=False, once=True) as house:
        for pause in (1.0, 2.0):
            house.worker.die("no such device")
            house.turn()
            house.advance(pause)
        house.worker.die("no such device")
        with pytest.raises(WorkerError, match="no such device"):
            house.turn()


def test_starts_that_fail_are_forgotten_once_one_succeeds(tmp_path):
    with Rehearsal(tmp_path, automatic=False) as house:
        for _ in range(4):
            house.worker.die("for a while")
            house.turn()
            house.advance(10.0)
            house.worker.ready()
            house.turn()
        assert len(house.workers) == 5


def test_a_worker_that_hangs_is_replaced_and_its_job_goes_on_from_its_checkpoint(tmp_path):
    with Rehearsal(tmp_path, automatic=False, hang_seconds=5.0) as house:
        house.worker.ready()
        house.drop("a.jpg")
        house.rest()
        house.worker.begin()
        house.worker.step(2)
        house.worker.checkpoint()
        house.turn()
        house.advance(10.0)
        assert house.states("a.jpg") == ["running"]  # for twenty times as long as a step takes, which is half a second
        house.advance(1.0)
        assert "no sign of life for 11 s" in house.told("worker-died")[-1]
        house.advance(1.0)
        house.worker.ready()
        house.turn()
        assert house.worker.job.resume == b"2"
        paint(house)
        assert house.record("a").times.attempts == 2


def test_late_words_of_a_worker_that_was_replaced_are_not_heard(house):
    house.drop("a.jpg")
    house.rest()
    first = house.worker
    post = first._send
    first.begin()
    first.die()
    house.turn()
    house.advance(1.0)
    house.worker.ready()
    house.turn()
    first._send, first._alive = post, True
    first.ready()
    first.die("again")
    house.turn()
    assert house.states("a.jpg") == ["running"]
    assert len(house.workers) == 2


def test_what_was_under_way_from_a_worker_when_it_was_dismissed_is_not_held_against_its_place(tmp_path):
    with Rehearsal(tmp_path, automatic=False, hang_seconds=5.0) as house:
        first = house.worker
        post = first._send
        while not house.told("worker-died"):
            house.advance(5.0)
        (place,) = house.dispatch._crew.places
        assert place.worker is None
        first._send, first._alive = post, True
        first.ready()
        first.die("it was ended by SIGKILL")
        house.turn()
        assert place.ready is None and place.deaths == 1
        assert len(house.told("worker-died")) == 1


def test_what_keeps_the_only_worker_from_beginning_is_told_once(tmp_path):
    with Rehearsal(tmp_path, automatic=False) as house:
        (place,) = house.dispatch._crew.places
        for _ in range(3):
            house.dispatch.handle(FromWorker(place.number, place.hire, WorkerWaits("the cluster has no room for it")))
        assert house.told("worker-waits") == ["The worker on cpu waits: the cluster has no room for it."]


def test_a_painting_that_cannot_be_written_is_kept_and_written_later_without_being_painted_again(house):
    house.drop("a.jpg")
    house.rest()
    block(house, "a")
    paint(house)
    for times, pause in enumerate((30, 60, 120, 240), 1):
        (job,) = house.jobs("a.jpg")
        assert (job.state, job.put_off, job.retry_at) == (JobState.QUEUED, times, house.time_of_day() + pause)
        assert "cannot be made" in job.reason
        house.advance(pause - 1)
        assert house.jobs("a.jpg")[0].put_off == times
        house.advance(1.0)
    (house.outbox / "a").unlink()
    house.advance(480)
    assert house.records() == ["a"]
    assert house.record("a").stages == ("progress_0002.png", "progress_0004.png")
    assert house.record("a").times.attempts == 1
    assert len(house.worker.jobs) == 1
    (job,) = house.jobs("a.jpg")
    assert (job.state, job.put_off, job.retry_at, job.reason) == (JobState.DONE, 0, None, "")
    assert not list((house.folder / "undelivered").iterdir())


def test_the_formats_are_those_that_the_folder_wants_when_a_painting_begins_and_what_is_painted_stays_as_it_is(house):
    house.drop("a.jpg")
    house.rest()
    paint(house)
    house.drop("style.yaml", b"output: [jpeg, webp]\n")
    house.rest()
    assert house.states("a.jpg") == ["done"]
    assert not house.record("a").further
    house.drop("b.jpg", b"another photo")
    house.rest()
    paint(house)
    assert house.record("b").further == {"jpeg": "b.jpg", "webp": "b.webp"}
    assert (house.outbox / "b" / "b.webp").read_bytes() == tiny_png(2)


def test_a_painting_that_is_kept_is_written_later_in_all_its_formats(house):
    house.drop("style.yaml", b"output: jpeg\ntimelapse: webp\n")
    house.drop("a.jpg")
    house.rest()
    block(house, "a")
    paint(house)
    (house.outbox / "a").unlink()
    house.advance(60)
    assert house.record("a").further == {"jpeg": "a.jpg"}
    assert (house.outbox / "a" / "a.jpg").read_bytes() == tiny_png(1)
    assert (house.outbox / "a" / "a.png").read_bytes() == tiny_png()
    assert house.record("a").timelapse == "timelapse.webp"
    assert (house.outbox / "a" / "timelapse.webp").read_bytes().startswith(b"RIFF")


@pytest.mark.parametrize(("wanted", "given"), [("webp", ["progress_0002.png"]), ("none", [])])
def test_a_worker_that_goes_on_gets_the_stages_so_far_where_a_moving_picture_is_to_show_them(house, wanted, given):
    house.drop("style.yaml", f"timelapse: {wanted}\n".encode())
    house.drop("a.jpg")
    house.rest()
    assert house.worker.job.stages == ()
    house.worker.begin()
    house.worker.step(2)
    house.worker.snapshot()
    house.worker.checkpoint()
    house.worker.die()
    house.turn()
    house.advance(1.0)
    house.worker.ready()
    house.turn()

    assert [stage.name for stage in house.worker.job.stages] == given
    assert all(stage.data == tiny_png(2) for stage in house.worker.job.stages)


def test_what_could_not_be_written_is_written_after_a_restart_as_well(tmp_path):
    with Rehearsal(tmp_path, automatic=False) as house:
        house.worker.ready()
        house.drop("a.jpg")
        house.rest()
        block(house, "a")
        paint(house)
    with Rehearsal(tmp_path, automatic=False) as later:
        later.worker.ready()
        later.rest()
        assert later.states("a.jpg") == ["queued"]  # for what is left of the pause
        (later.outbox / "a").unlink()
        later.advance(60)
        assert later.records() == ["a"]
        assert not later.worker.jobs


def test_a_stage_that_could_not_be_written_comes_with_the_painting(house):
    house.drop("a.jpg")
    house.rest()
    block(house, "a")
    house.worker.begin()
    house.worker.step(2)
    house.worker.snapshot()
    house.turn()
    assert "written together with the painting" in house.told("problem", "a.jpg")[-1]
    (house.outbox / "a").unlink()
    house.worker.step(2)
    house.worker.snapshot()
    house.worker.finish()
    house.turn()
    assert house.record("a").stages == ("progress_0002.png", "progress_0004.png")
    assert (house.outbox / "a" / "progress_0002.png").read_bytes() == tiny_png(2)
    assert not list((house.folder / "undelivered").iterdir())


def test_where_the_state_folder_cannot_be_written_either_a_painting_is_kept_in_memory(house):
    (house.folder / "undelivered").write_bytes(b"in the way")
    house.drop("a.jpg")
    house.rest()
    block(house, "a")
    paint(house)
    (house.outbox / "a").unlink()
    house.advance(30)
    assert house.records() == ["a"]
    assert house.record("a").stages == ("progress_0002.png", "progress_0004.png")
    assert len(house.worker.jobs) == 1


def test_what_was_kept_in_memory_is_put_on_disk_at_the_end_if_there_is_room_by_then(tmp_path):
    with Rehearsal(tmp_path, automatic=False) as house:
        house.worker.ready()
        (tmp_path / "undelivered").write_bytes(b"in the way")
        house.drop("a.jpg")
        house.rest()
        block(house, "a")
        paint(house)
        (tmp_path / "undelivered").unlink()
        house.dispatch.close(0)
    with Rehearsal(tmp_path, automatic=False) as later:
        (later.outbox / "a").unlink()
        later.advance(60)
        assert later.records() == ["a"]


def test_a_painting_for_which_there_is_no_room_anywhere_is_painted_again_from_its_checkpoint(house):
    house.undelivered._limit_bytes = 0
    (house.folder / "undelivered").write_bytes(b"in the way")
    house.drop("a.jpg")
    house.rest()
    block(house, "a")
    paint(house)
    assert any("painted again from its last checkpoint" in text for text in house.told("problem", "a.jpg"))
    (house.outbox / "a").unlink()
    house.advance(30)
    assert house.worker.job.resume == b"2"
    paint(house)
    assert house.records() == ["a"]


def test_what_is_kept_of_a_photo_that_is_gone_is_thrown_away(house):
    house.drop("a.jpg")
    house.rest()
    block(house, "a")
    paint(house)
    assert list((house.folder / "undelivered").iterdir())
    house.remove("a.jpg")
    house.advance(1)
    assert not list((house.folder / "undelivered").iterdir())


def test_what_is_kept_of_a_photo_that_somebody_touches_is_still_there_when_it_has_rested(house):
    path = house.drop("a.jpg")
    house.rest()
    block(house, "a")
    paint(house)
    path.touch()
    house.watches[-1].say(FileTouched(PurePosixPath("a.jpg")))
    house.turn()
    assert house.states("a.jpg") == ["waiting"]
    house.rest()
    (house.outbox / "a").unlink()
    house.advance(3600)
    assert house.records() == ["a"]
    assert len(house.worker.jobs) == 1


def test_a_kept_painting_is_written_while_the_worker_paints_another(house):
    house.drop("a.jpg", b"a")
    house.rest()
    house.drop("b.jpg", b"b")
    house.rest()
    block(house, "a")
    while house.states("a.jpg") == ["running"]:
        assert house.worker.proceed()
        house.turn()
    (house.outbox / "a").unlink()
    house.advance(30)
    assert house.records() == ["a"]
    assert house.states("b.jpg") == ["running"]


# What passes.


def test_a_photo_for_which_memory_is_too_short_is_tried_again_for_ever_and_holds_up_no_other(house):
    house.drop("large.jpg", b"large")
    house.rest()
    house.drop("small.jpg", b"small")
    house.rest()
    for pause in (30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600):
        assert house.worker.job.photo.name == "large.jpg"
        house.worker.fail("OutOfMemory", "There is not enough memory.", "Close a program.", passes=True)
        house.turn()
        paint(house)
        assert house.states("large.jpg") == ["queued"]
        assert house.ledger.overview().put_off[0].reason == "There is not enough memory."
        house.advance(pause)
    paint(house)
    assert house.records() == ["large", "small"]
    assert house.record("large").times.attempts == 1


def test_one_of_them_is_tried_at_once_where_somebody_asks_for_it(house):
    house.drop("large.jpg")
    house.rest()
    house.worker.fail("OutOfMemory", "There is not enough memory.", passes=True)
    house.turn()
    assert house.states("large.jpg") == ["queued"]
    assert house.ledger.hurry() == 1
    house.advance(1)
    assert house.states("large.jpg") == ["running"]


def test_a_painting_that_cannot_be_written_holds_up_no_other(house):
    house.drop("a.jpg", b"a")
    house.rest()
    house.drop("b.jpg", b"b")
    house.rest()
    block(house, "a")
    paint(house)
    assert house.states("a.jpg") == ["queued"]
    assert house.records() == ["b"]


def test_while_the_outbox_cannot_be_written_at_all_nothing_is_begun(house):
    house.drop("a.jpg", b"a")
    house.rest()
    house.drop("b.jpg", b"b")
    house.rest()
    shutil.rmtree(house.outbox)
    house.outbox.write_bytes(b"in the way")
    paint(house)
    for _ in range(20):
        assert "cannot be" in house.ledger.overview().trouble
        assert "looked at again every few seconds" in house.ledger.overview().trouble
        house.advance(60)
    assert house.states("b.jpg") == ["queued"]
    assert len([text for text in house.told("problem") if "nothing is begun" in text]) == 1
    house.outbox.unlink()
    house.outbox.mkdir()
    house.advance(5)
    paint(house)
    assert sorted(house.records()) == ["a", "b"]
    assert [job.photo.name for job in house.worker.jobs] == ["a.jpg", "b.jpg"]
    assert house.ledger.overview().trouble == ""


def block(house: Rehearsal, folder: str) -> None:
    """Put a file where the folder of a painting is to be."""
    shutil.rmtree(house.outbox / folder, ignore_errors=True)
    (house.outbox / folder).write_bytes(b"in the way")


# What changes between the queue and the worker.


def test_a_style_that_changes_while_the_photo_waits_is_the_one_that_it_is_painted_with(house):
    house.drop("first.jpg", b"first")
    house.rest()
    house.drop("second.jpg", b"second")
    house.rest()
    (house.inbox / "style.png").write_bytes(tiny_png(1))  # no event tells of it
    paint(house)
    house.rest()
    assert house.worker.job.photo.name == "second.jpg"
    assert [style.data for style in house.worker.job.styles] == [tiny_png(1)]


def test_a_photo_that_changes_while_it_waits_is_painted_as_it_is_at_last(house):
    house.drop("first.jpg", b"first")
    house.rest()
    path = house.drop("second.jpg", b"second")
    house.rest()
    path.write_bytes(b"the second one, again")
    paint(house)
    house.rest()
    assert house.worker.job.photo.data == b"the second one, again"


def test_a_photo_that_goes_while_it_waits_is_forgotten(house):
    house.drop("first.jpg", b"first")
    house.rest()
    path = house.drop("second.jpg", b"second")
    house.rest()
    path.unlink()
    paint(house)
    house.rest()
    assert not house.jobs("second.jpg")
    assert house.records() == ["first"]
    assert not house.dispatch.busy


def test_a_photo_replaced_while_it_is_painted_gives_two_paintings(house):
    house.drop("a.jpg", b"one")
    house.rest()
    house.drop("a.jpg", b"two, in its place")
    house.rest()
    assert house.states("a.jpg") == ["queued", "running"]
    paint(house)
    paint(house)
    assert house.states("a.jpg") == ["done", "done"]
    assert len(house.records()) == 2
    assert house.record("a").photo.size_bytes == 3


# Copies.


def test_two_copies_queued_at_once_are_painted_once(house):
    house.drop("a.jpg", b"same")
    house.drop("trip/b.png", b"same")
    house.rest()
    paint(house)
    house.rest()
    assert house.records() == ["a", "trip/b"]
    assert len(house.worker.jobs) == 1
    assert house.record("trip/b").copied_from == "a"
    assert (house.outbox / "trip" / "b" / "b.png").read_bytes() == (house.outbox / "a" / "a.png").read_bytes()
    assert house.record("trip/b").photo.path == "trip/b.png"
    (original,), (copy,) = house.jobs("a.jpg"), house.jobs("trip/b.png")
    assert original.step and original.loss and original.width and original.height
    assert (copy.step, copy.loss) == (original.step, original.loss)
    assert (copy.width, copy.height) == (original.width, original.height)


def test_two_devices_do_not_paint_two_copies(tmp_path):
    with Rehearsal(tmp_path, automatic=False, devices=("cuda:0", "cuda:1")) as house:
        for worker in house.workers:
            worker.ready()
        house.drop("a.jpg", b"same")
        house.drop("b.jpg", b"same")
        house.rest()
        assert [len(worker.jobs) for worker in house.workers] == [1, 0]


def test_a_copy_of_a_painting_whose_files_are_gone_is_painted(busy_house):
    house = busy_house
    house.drop("a.jpg", b"same")
    house.rest()
    shutil.rmtree(house.outbox / "a")
    house.drop("b.jpg", b"same")
    house.rest()
    assert house.records() == ["b"]
    assert house.record("b").copied_from is None
    assert len(house.worker.jobs) == 2


def test_a_painting_removed_by_hand_stays_removed(busy_house):
    house = busy_house
    path = house.drop("a.jpg")
    house.rest()
    shutil.rmtree(house.outbox / "a")
    path.touch()
    house.drop("a.jpg")
    house.advance(300)
    house.rest()
    assert house.records() == []


def test_a_copy_that_was_interrupted_is_finished_in_its_place(busy_house, monkeypatch):
    house = busy_house
    house.drop("a.jpg", b"same")
    house.rest()
    write = Outbox.write

    def interrupted(self, folder, name, data):
        if name == "painting.json":
            raise KeyboardInterrupt
        write(self, folder, name, data)

    monkeypatch.setattr(Outbox, "write", interrupted)
    house.drop("b.jpg", b"same")
    with pytest.raises(KeyboardInterrupt):
        house.rest()
    monkeypatch.undo()
    house.__exit__()
    with Rehearsal(house.folder) as later:
        later.rest()
        assert later.records() == ["a", "b"]
        assert {path.name for path in later.outbox.iterdir()} == {"a", "b"}


# Names.


def test_two_photos_that_differ_in_their_extension_get_two_folders(busy_house):
    house = busy_house
    house.drop("IMG.jpg", b"one")
    house.drop("IMG.png", b"two")
    house.rest()
    first, second = house.records()
    assert first == "IMG"
    assert second == f"IMG-{house.record(second).identity[:6]}"
    assert {house.record(first).photo.path, house.record(second).photo.path} == {"IMG.jpg", "IMG.png"}


def test_names_that_a_share_takes_for_one_get_two_folders(busy_house):
    house = busy_house
    house.drop("IMG.jpg", b"one")
    house.drop("img.jpg", b"two")
    house.rest()
    assert len({folder.casefold() for folder in house.records()}) == 2


@pytest.mark.parametrize(
    "name", ["loss.jpg", "progress_0001.jpg", "progress_0002.jpg", "index.jpg", "painting.json.jpg"]
)
def test_no_name_of_a_photo_overwrites_a_file_of_its_painting(busy_house, name):
    house = busy_house
    house.drop(name)
    house.drop(f"copies/{name}")
    house.rest()
    for folder in house.records():
        record = house.record(folder)
        assert record.stages == ("progress_0002.png", "progress_0004.png")
        names = {path.name for path in (house.outbox / folder).iterdir()}
        assert len(names) == 6
        assert names == {record.painting, "photo.webp", "loss.png", "painting.json", *record.stages}
    assert len(house.records()) == 2


def test_a_name_as_long_as_the_file_system_allows_gets_its_painting(busy_house):
    house = busy_house
    name = "é" * 125 + ".jpg"  # 254 bytes
    house.drop(name)
    house.rest()
    (folder,) = house.records()
    assert (house.outbox / folder / house.record(folder).painting).is_file()


@pytest.mark.parametrize("order", [("a.jpg", "a/b.jpg"), ("a/b.jpg", "a.jpg")])
def test_a_photo_and_a_folder_of_the_same_name_do_not_touch_each_others_files(busy_house, order):
    house = busy_house
    first, second = order
    house.drop(first, b"one")
    house.rest()
    before = dict(house.files())
    house.drop(second, b"two")
    house.rest()
    after = dict(house.files())
    assert before.items() <= after.items()
    assert len(after) == 2 * len(before)
    assert len(house.records()) == 2


@pytest.mark.parametrize("name", ["loss.png.jpg", "painting.json.jpg", "progress_0002.png.jpg", "a.png.jpg"])
def test_photos_in_a_folder_of_a_paintings_name_leave_the_names_of_its_files_alone(tmp_path, name):
    with Rehearsal(tmp_path, automatic=False, devices=("cuda:0", "cuda:1")) as house:
        for worker in house.workers:
            worker.ready()
        house.drop("a.jpg", b"one")
        house.rest()
        house.drop(f"a/{name}", b"two")
        house.rest()
        for worker in reversed(house.workers):  # while the first one has not written anything yet
            worker.begin()
            worker.step(4)
            worker.snapshot()
            worker.finish()
            house.turn()
        assert house.states("a.jpg") == house.states(f"a/{name}") == ["done"]
        assert len(house.records()) == 2


def test_what_lies_in_the_outbox_already_is_not_painted_over(busy_house):
    house = busy_house
    (house.outbox / "a").mkdir()
    (house.outbox / "a" / "a.png").write_bytes(b"somebody's own")
    house.drop("a.jpg")
    house.rest()
    assert (house.outbox / "a" / "a.png").read_bytes() == b"somebody's own"
    (folder,) = house.records()
    assert folder.startswith("a-")


# Restarts.


def test_what_was_running_when_the_daemon_was_killed_goes_on_from_its_checkpoint(tmp_path):
    with Rehearsal(tmp_path, automatic=False) as house:
        house.worker.ready()
        house.rest()
        house.drop("a.jpg")
        house.drop("b.jpg", b"b")
        house.rest()
        house.worker.begin()
        house.worker.step(2)
        house.worker.checkpoint()
        house.turn()
    with Rehearsal(tmp_path) as later:
        later.rest()
        assert later.records() == ["a", "b"]
        assert later.worker.jobs[0].resume == b"2"
        assert len(later.record("a").curve.total) == 4
        assert outcomes(later, "a.jpg") == ["interrupted", "done"]


def killed_before(call: str, folder, monkeypatch, **drops: bytes) -> None:
    """Paint what is dropped until ``call`` (a method of the ledger) is reached, and be killed there."""

    class Killed(BaseException):
        """Nobody catches it."""

    def die(*args: object, **kwargs: object) -> None:
        raise Killed

    with pytest.raises(Killed), monkeypatch.context() as patch, Rehearsal(folder) as house:
        house.rest()
        patch.setattr(f"monet_watch.ledger.Ledger.{call}", die)
        for name, data in drops.items():
            house.drop(f"{name}.jpg", data)
        house.rest()


def test_a_painting_whose_record_is_written_is_not_painted_again_though_the_ledger_never_knew(tmp_path, monkeypatch):
    killed_before("finish", tmp_path, monkeypatch, a=b"a photo")
    with Rehearsal(tmp_path, after="delete") as house:
        before = dict(house.files())
        house.rest()
        assert house.worker.jobs == []
        assert dict(house.files()) == before
        assert house.states("a.jpg") == ["done"]
        assert house.told("done", "a.jpg") == ["It was painted before the last stop: a."]
        assert not list((tmp_path / "checkpoints").iterdir())
        assert not (house.inbox / "a.jpg").exists()


def test_a_folder_with_another_painting_or_a_damaged_record_is_not_taken_for_the_job_s_own(tmp_path, monkeypatch):
    killed_before("finish", tmp_path, monkeypatch, a=b"a photo")
    record = tmp_path / "outbox" / "a" / "painting.json"
    record.write_bytes(record.read_bytes()[:-10])
    with Rehearsal(tmp_path) as house:
        house.rest()
        assert len(house.worker.jobs) == 1
        assert house.record("a").photo.path == "a.jpg"


def test_a_report_that_was_not_written_before_a_kill_is_written_by_the_next_scan(house, monkeypatch):
    house.drop("a.jpg")
    house.rest()
    with monkeypatch.context() as patch:
        patch.setattr("monet_watch.outbox.files.Outbox.tell_problem", lambda *args: None)
        house.worker.fail("NotAPhotoError", "It is no picture.", "Export it again.")
        house.turn()
    assert house.problems() == []
    house.advance(300)
    house.rest()
    assert house.problems() == ["a.jpg.problem.txt"]
    assert "It is no picture." in (house.outbox / "a.jpg.problem.txt").read_text()
    assert len(house.told("problem", "a.jpg")) == 1


def test_a_report_that_was_not_removed_before_a_kill_goes_when_the_photo_is_painted(house):
    house.drop("a.jpg")
    house.rest()
    Outbox(house.outbox).tell_problem(house.jobs("a.jpg")[0].path, "It was damaged.", "why", "what to do")
    paint(house)
    assert house.states("a.jpg") == ["done"]
    assert house.problems() == []


def test_kills_are_not_held_against_a_photo(tmp_path):
    for _ in range(4):
        with Rehearsal(tmp_path, automatic=False) as house:
            house.worker.ready()
            house.drop("a.jpg")
            house.rest()
            assert house.states("a.jpg") == ["running"]
    with Rehearsal(tmp_path) as house:
        house.rest()
        assert house.record("a").times.attempts == 1


def test_an_inbox_that_comes_back_is_painted_from_as_soon_as_that_is_seen(house):
    for name in ("a.jpg", "b.jpg"):
        house.drop(name, name.encode())
        house.rest()
    house.inbox.rename(house.folder / "away")
    paint(house)
    for _ in range(20):
        house.advance(60)
    assert house.states("b.jpg") == ["queued"]
    (house.folder / "away").rename(house.inbox)
    house.advance(5)
    assert house.states("b.jpg") == ["running"]


def test_what_the_outbox_had_put_off_is_tried_when_the_outbox_is_back(house):
    house.drop("a.jpg", b"a")
    house.rest()
    block(house, "a")
    paint(house)
    house.drop("b.jpg", b"b")
    house.rest()
    assert house.jobs("a.jpg")[0].retry_at
    house.outbox.rename(house.folder / "away")
    house.outbox.write_bytes(b"in the way")
    paint(house)
    (house.folder / "away" / "a").unlink()
    house.outbox.unlink()
    (house.folder / "away").rename(house.outbox)
    house.advance(5)
    assert sorted(house.records()) == ["a", "b"]


# Aftercare.


def test_an_original_is_put_away_after_its_record_is_written(tmp_path):
    with Rehearsal(tmp_path, after="move", automatic=False) as house:
        house.worker.ready()
        path = house.drop("trip/a.jpg", b"original")
        house.rest()
        house.worker.begin()
        house.worker.step(4)
        house.turn()
        assert path.exists()
        house.worker.finish()
        house.turn()
        assert not path.exists()
        assert (house.archive / "trip" / "a.jpg").read_bytes() == b"original"


def test_an_original_that_was_replaced_while_it_was_painted_stays_until_it_is_painted_too(tmp_path):
    with Rehearsal(tmp_path, after="delete", automatic=False) as house:
        house.worker.ready()
        path = house.drop("a.jpg", b"one")
        house.rest()
        house.drop("a.jpg", b"two, in its place")
        house.rest()
        house.worker.begin()
        house.worker.step(4)
        house.worker.finish()
        house.turn()
        assert path.read_bytes() == b"two, in its place"
        paint(house)
        assert not path.exists()
        assert len(house.records()) == 2


@pytest.mark.parametrize("is_bad", [False, True])
def test_an_original_that_is_to_be_painted_in_another_way_as_well_stays_until_it_is(tmp_path, is_bad):
    """Its settings changed while it was painted; where the second painting cannot be made, it stays for ever."""
    with Rehearsal(tmp_path, automatic=False, after="delete") as house:
        house.worker.ready()
        path = house.drop("a.jpg")
        house.rest()
        house.drop("style.yaml", b"steps: 3\n")
        house.rest()
        assert house.states("a.jpg") == ["queued", "running"]
        house.worker.begin()
        house.worker.step(4)
        house.worker.finish()
        house.rest()
        assert path.exists()
        if is_bad:
            house.worker.fail("PaintingError", "The loss is not finite.")
        else:
            house.worker.begin()
            house.worker.step(3)
            house.worker.finish()
        house.rest()
        assert path.exists() == is_bad
        assert len(house.records()) == (1 if is_bad else 2)


def test_an_original_stays_while_the_painting_that_it_led_to_is_not_there(tmp_path):
    """Somebody has taken the painting out of the outbox, and drops the photo once more."""
    with Rehearsal(tmp_path, after="delete") as house:
        path = house.drop("a.jpg", b"original")
        house.rest()
        assert not path.exists()
        (house.outbox / "a").rename(tmp_path / "taken away")
        house.drop("a.jpg", b"original")
        house.rest()
        house.advance(300)
        house.rest()
        assert path.read_bytes() == b"original"
        assert house.records() == []
        assert house.ask(Request(Act.RETRY, (PurePosixPath("a.jpg"),))).fine
        house.rest()
        assert house.records() == ["a"]
        assert not path.exists()


def test_while_originals_are_put_away_the_daemon_goes_on_with_everything_else(tmp_path, monkeypatch):
    """A share on which each takes long: here it hangs until the test lets it go on."""
    goes_on = threading.Event()
    put_away = Aftercare.__call__

    def slowly(*args: object) -> str:
        assert goes_on.wait(600)
        return put_away(*args)

    with Rehearsal(tmp_path, after="delete") as house:
        house.rest()
        monkeypatch.setattr(Aftercare, "__call__", slowly)
        paths = [house.drop(f"{number}.jpg", b"%d" % number) for number in range(60)]
        while len(house.records()) < len(paths):
            house.clock.now += 1
            house.daemon.turn(0.01)
        house.manager.words.clear()
        house.clock.now += 60
        house.daemon.turn()
        assert "WATCHDOG=1" in house.manager.words
        assert house.dispatch.caring
        assert all(path.exists() for path in paths)
        goes_on.set()
        house.rest()
        assert not house.dispatch.caring
        assert not any(path.exists() for path in paths)
        assert len(house.told("removed")) == len(paths)


def test_an_original_is_put_away_once_however_often_it_is_seen_meanwhile(tmp_path, monkeypatch):
    calls, goes_on = [], threading.Event()

    def slowly(_self: Aftercare, photo: PurePosixPath, _sha256: str) -> str:
        calls.append(photo)
        assert goes_on.wait(600)
        return ""

    with Rehearsal(tmp_path, after="delete") as house:
        house.rest()
        monkeypatch.setattr(Aftercare, "__call__", slowly)
        house.drop("a.jpg")
        while not calls:
            house.clock.now += 1
            house.daemon.turn(0.01)
        for _ in range(3):
            scanned_at = house.ledger.watch_state().scanned_at
            house.clock.now += 300
            while house.ledger.watch_state().scanned_at == scanned_at:
                house.daemon.turn(0.01)
        house.daemon.turn(0.01)  # what the last scan found has been looked at, and no other is under way
        goes_on.set()
        house.rest()
        assert len(calls) == 1


def test_an_original_that_cannot_be_put_away_stays_and_the_reason_is_told(tmp_path):
    with Rehearsal(tmp_path, after="move") as house:
        house.archive.write_bytes(b"a file where the archive should be")
        path = house.drop("a.jpg")
        house.rest()
        assert path.exists()
        assert house.records() == ["a"]
        for _ in range(3):
            house.advance(300)
            house.rest()
        (told,) = house.told("problem", "a.jpg")
        assert "stays where it is" in told
        house.archive.unlink()
        house.advance(300)
        house.rest()
        assert not path.exists()
        assert (house.archive / "a.jpg").exists()
