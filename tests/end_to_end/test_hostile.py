"""Hostile pictures and hostile names, dropped into the inbox of the real daemon."""

import itertools
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from monet_watch.ledger import JobState
from tests.end_to_end.house import LIMIT_SECONDS, PROGRAM, Home, Photos, environment, program
from tests.hostile.corpus import FORMATS, Hostile, bit_flips, bombs, damaged, oddities, truncations
from tests.hostile.names import NAMES, dangers_in
from tests.test_console import Tmux

pytestmark = pytest.mark.slow

TINY = {"recipe": "classic", "image_size": 32, "steps": 1, "save_every": 1}


def house_of(folder: Path, pictures: Iterable[Hostile]) -> Home:
    home = Home(folder, limit_megapixels=10, decode_seconds=60, defaults=TINY)
    for picture in pictures:
        home.write(picture.name, picture.data)
    return home


def assert_each_is_painted_or_told(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Run the daemon until nothing is left to do: its worker lives through it, and every file has one end.

    An empty file waits for something to be written to it.
    """
    empty = {path.name for path in home.inbox.iterdir() if not path.stat().st_size}
    files = {path.name for path in home.inbox.iterdir()} - {"style.png"} - empty
    with home.daemon("--once") as daemon:
        assert daemon.ended(20 * LIMIT_SECONDS) in (0, 1), daemon.log
    assert not list(daemon.told("worker-died")), daemon.log
    with home.ledger() as ledger:
        overview = ledger.overview(recent=100_000)
    ends = {str(job.path): job for job in (*overview.done, *overview.problems)}
    assert ends.keys() == files and {str(job.path) for job in overview.waiting} == empty
    for name, job in ends.items():
        report = home.outbox / f"{name}.problem.txt"
        assert report.exists() == (job.state is JobState.PROBLEM), name
        assert job.state is JobState.PROBLEM or home.records(str(job.folder)) == [str(job.folder)], name
        assert not report.exists() or "What to do: " in report.read_text(encoding="utf-8")
    counts = Counter(job.state for job in ends.values())
    with capsys.disabled():
        painted, problems = counts[JobState.DONE], counts[JobState.PROBLEM]
        sys.stdout.write(f"\nby the daemon: {len(files)} hostile files, {painted} painted, {problems} problems\n")


def some() -> Iterator[Hostile]:
    """A cut or a flipped file of each format, and every sixth of the others."""
    for name, other in zip(*[iter(FORMATS)] * 2, strict=False):
        yield list(truncations(name, 3))[1]
        yield next(iter(bit_flips(other, 1)))
    yield from itertools.islice(itertools.chain(bombs(), oddities()), 0, None, 6)


def test_hostile_pictures_are_painted_or_told_and_nothing_ends_but_the_work(tmp_path, capsys):
    assert_each_is_painted_or_told(house_of(tmp_path / "home", some()), capsys)


@pytest.mark.full
@pytest.mark.timeout(7200)
def test_every_hostile_picture_is_painted_or_told(tmp_path, capsys):
    assert_each_is_painted_or_told(house_of(tmp_path / "home", (*damaged(), *bombs(), *oddities())), capsys)


@pytest.fixture(scope="module")
def named(tmp_path_factory) -> tuple[Home, str]:
    """A house full of hostile names, photos, folders, styles and broken settings, and what the daemon said of it."""
    home = Home(tmp_path_factory.mktemp("named") / "home", defaults=TINY)
    for name in NAMES:
        home.drop(Photos.rocket, f"{name}.jpg")
        home.write(f"broken {name}.jpg", b"no photo\n")
        home.write(f"settings {name}/style.yaml", f"stepz: {name!a}\n")
        home.write(f"settings {name}/photo.jpg", Photos.rocket.read_bytes())
    styled = f"styled {NAMES[-2]}"
    home.write(f"{styled}/style.png", Photos.cat.read_bytes())
    home.write(f"{styled}/style.yml", b"seed: 3\n")
    home.drop(Photos.rocket, f"{styled}/a.jpg")
    command = [PROGRAM, "run", "--once", "--config", home.config, "--console", "plain"]
    done = subprocess.run(
        command,
        env=environment(),
        cwd=home.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=3 * LIMIT_SECONDS,
    )
    said = done.stdout.decode("utf-8")
    assert done.returncode == 1, said
    return home, said


def test_the_log_of_hostile_names_has_no_dangers_and_no_line_that_they_forge(named):
    home, said = named
    assert dangers_in(said) == "" and "Traceback" not in said
    assert all(line[:4].isdigit() for line in said.splitlines())
    assert not list(home.folder.rglob("owned"))


def test_every_photo_of_a_hostile_name_is_painted_and_each_broken_one_told(named):
    home, _ = named
    assert len(home.records()) == len(NAMES) + 1
    reports = [path.read_text(encoding="utf-8") for path in home.outbox.rglob("*.problem.txt")]
    assert len(reports) == 2 * len(NAMES)
    records = [path.read_text(encoding="utf-8") for path in home.outbox.rglob("painting.json")]
    assert [each for each in reports + records if dangers_in(each)] == []


@pytest.mark.parametrize("arguments", [("status",), ("status", "--json"), ("check",)])
def test_no_command_shows_them_otherwise(named, arguments):
    home, _ = named
    told = program(*arguments, "--config", home.config, COLUMNS="200")
    assert told.stdout + told.stderr and dangers_in(told.stdout + told.stderr) == ""
    assert "Traceback" not in told.stderr


def test_a_live_view_in_a_terminal_shows_them_as_they_are_written(named, tmp_path):
    home, _ = named
    shutil.copyfile(Photos.coffee, home.inbox / "\x1b]0;owned\x07\x1b[2J[red]new.png")
    command = [str(PROGRAM), "run", "--config", str(home.config), "--console", "live"]
    tmux = Tmux(160, 40, command, {**environment(), "TERM": "xterm"}, tmp_path)
    try:
        screen = tmux.wait_for(lambda lines: any("Done" in line for line in lines) and "new.png" in "".join(lines))
        assert any("\\x1b]0;owned\\x07\\x1b[2J[red]new" in line for line in screen)
        assert dangers_in("\n".join(screen)) == ""
        assert "owned" not in tmux.run("display-message", "-p", "#{pane_title}")
    finally:
        tmux.run("kill-server")
