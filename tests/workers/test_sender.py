"""Events leave in their order, without holding up whoever paints; what goes wrong on the way is heard of."""

import contextlib
import multiprocessing
import threading

import pytest

from monet_watch.workers.base import JobCheckpoint, JobStopped
from monet_watch.workers.sender import Sender

PATIENCE_SECONDS = 60
MORE_THAN_A_PIPE_HOLDS = bytes(8_000_000)


@pytest.fixture
def pipe():
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        yield ours, theirs


def test_whoever_sends_goes_on_while_nobody_reads(pipe):
    """A pipe that is full would hold up this very thread, which only reads afterwards."""
    ours, theirs = pipe
    checkpoint = JobCheckpoint(1, 5, MORE_THAN_A_PIPE_HOLDS)
    with contextlib.ExitStack() as stack:
        sender = stack.enter_context(Sender(theirs))
        sender.send(checkpoint)
        sender.send(JobStopped(1))
        received = [ours.recv(), ours.recv()]

    assert received == [checkpoint, JobStopped(1)]


def test_events_come_in_order_whether_or_not_they_were_made_late(pipe):
    ours, theirs = pipe
    events = [JobCheckpoint(1, number, b"x" * number) for number in range(40)]
    received = []
    reader = threading.Thread(target=lambda: received.extend(ours.recv() for _ in events))
    reader.start()
    with Sender(theirs) as sender:
        for event in events:
            sender.send(event if event.number % 2 else (lambda event=event: event))
    reader.join(PATIENCE_SECONDS)

    assert received == events


def test_the_end_waits_until_everything_has_been_sent(pipe):
    ours, theirs = pipe
    with Sender(theirs) as sender:
        for number in range(4):
            sender.send(JobStopped(number))

    assert [ours.recv() for _ in range(4) if ours.poll()] == [JobStopped(number) for number in range(4)]


def test_the_end_of_the_pipe_is_heard_of_where_the_events_come_from(pipe):
    ours, theirs = pipe
    ours.close()

    with pytest.raises(OSError), Sender(theirs) as sender:
        while True:
            sender.send(JobStopped(1))


@pytest.mark.parametrize("error", [MemoryError, RuntimeError("no room for a copy")])
def test_an_event_that_cannot_be_made_is_left_out_and_the_others_follow(pipe, error):
    ours, theirs = pipe

    def make():
        raise error

    with Sender(theirs) as sender:
        for event in (JobStopped(1), make, JobStopped(2)):
            sender.send(event)

    assert [ours.recv(), ours.recv()] == [JobStopped(1), JobStopped(2)]
    assert not ours.poll()


def test_an_event_that_must_not_be_missed_and_cannot_be_sent_is_heard_of_and_none_follows(pipe):
    ours, theirs = pipe
    not_to_be_pickled = JobStopped(threading.Lock())

    with pytest.raises(TypeError, match="pickle"), Sender(theirs) as sender:
        for event in (not_to_be_pickled, JobStopped(1), JobStopped(2), JobStopped(3), JobStopped(4), JobStopped(5)):
            sender.send(event)
    assert not ours.poll()


def test_an_error_of_the_painting_s_own_goes_before_one_of_the_pipe_s(pipe):
    ours, theirs = pipe
    ours.close()

    with pytest.raises(ZeroDivisionError), Sender(theirs) as sender:
        sender.send(JobStopped(1))
        raise ZeroDivisionError
