"""A real terminal for tests: tmux, in a server of its own."""

import os
import shlex
import shutil
import subprocess
import time

import pytest

__all__ = ["Tmux"]

_OF_ANOTHER_TERMINAL = ("COLUMNS", "LINES")  # whoever runs the tests may have said how large theirs is
GENEROUS_SECONDS = 300.0  # a shared machine may take minutes to load torch


class Tmux:
    """A terminal of a given size that runs one command, in a tmux server of its own."""

    def __init__(self, width, height, command, environ, folder):
        program = shutil.which("tmux")
        if program is None:
            pytest.fail("tmux is missing: install it (Debian and Ubuntu: apt-get install tmux)")
        self._tmux = [program, "-u", "-f", "/dev/null", "-S", str(folder / "tmux")]
        outer = {key: value for key, value in os.environ.items() if key not in _OF_ANOTHER_TERMINAL}
        self._environ = {**outer, "LC_ALL": "C.UTF-8"}
        settings = [f"{key}={value}" for key, value in environ.items()]
        self.run("new-session", "-d", "-x", width, "-y", height, shlex.join(["env", *settings, *command]))

    def run(self, *arguments):
        command = [*self._tmux, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=self._environ).stdout

    def screen(self):
        return [line.rstrip() for line in self.run("capture-pane", "-p").rstrip("\n").split("\n")]

    def wait_for(self, holds):
        """Return the first screen of which ``holds`` says True; fail with the last one."""
        limit = time.monotonic() + GENEROUS_SECONDS
        while time.monotonic() < limit:
            screen = self.screen()
            if holds(screen):
                return screen
            time.sleep(0.05)
        return pytest.fail("\n".join(["the screen never became as expected:", *screen]))

    def close(self):
        self.run("kill-server")
