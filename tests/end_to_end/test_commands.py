"""The commands beside ``run``, each as a process of its own."""

import functools
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

from monet_watch.outbox.record import PaintingRecord
from tests.end_to_end.house import PROGRAM, Home, Photos, environment, hear_signals, program, wait_until

pytestmark = pytest.mark.slow

QUICK = ("--set", "image_size=64", "--set", "steps=3", "--set", "save_every=2")


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def heavy_imports(*arguments: str | Path) -> str:
    """Run the command in a fresh interpreter and return which heavy packages it has imported at its end."""
    code = (
        "import sys; sys.argv[0] = 'monet-watch'\n"
        "from monet_watch.cli import main\n"
        "try: main()\n"
        "finally: print([each for each in ('torch', 'numpy', 'PIL', 'matplotlib') if each in sys.modules])"
    )
    command = [sys.executable, "-c", code, *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment())
    return answer.stdout.splitlines()[-1] + answer.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("--version",)])
def test_help_imports_no_torch(arguments):
    assert heavy_imports(*arguments) == "[]"


def test_status_imports_no_torch(home):
    with home.daemon("--once") as daemon:
        assert daemon.ended() == 0
    assert heavy_imports("status", "--config", home.config) == "[]"
    assert heavy_imports("status", "--json", "--config", home.config) == "[]"


def test_help_teaches_by_example_and_tells_the_exit_codes():
    answer = program("--help", COLUMNS="120")
    assert answer.returncode == 0
    for words in ("monet-watch demo", "monet-watch run --inbox", "Exit codes", "paint", "status", "check", "weights"):
        assert words in answer.stdout
    for command in ("run", "paint", "status", "check", "weights", "demo"):
        assert "Example: monet-watch" in program(command, "--help", COLUMNS="120").stdout


def test_it_can_be_run_as_a_module():
    answer = subprocess.run(
        [sys.executable, "-m", "monet_watch", "--version"], capture_output=True, text=True, env=environment()
    )
    assert (answer.returncode, answer.stdout.split()[0]) == (0, "monet-watch")


def test_status_of_a_house_that_never_ran_says_so(home):
    answer = program("status", "--config", home.config)
    assert answer.returncode == 1
    assert "ledger" in answer.stderr


def test_check_tells_every_fault_at_once_with_its_place(home):
    home.write("style.yaml", "stepz: 5\n")
    home.write("trip/style.yaml", "image_size: 7\nlr: fast\n")
    answer = program("check", "--config", home.config)
    assert answer.returncode == 2
    lines = answer.stderr.splitlines()
    assert any(line.startswith("style.yaml:1:1: stepz") and "'steps'" in line for line in lines), answer.stderr
    assert any(line.startswith("trip/style.yaml:1:") and "image_size" in line for line in lines)
    assert any(line.startswith("trip/style.yaml:2:") and "lr" in line for line in lines)


def test_check_tells_where_each_setting_of_a_folder_comes_from(home):
    home.write("style.yaml", "steps: 5\n")
    home.write("trip/style.yaml", "# ours\nlr: 0.5\n")
    answer = program("check", "--config", home.config, "trip", COLUMNS="160")
    assert answer.returncode == 0, answer.stderr
    rows = {line.split()[0]: line for line in answer.stdout.splitlines() if line.strip()}
    assert "trip/style.yaml:2" in rows["lr"]
    assert "style.yaml:1" in rows["steps"]
    assert "config.yaml" in rows["image_size"]
    assert "recipe swift" in rows["style_weight"]


def test_the_schema_of_style_yaml_is_printed_for_editors():
    answer = program("check", "--schema")
    assert answer.returncode == 0
    assert {"steps", "style", "recipe", "image_size"} <= json.loads(answer.stdout)["properties"].keys()


def test_paint_makes_the_same_files_without_a_daemon_and_only_once(tmp_path):
    arguments = (
        "paint",
        Photos.rocket,
        "-o",
        tmp_path / "out",
        "--style",
        str(Photos.cat),
        *QUICK,
        "--console",
        "plain",
    )
    answer = program(*arguments, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    folder = tmp_path / "out" / "rocket"
    assert str(folder) in answer.stdout
    record = PaintingRecord.from_bytes((folder / "painting.json").read_bytes())
    assert (record.recipe.steps, record.origins["steps"]) == (3, "command line")
    assert {path.name for path in folder.iterdir()} >= {"rocket.png", "loss.png", "painting.json", *record.stages}
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = program(*arguments, cwd=tmp_path)
    assert again.returncode == 0
    assert str(folder) in again.stdout
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("missing.jpg",), 1, "missing.jpg"),
        ((Photos.rocket, "--set", "stepz=3"), 2, "'steps'"),
        ((Photos.rocket, "--style", "monnet.jpg"), 2, "monnet.jpg"),
        ((Photos.rocket, "--recipe", "clasic"), 2, "'classic'"),
    ],
)
def test_paint_says_what_is_wrong_and_leaves_nothing_behind(tmp_path, arguments, code, words):
    answer = program("paint", *arguments, "-o", "out", cwd=tmp_path)
    assert answer.returncode == code
    assert words in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not list(tmp_path.rglob("*.*"))


def test_paint_says_why_a_photo_cannot_be_painted_and_leaves_nothing_behind(tmp_path):
    (tmp_path / "letter.jpg").write_bytes(b"Dear Claude")
    answer = program("paint", "letter.jpg", "-o", "out", "--style", str(Photos.cat), *QUICK, cwd=tmp_path)
    assert answer.returncode == 1
    assert "letter.jpg" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert [path.name for path in tmp_path.rglob("*.*")] == ["letter.jpg"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_paint_that_is_interrupted_ends_soon_and_leaves_nothing_behind(tmp_path, number):
    settings = ("--set", "image_size=64", "--set", "steps=5000", "--set", "save_every=1", "--set", "least_gain=0")
    command = [PROGRAM, "paint", Photos.rocket, "-o", "out", "--style", str(Photos.cat), *settings]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=hear_signals,
    )
    try:
        wait_until((tmp_path / "out" / "rocket" / "progress_0002.png").exists, "a stage")
        os.killpg(process.pid, number) if number is signal.SIGINT else process.send_signal(number)
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.wait()
    assert not list(tmp_path.rglob("*.*"))


def test_weights_lists_the_sources_and_whether_they_are_verified(tmp_path):
    answer = program("weights", STATE_DIRECTORY=str(tmp_path), COLUMNS="200")
    assert answer.returncode == 0, answer.stderr
    assert "oxford  verified" in answer.stdout
    assert "torchvision  not fetched" in answer.stdout


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """The test's output is not the place."""


def test_weights_that_are_not_the_right_ones_are_refused(tmp_path):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "vgg19.pth").write_bytes(b"no weights" * 1000)
    handler = functools.partial(_Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/vgg19.pth"
        state = tmp_path / "state"
        answer = program("weights", "fetch", "torchvision", "--url", url, STATE_DIRECTORY=str(state))
        server.shutdown()
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr
    assert not list(state.rglob("*.safetensors"))


DEMO = ("demo", "--size", "64", "--steps", "6")


def test_the_demonstration_ends_with_a_painting_and_says_where_it_is(tmp_path):
    """With the photo, and the style, that come with the program."""
    answer = program(*DEMO, cwd=tmp_path)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    folder = tmp_path / "monet-demo" / "outbox" / "chelsea"
    assert f"The painting is in {folder}" in answer.stdout
    assert "about 1 minute" in answer.stdout
    with Image.open(folder / "chelsea.png") as painting:
        assert painting.size == (96, 64)
    record = PaintingRecord.from_bytes((folder / "painting.json").read_bytes())
    assert [style.name for style in record.styles] == ["water-garden"]
    assert (tmp_path / "monet-demo" / "inbox" / "chelsea.png").read_bytes() == Photos.cat.read_bytes()


def tmux(socket: Path, *arguments: str) -> str:
    answer = subprocess.run(["tmux", "-S", socket, *arguments], capture_output=True, text=True, env=environment())
    return answer.stdout


def test_the_demonstration_shows_a_live_view_in_a_terminal(tmp_path):
    socket = tmp_path / "tmux"
    seen: list[str] = []

    def screen() -> str:
        seen.append(tmux(socket, "capture-pane", "-p", "-J", "-t", "0"))
        return seen[-1]

    command = (
        f"'{PROGRAM}' demo --size 64 --steps 24 --photo '{Photos.rocket}' --style '{Photos.cat}'; echo ended with $?"
    )
    tmux(socket, "-f", "/dev/null", "new-session", "-d", "-x", "110", "-y", "40", "-c", str(tmp_path), "sh")
    try:
        tmux(socket, "send-keys", "-t", "0", command, "Enter")
        wait_until(lambda: "ended with 0" in screen(), f"the end of the demonstration\n{seen[-1:]}")
        assert any("/24" in each and "rocket.jpg" in each for each in seen), "\n".join(seen[-3:])
        assert "The painting is in" in screen()
        assert "monet-demo/outbox/rocket" in screen().replace("\n", "")
    finally:
        tmux(socket, "kill-server")
