"""What passes by itself, and how long is waited for it."""

import errno
import os

import pytest

from monet_watch.errors import (
    LedgerError,
    LedgerUnavailableError,
    NotAPhotoError,
    OutboxError,
    PaintingError,
    PhotoTooLargeError,
    SettingsError,
    WeightsError,
    WorkerError,
)
from monet_watch.inbox.survey import InboxGoneError
from monet_watch.troubles import passes, pause


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    "error",
    [
        OutboxError("full"),
        InboxGoneError("away"),
        WorkerError("dead"),
        LedgerUnavailableError("full"),
        MemoryError(),
        *map(os_error, (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES, errno.EROFS, errno.ESTALE, errno.EMFILE)),
    ],
    ids=repr,
)
def test_what_is_wrong_with_the_machine_passes(error):
    assert passes(error)


@pytest.mark.parametrize(
    "error",
    [
        NotAPhotoError("text"),
        PhotoTooLargeError("bomb"),
        SettingsError("steps"),
        PaintingError("not finite"),
        WeightsError("damaged"),
        LedgerError("damaged"),
        OSError("broken data stream when reading image file"),  # Pillow's way to say that a picture is damaged
        os_error(errno.ENAMETOOLONG),
        ZeroDivisionError(),
    ],
    ids=repr,
)
def test_what_is_wrong_with_a_photo_or_its_settings_lasts(error):
    assert not passes(error)


def test_pauses_double_from_half_a_minute_to_an_hour():
    assert [pause(times) for times in range(1, 10)] == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert pause(10_000) == 3600
    assert [pause(times, first_seconds=1.0) for times in (1, 2, 3)] == [1, 2, 4]
