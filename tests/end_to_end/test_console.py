"""The live console and ``status --watch``, in a real terminal (tmux), of a real daemon that paints."""

import re
import shlex

import pytest
from rich.cells import cell_len

from tests.end_to_end.house import PROGRAM, Home, Photos, program
from tests.terminal import Tmux

pytestmark = pytest.mark.slow

COLOURS = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "OMP_NUM_THREADS": "1"}
PLAIN = {"TERM": "xterm-256color", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
COLOUR = re.compile(r"\x1b\[(3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")  # any but the terminal's own
NAMES = ["C:\\photos\\CON.png", "holiday/aux .png", "holiday/IMG_1 (2).png"]


@pytest.fixture
def home(tmp_path):
    """Paintings that go on until the test is over: a small one takes a tenth of a second for a step."""
    lasting = {"image_size": 32, "steps": 2000, "least_gain": 0, "save_every": 5}
    home = Home(tmp_path / "home", gallery=False, defaults=lasting, log={"level": "info"})
    for name in NAMES:
        home.drop(Photos.cat, name)
    home.drop(Photos.coffee, "zuletzt.png")
    home.write("notes.jpg", "no photo")
    home.write("party/style.yaml", "stepz: 3\n")
    home.drop(Photos.rocket, "party/a.jpg")
    return home


@pytest.fixture
def terminal(tmp_path):
    """A function that runs a command in a terminal of this size, and tells when it is over."""
    terminals = []

    def start(width, height, environ, *command):
        folder = tmp_path / f"terminal {len(terminals)}"
        folder.mkdir()
        # The shell, too, hears the terminal's Ctrl-C, and has to outlive it.
        script = f"trap : INT; {shlex.join(map(str, command))}; echo it ended with $?; exec sleep 1000"
        terminals.append(Tmux(width, height, ["sh", "-c", script], environ, folder))
        return terminals[-1]

    yield start
    for each in terminals:
        each.close()


def tells_all(screen):
    """Whether it says at one look how far, how it goes, when it will be done, and when everything will."""
    text = "\n".join(screen)
    return all(words in text for words in ("/2000", "█", "─", "done at", "all done in ~", "on cpu"))


def assert_that_nothing_flickers(view, sent):
    """What the program sends to its terminal, kept in the file ``sent``, moves up and writes over what is there."""
    view.run("pipe-pane", "-o", f"cat > {shlex.quote(str(sent))}")
    view.wait_for(lambda screen: sent.exists() and sent.read_bytes().count(b"monet-watch  ") >= 10)
    view.run("pipe-pane")
    data = sent.read_bytes()
    assert not any(clearing in data for clearing in (b"\x1b[2J", b"\x1bc", b"\x1b[?1049"))


def test_at_one_look_the_picture_and_all_about_it_at_any_width_and_after_any_resize(home, terminal, tmp_path):
    """Between resizes it is redrawn in place: what is sent for ten redraws clears no screen."""
    view = terminal(80, 24, COLOURS, PROGRAM, "run", "--config", home.config)
    view.wait_for(tells_all)
    assert_that_nothing_flickers(view, tmp_path / "sent")
    for width, height in ((80, 24), (160, 45), (40, 30), (100, 30), (80, 24)):
        view.run("resize-window", "-x", width, "-y", height)
        pictured = width > 40

        def holds(screen, pictured=pictured, width=width):
            text = "\n".join(screen)
            return tells_all(screen) and ("▀▀▀" in text) == pictured and max(map(cell_len, screen)) <= width

        screen = view.wait_for(holds)
        text = "\n".join(screen)
        assert text.count("Painting") == 1
        assert any(name in text for name in NAMES)
    assert "\x1b[38;2;" in view.run("capture-pane", "-p", "-e")
    view.run("send-keys", "C-c")
    view.wait_for(lambda screen: "it ended with 0" in "\n".join(screen))


def test_status_watch_follows_a_daemon_in_another_terminal_until_ctrl_c(home, terminal):
    watch = (PROGRAM, "status", "--watch", "--config", home.config)
    with home.daemon() as daemon:
        daemon.wait_for("snapshot")
        view, plain = terminal(100, 30, COLOURS, *watch), terminal(80, 24, PLAIN, *watch)
        first = view.wait_for(lambda screen: tells_all(screen) and "▀▀▀" in "\n".join(screen))
        step = next(word for line in first for word in line.split() if "/2000" in word)
        view.wait_for(lambda screen: tells_all(screen) and step not in "\n".join(screen))
        assert "▀" not in "\n".join(plain.wait_for(tells_all))
        assert not COLOUR.search(plain.run("capture-pane", "-p", "-e"))
    view.wait_for(lambda screen: "The daemon is not running." in "\n".join(screen))
    view.run("send-keys", "C-c")
    final = view.wait_for(lambda screen: "it ended with 0" in "\n".join(screen))
    assert "\n".join(final).count("monet-watch  /") == 1


def test_status_watch_without_a_terminal_is_refused_with_what_to_do_instead(home):
    for arguments in (("--watch",), ("--watch", "--json")):
        answer = program("status", *arguments, "--config", home.config)
        assert answer.returncode == 2
        assert "--watch needs a terminal" in answer.stderr
