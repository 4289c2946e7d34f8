"""Real worker processes: killed, hung, orphaned, interrupted and broken ones, and what is heard of each."""

import errno
import io
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monet_watch.engine.tiles import memory_bytes
from monet_watch.errors import WorkerError
from monet_watch.recipes import Recipe
from monet_watch.workers import local
from monet_watch.workers.base import (
    DevicesFound,
    JobFailed,
    JobFinished,
    JobStep,
    PaintJob,
    PictureFile,
    WeightsFile,
    WorkerDied,
    WorkerReady,
    WorkerSaid,
)
from monet_watch.workers.local import LocalWorker, measured_step

PATIENCE_SECONDS = 120


@pytest.fixture
def mailbox():
    return queue.Queue()


@pytest.fixture
def worker(tiny_weights, mailbox):
    """A worker that is ready, with one thread."""
    worker = LocalWorker("cpu", tiny_weights, mailbox.put, threads=1)
    worker.start()
    ready = mailbox.get(timeout=PATIENCE_SECONDS)
    assert isinstance(ready, WorkerReady) and ready.threads == 1
    yield worker
    worker.stop(timeout_seconds=PATIENCE_SECONDS)


@pytest.fixture
def make_job(make_photo):
    def make(job_id=1, steps=100_000, data=None):
        photo = PictureFile("photo.png", make_photo(32, 32) if data is None else data)
        recipe = Recipe(image_size=32, steps=steps, save_every=100_000)
        return PaintJob(job_id, "identity", photo, (PictureFile("s.png", make_photo(32, 32, 1)),), recipe, 10_000)

    return make


def wait_for(mailbox, kind):
    while not isinstance(event := mailbox.get(timeout=PATIENCE_SECONDS), kind):
        assert not isinstance(event, JobFailed | WorkerDied), event
    return event


def runs(pid):
    """Whether there is such a process that is not a zombie."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_a_process_that_is_to_find_the_devices_tells_them_first_and_is_on_the_first(tiny_weights, mailbox):
    worker = LocalWorker("auto", tiny_weights, mailbox.put, threads=1, finds_others=True)
    worker.start()
    found, ready = (mailbox.get(timeout=PATIENCE_SECONDS) for _ in range(2))
    worker.stop(timeout_seconds=PATIENCE_SECONDS)
    assert isinstance(found, DevicesFound) and isinstance(ready, WorkerReady)
    assert ready.device == found.devices[0]


def test_a_machine_without_room_for_another_process_is_told_as_the_worker_s_end(tiny_weights, mailbox, monkeypatch):
    def refuse(*args, **options):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(local.SPAWN, "Pipe", refuse)
    worker = LocalWorker("cpu", tiny_weights, mailbox.put, threads=1)
    worker.start()
    assert "Too many open files" in mailbox.get(timeout=PATIENCE_SECONDS).reason
    assert worker.alive()
    worker.stop(timeout_seconds=0)
    assert mailbox.empty()


@pytest.mark.parametrize("name", ["murmur of cpu", "events of cpu", "messages to cpu"])
def test_a_machine_without_room_for_another_thread_is_told_as_the_worker_s_end(
    tiny_weights, mailbox, monkeypatch, name
):
    start, pids = threading.Thread.start, []

    def start_or_refuse(thread):
        if thread.name == name:
            pids.append(worker.pid)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_refuse)
    worker = LocalWorker("cpu", tiny_weights, mailbox.put, threads=1)
    worker.start()
    assert "can't start new thread" in mailbox.get(timeout=PATIENCE_SECONDS).reason
    worker.stop(timeout_seconds=0)
    assert not runs(pids[0])
    assert mailbox.empty()


def test_a_process_killed_in_the_middle_of_a_job_is_told_with_its_signal(worker, mailbox, make_job):
    worker.offer(make_job())
    wait_for(mailbox, JobStep)
    os.kill(worker.pid, signal.SIGKILL)

    died = wait_for(mailbox, WorkerDied)
    assert "SIGKILL" in died.reason and "memory" in died.reason
    worker.offer(make_job())
    worker.stop(timeout_seconds=1)
    assert mailbox.empty()


def test_each_attempt_after_a_death_is_painted_with_half_the_memory(tiny_weights, mailbox, make_job, make_photo):
    """What is painted in tiles says how much memory there was for it."""
    height, width = 640, 768
    given = 2 * memory_bytes(height, width)
    worker = LocalWorker("cpu", tiny_weights, mailbox.put, threads=1, memory_bytes=given)
    worker.start()
    wait_for(mailbox, WorkerReady)
    recipe = Recipe(image_size=height, steps=1)
    job = replace(make_job(data=make_photo(height, width)), recipe=recipe, limit_pixels=height * width)
    try:
        remarks = []
        for attempt in (1, 2, 3):
            worker.offer(replace(job, attempt=attempt))
            remarks.append(" ".join(wait_for(mailbox, JobFinished).remarks))
    finally:
        worker.stop(timeout_seconds=PATIENCE_SECONDS)

    assert "tiles" not in remarks[0]
    for share, remark in zip((2, 4), remarks[1:], strict=True):
        assert "tiles" in remark and f"{given / share / 2**30:.1f} GiB of memory" in remark


def test_a_failed_job_leaves_the_process_to_the_next_one(worker, mailbox, make_job):
    pid = worker.pid
    worker.offer(make_job(1, data=b"Dear diary"))
    assert wait_for(mailbox, JobFailed).kind == "NotAPhotoError"
    worker.offer(make_job(2, steps=2))
    assert wait_for(mailbox, JobFinished).job_id == 2
    assert worker.pid == pid


def test_what_a_codec_says_of_a_photo_is_heard_and_reaches_no_terminal(worker, mailbox, make_job, capfd):
    """libtiff has a word for every damaged line of a fax."""
    fax = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 2, (64, 64)).astype(bool)).save(
        fax, "TIFF", compression="group4"
    )
    data = bytearray(fax.getvalue())
    data[100:150] = b"\xff" * 50
    worker.offer(make_job(data=bytes(data), steps=1))
    assert "Fax4Decode" in wait_for(mailbox, WorkerSaid).text
    assert capfd.readouterr().err == ""


def test_a_worker_that_crashes_leaves_no_core(worker):
    limits = Path(f"/proc/{worker.pid}/limits").read_text().splitlines()
    (cores,) = (line.split()[-3:] for line in limits if line.startswith("Max core file size"))
    assert cores == ["0", "0", "bytes"]


def test_a_stop_ends_the_process_in_the_middle_of_a_painting(worker, mailbox, make_job):
    worker.offer(make_job())
    wait_for(mailbox, JobStep)
    pid = worker.pid
    worker.stop(timeout_seconds=PATIENCE_SECONDS)

    assert not runs(pid)
    assert worker.pid is None


def test_a_process_that_hangs_is_stopped_by_force(worker, mailbox):
    pid = worker.pid
    os.kill(pid, signal.SIGSTOP)
    worker.stop(timeout_seconds=0.1)

    assert not runs(pid)
    assert mailbox.empty()


def test_ctrl_c_does_not_reach_the_painting(worker, mailbox, make_job):
    worker.offer(make_job(steps=300))
    wait_for(mailbox, JobStep)
    os.kill(worker.pid, signal.SIGINT)

    assert len(wait_for(mailbox, JobFinished).curve) == 300


def test_a_worker_is_started_once(worker):
    with pytest.raises(WorkerError, match="started before"):
        worker.start()


def test_a_job_before_the_start_is_refused(tiny_weights, mailbox, make_job):
    with pytest.raises(WorkerError, match="not started"):
        LocalWorker("cpu", tiny_weights, mailbox.put).offer(make_job())


@pytest.mark.parametrize(
    ("device", "source", "words"),
    [("cpu", "gone", "gone.safetensors"), ("toaster", "tiny", "no device 'toaster'")],
    ids=["weights", "device"],
)
def test_a_worker_that_cannot_begin_says_why(tiny_weights, tmp_path, mailbox, device, source, words):
    gone = WeightsFile("gone", tmp_path / "gone.safetensors", "0" * 64)
    worker = LocalWorker(device, gone if source == "gone" else tiny_weights, mailbox.put)
    worker.start()

    died = mailbox.get(timeout=PATIENCE_SECONDS)
    assert isinstance(died, WorkerDied) and words in died.reason
    worker.stop(timeout_seconds=PATIENCE_SECONDS)
    assert mailbox.empty()


ORPHANING = """
import sys, time
from pathlib import Path
from monet_watch.recipes import Recipe
from monet_watch.workers.base import JobStep, PaintJob, PictureFile, WeightsFile, WorkerReady
from monet_watch.workers.local import LocalWorker

weights, sha256, photo = sys.argv[1:]
picture = PictureFile("photo.png", Path(photo).read_bytes())
job = PaintJob(1, "identity", picture, (picture,), Recipe(image_size=32, steps=100_000, save_every=100_000), 10_000)

def post(event):
    if isinstance(event, WorkerReady):
        worker.offer(job)
    if isinstance(event, JobStep) and event.number == 1:
        print(worker.pid, flush=True)

if __name__ == "__main__":
    worker = LocalWorker("cpu", WeightsFile(weights, Path(weights), sha256), post, threads=1)
    worker.start()
    time.sleep(600)
"""

ORPHANING_IN_A_LONG_STEP = """
import multiprocessing, os, time
from monet_watch.workers.process import set_up_process

def child():
    set_up_process()
    print(os.getpid(), flush=True)
    time.sleep(600)

if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=child, daemon=True).start()
    time.sleep(600)
"""


@pytest.mark.parametrize("script", [ORPHANING, ORPHANING_IN_A_LONG_STEP], ids=["painting", "in a long step"])
def test_a_worker_ends_when_its_daemon_is_killed(script, tiny_weights, make_photo, tmp_path):
    (tmp_path / "photo.png").write_bytes(make_photo(32, 32))
    (tmp_path / "daemon.py").write_text(script)
    arguments = [str(tiny_weights.path), tiny_weights.sha256, str(tmp_path / "photo.png")]
    command = [sys.executable, str(tmp_path / "daemon.py"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as daemon:
        try:
            pid = int(daemon.stdout.readline())
            assert runs(pid)
        finally:
            daemon.kill()
        wait_until(lambda: not runs(pid))


def test_the_time_of_a_step_is_measured_in_a_process_of_its_own(tiny_weights):
    assert 0 < measured_step(tiny_weights, "cpu", threads=1, image_size=48) < 60


def test_a_step_that_cannot_be_measured_is_a_worker_s_error(tiny_weights):
    with pytest.raises(WorkerError, match="no device 'toaster'"):
        measured_step(tiny_weights, "toaster")
