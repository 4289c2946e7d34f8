"""The file of metrics says how things stand, in Prometheus' own format, from the ledger."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monet_watch import __version__, metrics
from monet_watch.clerk import Office
from monet_watch.config import load_config
from monet_watch.errors import SettingsError
from monet_watch.metrics import Metrics, faults_of_metrics
from monet_watch.notices import Notice
from monet_watch.reports import require_reports
from tests.end_to_end.house import wait_until
from tests.painted_house import painted_house
from tests.rehearsal import Rehearsal

Samples = dict[tuple[str, str], float]


def samples(path: Path) -> Samples:
    """Every value by the metric's name, without what all have in common, and its label's value."""
    families = text_string_to_metric_families(path.read_text(encoding="utf-8"))
    found = (sample for family in families for sample in family.samples)
    return {(each.name.removeprefix("monet_watch_"), "".join(each.labels.values())): each.value for each in found}


def values(path: Path, name: str) -> dict[str, float]:
    return {label: value for (metric, label), value in samples(path).items() if metric == name}


class Writer:
    """The metrics of a house, in the file ``path``; what they tell is in ``told``."""

    def __init__(self, house: Rehearsal, path: Path | None) -> None:
        self.told: list[Notice] = []
        config = load_config(None, {"inbox": house.inbox, "outbox": house.outbox, "metrics_file": path})
        self.office = Office(config, house.folder / "ledger.sqlite3", self.told.append)
        self.metrics = Metrics(self.office, house.time_of_day)

    def finish(self) -> None:
        self.metrics.end()
        wait_until(lambda: self.metrics.ended, "the end of the metrics")


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "monet-watch.prom"


@pytest.fixture
def painted(tmp_path) -> Iterator[Rehearsal]:
    with painted_house(tmp_path / "house") as house:
        yield house


def test_photos_are_counted_by_how_they_are_and_problems_by_kind(painted, file):
    writer = Writer(painted, file)
    wait_until(file.exists, "the file")
    assert values(file, "photos") == {"waiting": 1, "queued": 0, "running": 0, "done": 3, "problem": 1}
    assert values(file, "problems") == {"PhotoTooLargeError": 1}
    assert values(file, "build_info") == {__version__: 1}
    (job,) = painted.jobs("bad/c.jpg")
    assert values(file, "oldest_waiting_seconds") == {"": painted.time_of_day() - job.seen_at}
    assert values(file, "last_scan_timestamp_seconds")[""] > 0
    assert (values(file, "resting"), values(file, "trouble")) == ({"": 0}, {"": 0})
    writer.finish()


def test_at_the_end_it_says_that_the_daemon_does_not_run(painted, file):
    writer = Writer(painted, file)
    wait_until(file.exists, "the file")
    assert values(file, "up") == {"": 1}
    writer.finish()
    assert values(file, "up") == {"": 0}
    assert set(values(file, "watcher_mode").values()) == {0}
    assert [path.name for path in file.parent.iterdir() if path.is_file()] == [file.name], (
        "nothing half-written is left"
    )


def test_a_painting_under_way_tells_what_its_steps_take_and_how_the_inbox_is_watched(tmp_path, file):
    with Rehearsal(tmp_path / "house", automatic=False) as house:
        house.worker.ready()
        house.drop("a.jpg")
        house.drop("b.jpg", b"another")
        house.rest()
        house.worker.begin()
        house.worker.step()
        house.turn()
        writer = Writer(house, file)
        wait_until(file.exists, "the file")
        (running,) = house.ledger.running()
        assert running.seconds_per_step is not None
        assert values(file, "seconds_per_step") == {running.worker: running.seconds_per_step}
        assert values(file, "photos") == {"waiting": 0, "queued": 1, "running": 1, "done": 0, "problem": 0}
        modes = values(file, "watcher_mode")
        assert [mode for mode, value in modes.items() if value] == [house.watches[-1].mode]
        assert set(modes) == {"events", "polling", "events and polling", "scans"}
        writer.finish()


def test_it_is_written_again_and_again(painted, file, monkeypatch):
    monkeypatch.setattr(metrics, "WRITE_SECONDS", 0.01)
    writer = Writer(painted, file)
    wait_until(file.exists, "the file")
    painted.ledger.wait(next(iter(painted.jobs("b.jpg"))).path.with_name("new.jpg"), size=1, mtime_ns=1, reason="new")
    wait_until(lambda: values(file, "photos")["waiting"] == 2, "another photo in the file")
    writer.finish()


def test_a_file_that_cannot_be_written_is_told_once_and_nothing_else_suffers(painted, tmp_path):
    blocked = tmp_path / "blocked.prom"
    blocked.mkdir()
    writer = Writer(painted, blocked)
    wait_until(lambda: bool(writer.told), "a word of it")
    writer.finish()
    assert [(notice.event, str(notice.level)) for notice in writer.told] == [("problem", "warning")]
    assert "metrics file" in writer.told[0].text
    assert not list(blocked.iterdir())


def test_another_place_in_the_config_leaves_nothing_at_the_first(painted, file):
    writer = Writer(painted, file)
    wait_until(file.exists, "the file")
    other = file.with_name("other.prom")
    writer.office.config = writer.office.config.model_copy(update={"metrics_file": other})
    writer.metrics.take_over()
    wait_until(other.exists, "the other file")
    writer.finish()
    assert not file.exists()


def test_without_the_setting_no_thread_begins(painted):
    assert Writer(painted, None).metrics.ended


def test_without_the_extra_or_the_folder_it_is_said_what_to_do(tmp_path, monkeypatch):
    config = load_config(None, {"metrics_file": tmp_path / "nowhere" / "m.prom"})
    with pytest.raises(SettingsError, match=r"there is no folder .*nowhere; make it"):
        require_reports(config)
    monkeypatch.setattr(metrics, "find_spec", lambda name: None)
    (fault,) = faults_of_metrics(tmp_path / "m.prom")
    assert "pip install 'monet-watch[metrics]'" in fault
    assert list(faults_of_metrics(None)) == []
