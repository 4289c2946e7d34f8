"""Nothing from a name reaches a terminal, a log or a file for people unescaped: every exit is tried with each name."""

import io
import json
import os
import socket
from pathlib import Path, PurePosixPath

import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from monet_watch.cli import app
from monet_watch.console import JsonConsole, PlainConsole, overview_json, render_overview
from monet_watch.engine.events import Losses
from monet_watch.ledger import Ledger
from monet_watch.notices import Level, Notice
from monet_watch.outbox.files import Outbox, painting_name
from monet_watch.outbox.plot import plot_losses
from monet_watch.outbox.record import PaintingRecord, StyleFacts
from monet_watch.printable import json_escaped
from monet_watch.service import Notifier
from tests.hostile.names import NAMES, dangers_in
from tests.outbox.test_record import a_record

PHOTOS = [f"{name}.jpg" for name in NAMES]


def test_the_names_are_dangerous_and_the_check_knows_it():
    dangerous = [name for name in NAMES if dangers_in(name)]
    assert len(dangerous) == 8 and dangers_in("Été 睡蓮, [x] <b>\n") == ""


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize("priorities", [False, True], ids=["terminal", "journal"])
def test_a_plain_line_stays_one_line_without_dangers(photo, priorities):
    stream = io.StringIO()
    PlainConsole(stream, priorities=priorities)(Notice("problem", f"About {photo}.", photo, Level.ERROR))
    assert dangers_in(stream.getvalue()) == "" and stream.getvalue().count("\n") == 1


@pytest.mark.parametrize("photo", PHOTOS)
def test_a_json_line_stays_one_line_and_gives_the_name_back(photo):
    stream = io.StringIO()
    JsonConsole(stream)(Notice("problem", f"About {photo}.", photo, Level.ERROR, {"folder": photo}))
    assert dangers_in(stream.getvalue()) == "" and stream.getvalue().count("\n") == 1
    assert json.loads(stream.getvalue())["photo"] == photo


def test_status_shows_every_name_and_reason_without_dangers(tmp_path):
    with Ledger.open(tmp_path / "ledger.sqlite3") as ledger:
        for number, photo in enumerate(PHOTOS):
            job = ledger.wait(PurePosixPath(photo), size=1, mtime_ns=1, reason=f"About {photo}.")
            if number % 2:
                ledger.fail(job.id, kind="NotAPhotoError", reason=f"Why {photo}", remedy=f"Mend {photo}")
        overview = ledger.overview()
    stream = io.StringIO()
    console = Console(file=stream, width=100, color_system=None, markup=False)
    console.print(render_overview(overview, now=0.0, inbox=tmp_path / NAMES[0], outbox=tmp_path / NAMES[1]))
    assert dangers_in(stream.getvalue()) == ""
    assert dangers_in(json_escaped(json.dumps(overview_json(overview)))) == ""


@pytest.mark.parametrize("photo", PHOTOS)
def test_a_report_has_its_four_lines_and_no_dangers_whatever_name_and_reason_hold(tmp_path, photo):
    path = PurePosixPath(photo)
    Outbox(tmp_path).tell_problem(path, "It cannot be painted.", f"Why {photo}?", f"Mend {photo}.")
    (report,) = tmp_path.iterdir()
    text = report.read_text(encoding="utf-8")
    assert dangers_in(text) == ""
    assert [line.partition(":")[0] for line in text.splitlines()] == [
        "It cannot be painted.", "", "File", "Why", "What to do"
    ]  # fmt: skip


def test_a_report_of_several_faults_has_a_line_for_each(tmp_path):
    Outbox(tmp_path).tell_problem(PurePosixPath("style.yaml"), "It cannot be used.", (NAMES[1], NAMES[4]), "Mend it.")
    assert len((tmp_path / "style.yaml.problem.txt").read_text(encoding="utf-8").splitlines()) == 6


@pytest.mark.parametrize("name", NAMES)
def test_a_record_holds_every_name_without_dangers_and_comes_back(name):
    record = a_record(
        painting=painting_name(f"{name}.jpg"),
        styles=(StyleFacts(name=f"{name}/style.png", sha256="cd"),),
        reason=name.encode("utf-8", "replace").decode(),
    )
    data = record.to_bytes()
    assert dangers_in(data.decode("utf-8")) == ""
    assert PaintingRecord.from_bytes(data) == record


def test_origins_in_a_folder_whose_name_is_no_utf8_can_be_recorded():
    place = os.fsdecode(b"caf\xe9/style.yaml")
    plain = a_record()
    record = PaintingRecord(**{**dict(plain), "origins": {"steps": f"{place}:1"}})
    assert json.loads(record.to_bytes())["origins"]["steps"] == "caf\\udce9/style.yaml:1"


@pytest.mark.parametrize("name", NAMES)
def test_any_name_can_be_the_title_of_a_plot(name):
    data = plot_losses([Losses(2.0, 1.0, 1.0, 0.0)] * 3, title=f"{name}.jpg", stages=(2,), reason="done")
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (1200, 700) and dangers_in(str(picture.info)) == ""


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no such sockets")
@pytest.mark.parametrize("name", NAMES)
def test_the_service_manager_gets_one_line_without_dangers(tmp_path, name):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        Notifier(str(tmp_path / "notify")).status(f"Painting {name}.jpg")
        told = listener.recv(4096).decode("utf-8")
    assert told.startswith("STATUS=Painting") and dangers_in(told) == "" and "\n" not in told


WRONG = [
    ("paint", "a.jpg", "{}"),
    ("{}",),
    ("--{}",),
    ("run", "--console", "{}"),
    ("demo", "--size", "{}"),
    ("paint", "{}"),
    ("paint", "{}", "--set", "{}", "--recipe", "{}", "--style", "{}"),
    ("status", "--config", "{}"),
    ("check", "{}"),
    ("retry", "{}"),
    ("demo", "--photo", "{}"),
]


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
@pytest.mark.parametrize("name", [name for name in NAMES if dangers_in(name)])
def test_no_complaint_of_the_command_line_repeats_a_name_as_it_is(tmp_path, monkeypatch, arguments, name):
    monkeypatch.chdir(tmp_path)
    env = {"COLUMNS": "200", "NO_COLOR": "1"}
    answer = CliRunner().invoke(app, [each.replace("{}", f"{name}.jpg") for each in arguments], env=env)
    assert answer.exit_code in (1, 2) and answer.output
    assert dangers_in(answer.output) == ""


def test_check_and_its_faults_show_every_folder_without_dangers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(NAMES):
        folder = Path("inbox", name)
        folder.mkdir(parents=True)
        (folder / "style.yaml").write_text("steps: none\n" if number % 2 else "steps: 3\n")
        answer = CliRunner().invoke(app, ["check", name], env={"COLUMNS": "200", "NO_COLOR": "1"})
        assert dangers_in(answer.output) == "" and answer.exit_code == (2 if number else 0)
