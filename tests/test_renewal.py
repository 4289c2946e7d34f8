"""The config changes while the daemon runs: when its file is read again, and what is taken over."""

import os

import pytest

from monet_watch.config import Config, LogSettings, load_config
from monet_watch.errors import SettingsError, WeightsError
from monet_watch.renewal import RESTART_KEYS, WORKER_KEYS, ConfigFile, changes, file_mark
from monet_watch.settings import StyleSettings


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("settle_seconds: 1\n")
    return path


@pytest.fixture
def file(path, clock):
    return ConfigFile(load_config(path), file_mark(path), lambda: load_config(path), lambda config: None, clock)


def looks(file, clock):
    """What three looks see, a second apart."""
    seen = []
    for _ in range(3):
        clock.now += 1
        seen.append(file.has_changed())
    return seen


def test_a_file_that_nobody_touches_has_not_changed(file, clock):
    assert looks(file, clock) == [False] * 3


def test_a_written_file_is_read_when_it_rests(file, path, clock):
    path.write_text("settle_seconds: 2.5\n")
    assert looks(file, clock) == [False, True, True]
    renewal = file.renewal()
    assert (renewal.config.settle_seconds, renewal.changed) == (2.5, {"settle_seconds"})
    assert looks(file, clock) == [False] * 3


def test_what_is_written_after_it_was_read_and_before_anybody_looks_is_found(path, clock):
    """It takes a while until a config that was read is in force: workers have to save what they paint."""
    config, mark = load_config(path), file_mark(path)
    path.write_text("settle_seconds: 2.5\n")
    file = ConfigFile(config, mark, lambda: load_config(path), lambda config: None, clock)
    assert looks(file, clock) == [False, True, True]


def test_a_file_that_is_still_being_written_is_waited_for(file, path, clock):
    for number in range(5):
        path.write_text("settle_seconds: 1" + "0" * number + "\n")
        clock.now += 1
        assert not file.has_changed()
    clock.now += 1
    assert file.has_changed()


def test_between_two_looks_a_second_goes_by(file, path, clock):
    path.write_text("settle_seconds: 2.5\n")
    clock.now += 0.9
    assert not file.has_changed()
    clock.now += 0.2
    assert not file.has_changed()
    clock.now += 0.9
    assert not file.has_changed()


def test_a_file_that_is_replaced_by_another_of_the_same_size_and_time_has_changed(file, path, clock, tmp_path):
    status = path.stat()
    other = tmp_path / "other"
    other.write_text("settle_seconds: 9\n")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)
    assert looks(file, clock)[1]


def test_a_file_that_is_taken_away_changes_nothing_until_it_is_back(file, path, clock):
    path.unlink()
    assert looks(file, clock) == [False] * 3
    path.write_text("settle_seconds: 2.5\n")
    assert looks(file, clock)[1]


def test_without_a_file_nothing_ever_changes(clock):
    file = ConfigFile(Config(), None, Config, lambda config: None, clock)
    assert looks(file, clock) == [False] * 3
    assert file.renewal() is None


def test_the_same_values_in_other_words_change_nothing(file, path):
    path.write_text("# slower\nsettle_seconds: 1.0\n")
    assert file.renewal() is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("settle_secondz: 1\n", "did you mean 'settle_seconds'?"),
        ("settle_seconds: [\n", "config.yaml:"),
        ("inbox: elsewhere\n", "inbox cannot change while it runs; restart monet-watch"),
        ("outbox: elsewhere\nstate: there\n", "outbox, state cannot change while it runs"),
        ("log: {format: json}\n", "log.format cannot change while it runs"),
    ],
)
def test_what_cannot_be_used_is_refused_and_is_not_read_again_until_it_changes(file, path, clock, text, words):
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        file.renewal()
    assert words in caught.value.faults[0]
    assert looks(file, clock) == [False] * 3


def test_what_the_check_refuses_is_refused(path, clock):
    def check(config):
        raise WeightsError("They are not there.")

    file = ConfigFile(load_config(path), file_mark(path), lambda: load_config(path), check, clock)
    path.write_text("weights: torchvision\n")
    with pytest.raises(WeightsError):
        file.renewal()


def test_only_what_workers_are_made_of_asks_for_new_ones(file, path):
    path.write_text("settle_seconds: 1\nactive_hours: 22:00-07:00\ndefaults: {steps: 3}\n")
    assert not file.renewal().needs_new_workers
    path.write_text("settle_seconds: 1\nnice: 19\n")
    assert file.renewal().needs_new_workers


def test_the_keys_of_groups_are_told_with_their_groups():
    before = Config()
    after = Config(log=LogSettings(level="debug"), defaults=StyleSettings(steps=7))
    assert changes(before, after) == {"log.level", "defaults.steps"}
    assert changes(after, before) == {"log.level", "defaults.steps"}


def test_the_keys_that_are_named_exist():
    known = set(Config.model_fields) | {f"log.{key}" for key in LogSettings.model_fields}
    assert known >= RESTART_KEYS | WORKER_KEYS
