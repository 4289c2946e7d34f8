"""A command is run as it is written, for so long and no longer, and what it said last is kept."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from monet_watch.commands import LAST_LINES, Command, Ending
from tests.end_to_end.house import wait_until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the commands are a POSIX system's")


def run(*arguments: str, folder: Path, seconds: float = 60.0, **environ: str) -> Ending:
    return Command(arguments, {"PATH": os.environ["PATH"], **environ}, folder, seconds).run()


def python(program: str, folder: Path, seconds: float = 60.0) -> Ending:
    return run(sys.executable, "-c", program, folder=folder, seconds=seconds)


def test_arguments_reach_it_untouched_by_any_shell(tmp_path):
    ending = run("printf", "%s|", "a b", "$HOME", "`id`", "*; exit 3", folder=tmp_path)
    assert (ending.status, ending.output) == (0, ("a b|$HOME|`id`|*; exit 3|",))


def test_it_works_in_the_folder_with_the_environment_and_without_input(tmp_path):
    ending = run("sh", "-c", "pwd; echo $WORD; cat; echo $NOTIFY_SOCKET", folder=tmp_path, WORD="x", NOTIFY_SOCKET="/s")
    assert ending.output == (str(tmp_path), "x", "")


def test_its_exit_status_and_the_signal_that_ended_it_are_told(tmp_path):
    assert run("sh", "-c", "exit 3", folder=tmp_path).status == 3
    assert run("sh", "-c", "kill -TERM $$", folder=tmp_path).status == -15


def test_one_that_is_not_there_or_may_not_be_run_is_told_and_nothing_is_raised(tmp_path):
    (tmp_path / "text").write_text("no program")
    missing, refused = (run(str(tmp_path / name), folder=tmp_path) for name in ("missing", "text"))
    assert (missing.status, refused.status) == (None, None)
    assert missing.output[0].endswith("No such file or directory")
    assert refused.output[0].endswith("Permission denied")


def test_of_much_that_it_says_the_last_lines_are_kept(tmp_path):
    ending = python("for n in range(200_000): print('line', n)", tmp_path)
    assert ending.output == tuple(f"line {number}" for number in range(200_000 - LAST_LINES, 200_000))


def test_a_line_without_end_and_bytes_that_are_no_text_are_cut_and_escaped(tmp_path):
    ending = python("import sys; sys.stdout.buffer.write(b'\\xff' + b'a' * 10_000_000)", tmp_path)
    assert len(ending.output) == 1 and len(ending.output[0]) == 500
    assert python("import sys; sys.stdout.buffer.write(b'\\xff')", tmp_path).output == ("\\xff",)


def test_after_the_limit_it_is_killed_with_all_that_it_has_started(tmp_path):
    ending = run("sh", "-c", "sleep 1000 & echo $!; wait", folder=tmp_path, seconds=1.0)
    assert (ending.timed_out, ending.status) == (True, -9)
    wait_until(lambda: not is_there(int(ending.output[0])), "the end of what it had started")


def is_there(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


def test_what_it_leaves_in_the_background_is_not_waited_for(tmp_path):
    ending = run("sh", "-c", "sleep 1000 & echo $!", folder=tmp_path, seconds=600)
    assert (ending.status, ending.timed_out) == (0, False)
    os.kill(int(ending.output[0]), 9)


def test_one_that_is_given_up_ends_before_its_time(tmp_path):
    command = Command(["sh", "-c", "echo there > begun; sleep 1000"], os.environ, tmp_path, 600)
    endings: list[Ending] = []
    thread = threading.Thread(target=lambda: endings.append(command.run()))
    thread.start()
    wait_until(lambda: (tmp_path / "begun").exists(), "its begin")
    command.give_up()
    thread.join()
    assert (endings[0].given_up, endings[0].timed_out) == (True, False)
