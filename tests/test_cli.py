"""The command line, in this process: what it prints, and with which code it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from typer.testing import CliRunner

from monet_watch import __version__
from monet_watch.cli import EXIT_INTERRUPTED, EXIT_PROBLEM, EXIT_SETTINGS, app
from monet_watch.ledger import LEDGER_NAME, Ledger, WorkerState
from monet_watch.service import single_instance
from monet_watch.workers.memory import tiny_png
from tests.outbox.gallery.exhibits import hang, record_of
from tests.painted_house import painted_house

FULL = Path("/dev/full")
WIDE = {"COLUMNS": "160", "NO_COLOR": "1"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A house that never ran, in the working directory."""
    (tmp_path / "inbox" / "trip" / "day 1").mkdir(parents=True)
    (tmp_path / "inbox" / "style.png").write_bytes(tiny_png())
    (tmp_path / "config.yaml").write_text("inbox: inbox\noutbox: outbox\nstate: state\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    return tmp_path


def call(*arguments: str):
    return CliRunner().invoke(app, arguments, env=WIDE)


def test_the_version_is_told():
    answer = call("--version")
    assert (answer.exit_code, answer.output) == (0, f"monet-watch {__version__}\n")


def test_without_a_command_it_shows_its_help():
    answer = call()
    assert "monet-watch demo" in answer.output
    assert "Exit codes" in answer.output


@pytest.mark.parametrize(
    "arguments", [("paintt",), ("run", "--onze"), ("run", "--console", "loud"), ("demo", "--size", "5")]
)
def test_wrong_options_end_with_two(arguments):
    assert call(*arguments).exit_code == EXIT_SETTINGS


def test_status_counts_and_says_whether_the_daemon_runs(folder):
    (folder / "state").mkdir()
    with Ledger.open(folder / "state" / LEDGER_NAME) as ledger:
        ledger.wait(PurePosixPath("a.jpg"), size=1, mtime_ns=1, reason="It was seen.")
        answer = call("status", "--config", "config.yaml", "--json")
        assert answer.exit_code == 0, answer.output
        assert json.loads(answer.stdout)["daemon_running"] is False
        assert json.loads(answer.stdout)["counts"]["waiting"] == 1
        assert "The daemon is not running." in call("status", "--config", "config.yaml").stdout
        with single_instance(folder / "state"):
            assert json.loads(call("status", "--config", "config.yaml", "--json").stdout)["daemon_running"] is True
            assert "The daemon is running." in call("status", "--config", "config.yaml").stdout
        assert "The daemon is not running." in call("status", "--config", "config.yaml").stdout


def test_status_tells_of_workers_while_the_daemon_that_noted_them_runs(folder):
    (folder / "state").mkdir()
    with Ledger.open(folder / "state" / LEDGER_NAME) as ledger:
        ledger.note_workers([WorkerState("cuda:1", "idle", painted=7)])
        killed = json.loads(call("status", "--config", "config.yaml", "--json").stdout)
        assert killed["workers"] == []
        with single_instance(folder / "state"):
            (worker,) = json.loads(call("status", "--config", "config.yaml", "--json").stdout)["workers"]
            assert (worker["device"], worker["painted"]) == ("cuda:1", 7)
            assert "cuda:1  idle  7 painted" in call("status", "--config", "config.yaml").stdout


def test_a_config_may_come_from_the_environment(folder):
    (folder / "config.yaml").write_text("inbix: inbox\n")
    answer = CliRunner().invoke(app, ["check"], env={**WIDE, "MONET_WATCH_CONFIG": "config.yaml"})
    assert answer.exit_code == EXIT_SETTINGS
    assert "did you mean 'inbox'?" in answer.stderr


def test_all_faults_of_a_config_are_told_at_once_with_their_places(folder):
    (folder / "config.yaml").write_text("inbix: inbox\nsettle_seconds: soon\nafter: burn\n")
    answer = call("run", "--config", "config.yaml", "--once")
    assert answer.exit_code == EXIT_SETTINGS
    for line, word in ((1, "inbix"), (2, "settle_seconds"), (3, "after")):
        assert any(each.startswith(f"config.yaml:{line}:") and word in each for each in answer.stderr.splitlines())


def test_check_takes_a_folder_as_a_path_or_as_the_inbox_has_it(folder):
    for name in ("trip/day 1", "inbox/trip/day 1", str(folder / "inbox" / "trip" / "day 1")):
        answer = call("check", "--config", "config.yaml", name)
        assert answer.exit_code == 0, answer.output
        assert "Settings of trip/day 1" in answer.stdout


@pytest.mark.parametrize("name", ["trap", "..", "/etc"])
def test_check_refuses_what_is_no_folder_of_the_inbox(folder, name):
    answer = call("check", "--config", "config.yaml", name)
    assert answer.exit_code == EXIT_SETTINGS
    assert "is no folder of the inbox" in answer.stderr


def test_check_tells_of_a_style_picture_that_is_empty(folder):
    (folder / "inbox" / "trip" / "style.png").touch()
    answer = call("check", "--config", "config.yaml")
    assert answer.exit_code == EXIT_SETTINGS
    assert answer.stderr.startswith("trip/style.png: it is empty")


def test_check_shows_every_setting_and_the_style(folder):
    rows = {
        line.split()[0]: line for line in call("check", "--config", "config.yaml").stdout.splitlines() if line.strip()
    }
    assert {"image_size", "steps", "style", "style_layers", "lr", "save_every", "seed"} <= rows.keys()
    assert "style.png" in rows["style"]
    assert "conv1_1, conv2_1, conv3_1, conv4_1, conv5_1" in rows["style_layers"]
    assert "recipe swift" in rows["lr"]


def test_names_of_files_cannot_steer_the_terminal(folder):
    evil = folder / "inbox" / "\x1b[2Jred"
    evil.mkdir()
    (evil / "style.yaml").write_text("stepz: 1\n")
    answer = call("check", "--config", "config.yaml")
    assert answer.exit_code == EXIT_SETTINGS
    assert "\x1b" not in answer.stderr
    assert "\\x1b[2Jred/style.yaml:1:1" in answer.stderr


def test_ctrl_c_ends_with_the_code_that_shells_know(folder, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("monet_watch.config.load_config", interrupted)
    assert call("check").exit_code == EXIT_INTERRUPTED


@pytest.mark.parametrize("option", ["--photo", "--style"])
def test_the_demonstration_wants_pictures_that_are_there(folder, option):
    answer = call("demo", option, "missing.jpg")
    assert answer.exit_code == EXIT_SETTINGS
    assert "missing.jpg is no file" in answer.stderr
    assert not (folder / "monet-demo").exists()


def test_paint_wants_a_photo_that_is_there(folder):
    answer = call("paint", "missing.jpg", "--style", "inbox/style.png")
    assert answer.exit_code == EXIT_PROBLEM
    assert "missing.jpg is no file" in answer.stderr


def test_weights_says_where_they_lie(folder):
    answer = call("weights", "--config", "config.yaml")
    assert answer.exit_code == 0, answer.output
    assert str(folder / "state" / "weights") in answer.stdout.replace("\n", "")


def test_an_inbox_that_cannot_be_made_is_told_without_a_traceback(folder):
    (folder / "file").write_text("no folder")
    answer = call("run", "--inbox", "file/in", "--outbox", "out", "--once")
    assert answer.exit_code == EXIT_SETTINGS
    assert "inbox: the folder" in answer.stderr
    assert "name another one" in answer.stderr


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a device that is always full")
def test_what_the_system_refuses_is_told_without_a_traceback(folder):
    command = [sys.executable, "-m", "monet_watch", "check"]
    for unbuffered in ("", "1"):
        environ = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        with FULL.open("w") as full:
            status = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environ)
        assert status.returncode == EXIT_PROBLEM
        assert status.stderr.count(b"No space left") == 1
        assert b"Traceback" not in status.stderr


def test_closed_standard_streams_are_no_obstacle(folder):
    command = f"exec {sys.executable} -m monet_watch run --config config.yaml --once <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", command]).returncode == 0


def test_a_locale_that_cannot_hold_every_name_is_refused(folder):
    environ = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    answer = subprocess.run(
        [sys.executable, "-m", "monet_watch", "status"], env=environ, capture_output=True, text=True
    )
    assert answer.returncode == EXIT_PROBLEM
    assert "PYTHONUTF8=1" in answer.stderr


def test_a_place_that_cannot_be_made_is_told_before_the_painting(folder):
    (folder / "file").write_text("no folder")
    (folder / "cat.png").write_bytes(tiny_png())
    answer = call("paint", "cat.png", "--out", "file/painted", "--set", "steps=1")
    assert answer.exit_code == EXIT_PROBLEM
    assert "cannot be made" in answer.stderr
    assert "being painted" not in answer.output


@pytest.mark.parametrize(
    ("command", "default"),
    [("run", "./inbox"), ("status", "./outbox"), ("check", "the inbox itself"), ("demo", "a bundled one")],
)
def test_help_tells_what_holds_where_an_option_is_not_given(command, default):
    assert f"[default: ({default})]" in call(command, "--help").output


def test_retry_and_forget_want_to_know_which_photos(folder):
    for arguments in (("retry",), ("retry", "--all", "a.jpg"), ("forget",)):
        answer = call(*arguments, "--config", "config.yaml")
        assert answer.exit_code == EXIT_SETTINGS
        assert "Name the photos" in answer.stderr


def test_a_photo_that_is_not_known_is_refused_with_the_nearest_name(folder):
    (folder / "state").mkdir()
    with Ledger.open(folder / "state" / LEDGER_NAME) as ledger:
        ledger.wait(PurePosixPath("trip/IMG_0417.jpg"), size=1, mtime_ns=1, reason="It was seen.")
    for command in ("retry", "forget"):
        answer = call(command, "trip/IMG_417.jpg", "--config", "config.yaml")
        assert answer.exit_code == EXIT_SETTINGS
        assert "did you mean trip/IMG_0417.jpg?" in answer.stderr


def test_a_name_that_is_no_utf8_is_forgotten_like_any_other(folder):
    name = os.fsdecode(b"caf\xe9\x1b.jpg")
    (folder / "state").mkdir()
    with Ledger.open(folder / "state" / LEDGER_NAME) as ledger:
        ledger.wait(PurePosixPath(name), size=1, mtime_ns=1, reason="It was seen.")
    answer = call("forget", name, "--config", "config.yaml")
    assert answer.exit_code == 0, answer.output
    assert "is forgotten" in answer.stdout
    assert "\x1b" not in answer.stdout
    with Ledger.open_read_only(folder / "state" / LEDGER_NAME) as ledger:
        assert ledger.known(PurePosixPath(name)) == ()


def test_pause_and_resume_say_what_happens(folder):
    answer = call("pause", "--config", "config.yaml")
    assert (answer.exit_code, answer.stdout.startswith("Paused")) == (0, True), answer.output
    assert call("resume", "--config", "config.yaml").stdout.startswith("Resumed")


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    """A house with paintings, as the commands find it."""
    folder = tmp_path_factory.mktemp("painted")
    with painted_house(folder):
        pass
    (folder / "config.yaml").write_text("inbox: inbox\noutbox: outbox\nstate: state\n")
    (folder / "state").mkdir()
    (folder / LEDGER_NAME).rename(folder / "state" / LEDGER_NAME)
    return folder


def test_list_takes_states_a_folder_and_a_time(painted, monkeypatch):
    monkeypatch.chdir(painted)

    def listed(*arguments):
        answer = call("list", "--config", "config.yaml", "--json", *arguments)
        assert answer.exit_code == 0, answer.output
        return {each["photo"] for each in json.loads(answer.stdout)}

    assert listed() == {"trip/a.jpg", "b.jpg", "trip/huge.jpg", "bad/c.jpg"}
    assert listed("--state", "problem", "--state", "waiting") == {"trip/huge.jpg", "bad/c.jpg"}
    assert (
        listed("--folder", "trip") == listed("--folder", str(painted / "inbox/trip")) == {"trip/a.jpg", "trip/huge.jpg"}
    )
    assert listed("--since", "2100-01-01") == set()
    assert call("list", "--config", "config.yaml", "--since", "2100-01-01").stdout == "There are none.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("list", "--state", "finished"), "name one of waiting"),
        (("list", "--since", "soon"), "write how long ago"),
        (("list", "--folder", "trap"), "is no folder of the inbox"),
        (("show", "trip/aa.jpg"), "did you mean trip/a.jpg?"),
        (("compare", "b.jpg", "trip/aa.jpg"), "did you mean trip/a.jpg?"),
        (("open", "trip/aa.jpg"), "did you mean trip/a.jpg?"),
    ],
)
def test_what_commands_do_not_understand_they_refuse_with_what_could_be_meant(painted, monkeypatch, arguments, words):
    monkeypatch.chdir(painted)
    answer = call(*arguments, "--config", "config.yaml")
    assert answer.exit_code == EXIT_SETTINGS
    assert words in answer.stderr


def test_show_compare_and_open_take_what_a_shell_completes(painted, monkeypatch):
    monkeypatch.chdir(painted / "outbox")
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    config = ("--config", "../config.yaml")
    assert "took        4 steps" in call("show", "trip/a/", *config).stdout
    assert json.loads(call("show", "b/b.png", "--json", *config).stdout)["photo"] == "b.jpg"
    assert "≠" in call("compare", "trip/a", "../inbox/trip/a.jpg", *config).stdout
    assert json.loads(call("compare", "b", "trip/a", "--json", *config).stdout)["made of"]["photo"]["differs"]
    assert call("open", "b", *config).stdout == f"{painted / 'outbox/b/b.png'}\n"
    assert call("open", *config).stdout == f"{painted / 'outbox'}\n"
    answer = call("open", "../inbox/bad/c.jpg", *config)
    assert (answer.exit_code, answer.stdout) == (EXIT_PROBLEM, "")
    assert "is not painted" in answer.stderr


def test_the_gallery_is_made_anew_from_the_paintings_and_named(folder):
    picture = np.full((30, 40, 3), 90, np.uint8)
    for name in ("a", "trip/b"):
        hang(folder / "outbox", record_of(PurePosixPath(f"{name}.jpg")), picture)
    page = folder / "outbox" / "index.html"
    before = call("gallery", "--config", "config.yaml")
    assert before.exit_code == EXIT_PROBLEM and "gallery --rebuild" in before.stderr
    answer = call("gallery", "--rebuild", "--config", "config.yaml")

    assert (answer.exit_code, answer.stdout) == (0, f"It shows 2 paintings.\nThe gallery is {page}\n")
    assert page.is_file() and (folder / "outbox" / "trip" / "b" / "index.html").is_file()
    assert len(list((folder / "outbox" / ".gallery").rglob("painting.webp"))) == 2
    assert call("gallery", "--config", "config.yaml").stdout == f"The gallery is {page}\n"
