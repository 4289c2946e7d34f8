"""One daemon, running; each test drops something into a folder of its own and waits for what must come of it."""

import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.end_to_end.house import DaemonProcess, Home, Photos, program, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def daemon(home: Home) -> Iterator[DaemonProcess]:
    with home.daemon() as daemon:
        daemon.wait_for("worker-ready")
        yield daemon
    assert daemon.returncode == 0, daemon.log


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def copied_slowly(photo: Path, target: Path, daemon: DaemonProcess) -> None:
    """Write ``photo`` to ``target`` in pieces with pauses, as a slow network does."""
    target.parent.mkdir(parents=True, exist_ok=True)
    data = photo.read_bytes()
    with target.open("wb") as file:
        for start in range(0, len(data), len(data) // 12 + 1):
            file.write(data[start : start + len(data) // 12 + 1])
            file.flush()
            assert not list(daemon.told("queued", str(target.name)))
            time.sleep(0.1)  # half of settle_seconds: this is the slowness itself, not a wait for something


def test_a_photo_copied_slowly_is_painted_once_and_whole(home, daemon):
    name = "slow/coffee.png"
    copied_slowly(Photos.coffee, home.inbox / name, daemon)
    done = daemon.wait_for("done", name)
    assert done["details"]["folder"] == "slow/coffee"
    assert len(list(daemon.told("painting", name))) == 1
    assert (home.inbox / name).read_bytes() == Photos.coffee.read_bytes()
    record = home.record("slow/coffee")
    assert record.photo.sha256 == sha256(Photos.coffee)
    assert record.photo.size_bytes == Photos.coffee.stat().st_size


def test_the_record_is_complete_and_true(home, daemon):
    home.drop(Photos.rocket, "truth/rocket.jpg")
    daemon.wait_for("done", "truth/rocket.jpg")
    record, folder = home.record("truth/rocket"), home.outbox / "truth" / "rocket"
    assert record.photo.path == "truth/rocket.jpg"
    assert record.photo.sha256 == sha256(home.inbox / "truth" / "rocket.jpg")
    assert [(style.name, style.sha256) for style in record.styles] == [("style.png", sha256(Photos.cat))]
    assert (record.recipe.image_size, record.recipe.steps, record.recipe.save_every) == (64, 8, 4)
    assert record.weights.source == "oxford"
    assert (record.machine.device, record.machine.threads) == ("cpu", 1)
    assert {"monet-watch", "python", "torch"} <= record.machine.versions.keys()
    assert record.times.queued <= record.times.started <= record.times.finished
    assert (record.times.attempts, record.copied_from) == (1, None)
    assert set(record.origins) >= {"image_size", "steps", "style", "style_weight"}
    assert [len(curve) for curve in vars(record.curve).values()] == [8] * 4
    assert record.stages == ("progress_0004.png", "progress_0008.png")
    present = {path.name for path in folder.iterdir()}
    assert present == {"rocket.png", "loss.png", "photo.webp", "painting.json", *record.stages} | (
        present & {"index.html"}
    )


@pytest.fixture(scope="module")
def longer(home: Home, daemon: DaemonProcess) -> str:
    """The folder of a painting of more steps than the others have."""
    home.write("longer/style.yaml", "steps: 30\n")
    home.drop(Photos.coffee, "longer/coffee.png")
    daemon.wait_for("done", "longer/coffee.png")
    return "longer/coffee"


def test_from_its_record_a_painting_is_painted_again_to_the_same_bytes(home, longer, tmp_path):
    """By a process of its own, which gets the photo, the style, and what the record says of settings and threads."""
    record = home.record(longer)
    settings = [f"--set={key}={json.dumps(value)}" for key, value in record.recipe.model_dump(mode="json").items()]
    (tmp_path / "config.yaml").write_text(f"threads: {record.machine.threads}\nweights: {record.weights.source}\n")
    options = ("--config", tmp_path / "config.yaml", "--style", home.inbox / "style.png", "-o", tmp_path / "again")
    answer = program("paint", home.inbox / record.photo.path, *options, *settings)
    assert answer.returncode == 0, answer.stderr
    again, before = tmp_path / "again" / "coffee", home.outbox / longer
    for name in (record.painting, *record.stages):
        assert (again / name).read_bytes() == (before / name).read_bytes()
    facts = [json.loads((folder / "painting.json").read_text(encoding="utf-8")) for folder in (again, before)]
    assert facts[0]["identity"] == facts[1]["identity"]
    assert facts[0]["curve"] == facts[1]["curve"]


def test_the_losses_fall_and_add_up(home, daemon, longer):
    record = home.record(longer)
    curve = record.curve
    assert curve.total[-1] < 0.5 * curve.total[0]
    assert curve.total == pytest.approx(np.sum([curve.style, curve.content, curve.tv], axis=0), rel=1e-5)
    assert record.losses.total == curve.total[-1]
    assert 0 < record.delivered.total < curve.total[0]
    told = [event["details"]["loss"] for event in daemon.told("step", "longer/coffee.png")]
    assert told == pytest.approx(curve.total)


def test_the_painting_differs_from_the_photo_and_keeps_its_shape_and_structure(home, longer):
    record = home.record(longer)
    with Image.open(home.outbox / longer / "coffee.png") as painting, Image.open(Photos.coffee) as photo:
        assert painting.size == (record.width, record.height) == (96, 64)  # 600 × 400, the short side at 64
        painted = np.asarray(painting.convert("RGB"), dtype=float)
        small = np.asarray(photo.convert("RGB").resize(painting.size), dtype=float)
    assert np.abs(painted - small).mean() > 3
    assert np.corrcoef(painted.mean(axis=2).ravel(), small.mean(axis=2).ravel())[0, 1] > 0.7


def test_every_picture_is_a_whole_png_in_srgb_that_says_what_it_is(home, daemon):
    home.drop(Photos.astronaut, "pictures/astronaut.png")
    daemon.wait_for("done", "pictures/astronaut.png")
    folder, record = home.outbox / "pictures" / "astronaut", home.record("pictures/astronaut")
    for name in (record.painting, *record.stages):
        with Image.open(folder / name) as picture:
            picture.load()
            assert picture.format == "PNG"
            profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
            assert "sRGB" in ImageCms.getProfileDescription(profile)
            assert picture.text["Recipe"] == "swift"
            assert picture.text["Identity"] == record.identity
            assert picture.text["Software"].startswith("monet-watch")
    with Image.open(folder / "loss.png") as plot:
        plot.load()
        assert min(plot.size) >= 300
        assert len(plot.convert("RGB").getcolors(plot.width * plot.height)) > 20


def test_touching_a_painted_photo_paints_nothing(home, daemon):
    photo = home.drop(Photos.coffee, "touched/coffee.png")
    daemon.wait_for("done" if not list(daemon.told("done", "slow/coffee.png")) else "copied", "touched/coffee.png")
    before, since = home.snapshot("touched"), len(daemon.events)
    os.utime(photo)
    home.drop(Photos.coffee, "touched/after/coffee.png")
    daemon.wait_for("copied", "touched/after/coffee.png", since)  # by then the touch, too, has been seen to
    wait_until(lambda: known_time(home, "touched/coffee.png") == photo.stat().st_mtime_ns, "the touch in the ledger")
    assert not list(daemon.told("painting", "touched/coffee.png", since))
    assert {path: before[path] for path in before} == {path: home.snapshot("touched")[path] for path in before}


def known_time(home: Home, photo: str) -> int:
    with home.ledger() as ledger:
        return max(job.mtime_ns for job in ledger.known(Path(photo)))  # type: ignore[arg-type]


def test_a_copy_and_a_renamed_photo_get_their_painting_without_a_step(home, daemon):
    home.drop(Photos.rocket, "copies/first.jpg")
    wait_until(lambda: "copies/first" in home.records(), daemon.log)
    since = len(daemon.events)
    home.drop(Photos.rocket, "copies/second.jpg")
    daemon.wait_for("copied", "copies/second.jpg", since)
    (home.inbox / "copies" / "second.jpg").rename(home.inbox / "copies" / "third.jpg")
    daemon.wait_for("copied", "copies/third.jpg", since)
    assert not list(daemon.told("painting", since=since))
    first, third = home.outbox / "copies" / "first", home.outbox / "copies" / "third"
    assert (third / "third.png").read_bytes() == (first / "first.png").read_bytes()
    assert home.record("copies/third").photo.path == "copies/third.jpg"
    assert home.record("copies/third").copied_from is not None
    assert {path.name for path in third.iterdir()} >= {"third.png", "loss.png", *home.record("copies/third").stages}


def test_a_changed_setting_paints_a_second_one_beside_the_first(home, daemon):
    home.drop(Photos.flower, "settings/flower.jpg")
    wait_until(lambda: home.records("settings") == ["settings/flower"], daemon.log)
    before = home.snapshot("settings/flower")
    home.write("settings/style.yaml", "steps: 6\n")
    wait_until(lambda: len(home.records("settings")) == 2, f"a second painting\n{daemon.log}")
    first, second = home.records("settings")
    assert home.snapshot("settings/flower") == before
    record = home.record(second)
    assert second == f"{first}-{record.identity[:6]}"
    assert (record.recipe.steps, record.origins["steps"]) == (6, "settings/style.yaml:1")
    assert record.photo.sha256 == home.record(first).photo.sha256
    assert record.identity != home.record(first).identity


def test_another_artists_picture_paints_a_second_one_too(home, daemon):
    home.drop(Photos.coffee, "artist/coffee.png")
    wait_until(lambda: home.records("artist") == ["artist/coffee"], daemon.log)
    before = home.snapshot("artist/coffee")
    shutil.copyfile(Photos.china, home.inbox / "artist" / "style.jpg")
    wait_until(lambda: len(home.records("artist")) == 2, f"a second painting\n{daemon.log}")
    first, second = (home.record(folder) for folder in home.records("artist"))
    assert home.snapshot("artist/coffee") == before
    assert [style.sha256 for style in second.styles] == [sha256(Photos.china)]
    assert [style.sha256 for style in first.styles] == [sha256(Photos.cat)]


def test_a_truncated_photo_gets_a_report_and_the_whole_one_a_painting(home, daemon):
    data = Photos.rocket.read_bytes()
    home.write("damaged/rocket.jpg", data[: len(data) // 2])
    report = home.outbox / "damaged" / "rocket.jpg.problem.txt"
    wait_until(report.exists, f"a report\n{daemon.log}")
    assert_says_why(report, "rocket.jpg", "damaged/rocket.jpg")
    assert not home.records("damaged")
    home.drop(Photos.rocket, "damaged/rocket.jpg")
    wait_until(lambda: home.records("damaged") == ["damaged/rocket"], f"a painting\n{daemon.log}")
    assert not report.exists()


def test_a_text_called_a_photo_gets_a_report_and_a_photo_in_its_place_a_painting(home, daemon):
    home.write("text/letter.jpg", "Dear Claude, the garden is in flower.\n")
    report = home.outbox / "text" / "letter.jpg.problem.txt"
    wait_until(report.exists, f"a report\n{daemon.log}")
    assert_says_why(report, "letter.jpg", "text/letter.jpg")
    assert daemon.wait_for("problem", "text/letter.jpg")["level"] == "error"
    home.drop(Photos.china, "text/letter.jpg")
    wait_until(lambda: home.records("text") == ["text/letter"], f"a painting\n{daemon.log}")
    assert not report.exists()


def assert_says_why(report: Path, *names: str) -> None:
    """The report names the file, the reason and the remedy."""
    text = report.read_text(encoding="utf-8")
    assert any(name in text for name in names)
    reason, remedy = text.partition("Why:")[2].partition("What to do:")[::2]
    assert len(reason.split()) > 3
    assert len(remedy.split()) > 1


def test_broken_settings_hold_their_own_folder_until_they_are_mended(home, daemon):
    home.write("broken/style.yaml", "stepz: 5\n")
    report = home.outbox / "broken" / "style.yaml.problem.txt"
    wait_until(report.exists, f"a report on the settings\n{daemon.log}")
    assert "broken/style.yaml:1:1: stepz" in report.read_text(encoding="utf-8")
    assert "did you mean 'steps'?" in report.read_text(encoding="utf-8")
    home.drop(Photos.rocket, "broken/rocket.jpg")
    wait_until(lambda: any(e["level"] == "warning" for e in daemon.told("waiting", "broken/rocket.jpg")), daemon.log)
    home.drop(Photos.rocket, "broken-not/rocket.jpg")
    wait_until(lambda: home.records("broken-not") == ["broken-not/rocket"], daemon.log)
    assert not home.records("broken")
    home.write("broken/style.yaml", "steps: 5\n")
    wait_until(lambda: home.records("broken") == ["broken/rocket"], f"a painting\n{daemon.log}")
    assert home.record("broken/rocket").recipe.steps == 5
    assert not report.exists()


def test_status_tells_what_is_done_and_what_has_a_problem_while_it_runs(home, daemon):
    home.drop(Photos.rocket, "status/rocket.jpg")
    home.write("status/no-photo.jpg", "no photo\n")
    wait_until(lambda: "status/rocket" in home.records(), daemon.log)
    daemon.wait_for("problem", "status/no-photo.jpg")
    answer = program("status", "--config", home.config, "--json")
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert told["daemon_running"] is True
    assert "status/no-photo.jpg" in json.dumps(told["problems"])
    shown = program("status", "--config", home.config)
    assert shown.returncode == 0
    assert "The daemon is running." in shown.stdout


def test_the_daemon_stays_small(daemon):
    """Torch is mapped into the worker only; the daemon holds less than a quarter of what torch alone takes."""
    if not Path("/proc/self/maps").exists():
        pytest.skip("reads Linux's /proc")
    assert "libtorch" in Path(f"/proc/{daemon.worker()}/maps").read_text()
    assert "libtorch" not in Path(f"/proc/{daemon.pid}/maps").read_text()
    resident = Path(f"/proc/{daemon.pid}/status").read_text().partition("VmRSS:")[2].split()[0]
    assert int(resident) < 120_000  # KiB


def test_a_second_daemon_on_the_same_state_is_refused(home, daemon):
    second = program("run", "--config", home.config, "--once")
    assert second.returncode == 1
    assert str(daemon.pid) in second.stderr
    assert "Another monet-watch" in second.stderr


def test_no_photo_was_painted_in_vain(home, daemon):
    """After all of this: one painting for each photo and identity, and no temporary file anywhere."""
    with home.ledger() as ledger:
        overview = ledger.overview(recent=1000)
    folders = [str(job.folder) for job in overview.done]
    assert sorted(folders) == home.records()
    assert len(list(daemon.told("painting"))) <= len(folders) + 4  # a truncated photo may begin
    assert not [path for path in home.outbox.rglob("*") if path.suffix == ".tmp"]
