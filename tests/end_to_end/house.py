"""A real house for the end-to-end tests: folders, a config, and the daemon as a process of its own.

`Home` is the folders; `Home.daemon` starts the program on them. `DaemonProcess` collects what it says as JSON lines,
so that a test waits for an event instead of for a time, and shows the whole log where it waits in vain.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from monet_watch.ledger import Ledger
from monet_watch.outbox.gallery.gallery import GALLERY_NAME, PAGE_NAME
from monet_watch.outbox.record import PaintingRecord
from monet_watch.outbox.sheet_files import SHEET_NAME

__all__ = [
    "PROGRAM",
    "Apart",
    "DaemonProcess",
    "Home",
    "Photos",
    "children",
    "hear_signals",
    "program",
    "uncounted",
    "wait_until",
]

PROGRAM = Path(sys.executable).with_name("monet-watch")
LIMIT_SECONDS = 400.0  # generous: a shared machine may take minutes to load torch

Event = dict[str, Any]


def _data_folder(package: str, *below: str) -> Path:
    spec = find_spec(package)
    assert spec is not None and spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0], *below)


class Photos:
    """Real photos, found without importing the packages that bring them."""

    coffee = _data_folder("skimage", "data") / "coffee.png"
    cat = _data_folder("skimage", "data") / "chelsea.png"
    rocket = _data_folder("skimage", "data") / "rocket.jpg"
    astronaut = _data_folder("skimage", "data") / "astronaut.png"
    china = _data_folder("sklearn", "datasets", "images") / "china.jpg"
    flower = _data_folder("sklearn", "datasets", "images") / "flower.jpg"


def environment(**more: str) -> dict[str, str]:
    """The environment of a child: one thread for torch, and nothing of a service manager that runs the tests."""
    inherited = {key: value for key, value in os.environ.items() if key not in ("NOTIFY_SOCKET", "STATE_DIRECTORY")}
    return {**inherited, "OMP_NUM_THREADS": "1", **more}


def uncounted(environ: Mapping[str, str]) -> dict[str, str]:
    """That environment for a child whose lines do not count as covered: counting takes a third of its time."""
    return {key: value for key, value in environ.items() if key != "COVERAGE_PROCESS_CONFIG"}


def program(*arguments: str | Path, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the program to its end and return what it said."""
    return subprocess.run(
        [PROGRAM, *arguments], cwd=cwd, env=environment(**env), capture_output=True, text=True, timeout=LIMIT_SECONDS
    )


def wait_until(condition: Callable[[], bool], what: str, limit_seconds: float = LIMIT_SECONDS) -> None:
    """Return as soon as ``condition`` holds. Raises AssertionError, naming ``what``, if it never does."""
    deadline = time.monotonic() + limit_seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit_seconds:.0f} s in vain: {what}"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """The processes that process ``pid`` has started and that are still there, by Linux's own record."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            after_name = stat.read_text(errors="replace").rpartition(")")[2].split()
            if int(after_name[1]) == pid and after_name[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def hear_signals() -> None:
    """For a child before it begins: under nohup, or in the background of a script, tests run with these ignored."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


class DaemonProcess:
    """``monet-watch run`` as a process, between entering and leaving this context manager.

    It leads a process group of its own, as a program does that a terminal's shell has started. Its lines, and those of
    its workers, are `uncounted`: most have tests of their own.
    """

    def __init__(self, home: "Home", *arguments: str, **env: str) -> None:
        self.events: list[Event] = []
        self.returncode: int | None = None
        self._command = [PROGRAM, "run", "--config", home.config, "--console", "json", *arguments]
        self._env = uncounted(environment(**env))
        self._lines: list[str] = []
        self._arrived = threading.Condition()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=hear_signals,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
        self.returncode = self._process.wait()
        self._reader.join(15)
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it said, for people."""
        return "what the daemon said:\n" + "".join(self._lines[-80:])

    def worker(self) -> int:
        """The process id of its one worker."""
        wait_until(lambda: bool(self._workers()), f"a worker process\n{self.log}")
        return self._workers()[0]

    def _workers(self) -> list[int]:
        with contextlib.suppress(OSError):
            return [pid for pid in children(self.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        return []

    def wait_for(self, event: str, photo: str | None = None, since: int = 0, **details: object) -> Event:
        """The first ``event`` (of ``photo``, with these ``details``) after the first ``since`` ones, once it comes."""

        def found() -> Event | None:
            return next(self.told(event, photo, since, **details), None)

        with self._arrived:
            self._arrived.wait_for(lambda: found() is not None or not self._reader.is_alive(), LIMIT_SECONDS)
        happened = found()
        assert happened is not None, f"{event} of {photo} did not come; {self.log}"
        return happened

    def told(self, event: str, photo: str | None = None, since: int = 0, **details: object) -> Iterator[Event]:
        """The events of this kind among those that were told."""
        for each in self.events[since:]:
            same_photo = photo is None or each["photo"] == photo
            if each["event"] == event and same_photo and details.items() <= each["details"].items():
                yield each

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def interrupt(self) -> None:
        """What a terminal does on Ctrl-C: SIGINT to every process of the group."""
        os.killpg(self._process.pid, signal.SIGINT)

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()

    def ended(self, limit_seconds: float = LIMIT_SECONDS) -> int:
        """Wait for its end, and return the exit code."""
        try:
            self._process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it has not ended within {limit_seconds} s; {self.log}") from None
        self._reader.join(LIMIT_SECONDS)
        return self._process.returncode

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._arrived:
                self._lines.append(line)
                with contextlib.suppress(json.JSONDecodeError):
                    self.events.append(json.loads(line))
                self._arrived.notify_all()
        with self._arrived:
            self._arrived.notify_all()


class Apart(DaemonProcess):
    """The daemon in a user and a mount namespace of its own, after ``commands`` of the shell, such as mounts."""

    def __init__(self, home: "Home", *commands: str) -> None:
        super().__init__(home)
        script = " && ".join((*commands, 'exec "$@"'))
        self._command = ["unshare", "-Urm", "sh", "-c", script, "sh", *map(str, self._command)]

    def does(self, command: str) -> None:
        """Run a shell's command where the daemon lives."""
        enter = ["nsenter", "-t", str(self.pid), "-U", "-m", "--preserve-credentials", "sh", "-c", command]
        done = subprocess.run(enter, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def sees(self, path: Path) -> Path:
        """Where the daemon's own view of ``path`` is found from here."""
        return Path(f"/proc/{self.pid}/root") / path.relative_to("/")


class Home:
    """Folders and a config for one daemon: small pictures, few steps, a cat's photo as the style."""

    def __init__(self, folder: Path, *, with_style: bool = True, **settings: object) -> None:
        self.folder = folder
        self.inbox, self.outbox, self.state = (folder / name for name in ("inbox", "outbox", "state"))
        self.archive = folder / "archive"
        self.config = folder / "config.yaml"
        self.inbox.mkdir(parents=True)
        self.settings: dict[str, Any] = {
            "inbox": "inbox",
            "outbox": "outbox",
            "state": "state",
            "settle_seconds": 0.2,
            "threads": 1,
            "log": {"level": "debug"},
            "defaults": {"image_size": 64, "steps": 8, "save_every": 4},
        }
        self.configure(**settings)
        if with_style:
            shutil.copyfile(Photos.cat, self.inbox / "style.png")

    def configure(self, **settings: object) -> None:
        """Change settings of the config; those of ``defaults`` are merged."""
        defaults = self.settings["defaults"] | settings.pop("defaults", {})  # type: ignore[operator]
        self.settings |= {**settings, "defaults": defaults}
        self.config.write_text(yaml.safe_dump(self.settings), encoding="utf-8")

    def daemon(self, *arguments: str, **env: str) -> DaemonProcess:
        return DaemonProcess(self, *arguments, **env)

    def drop(self, photo: Path, name: str | None = None) -> Path:
        """Put a copy of ``photo`` into the inbox, at once, as a finished upload is renamed into place."""
        target = self.inbox / (name or photo.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.part")
        shutil.copyfile(photo, partial)
        return partial.rename(target)

    def write(self, name: str, data: str | bytes) -> Path:
        """Write a file into the inbox."""
        target = self.inbox / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data.encode() if isinstance(data, str) else data)
        return target

    def record(self, folder: str) -> PaintingRecord:
        """The record of the painting in ``folder`` of the outbox."""
        return PaintingRecord.from_bytes((self.outbox / folder / "painting.json").read_bytes())

    def records(self, below: str = ".") -> list[str]:
        """The folders of the outbox that hold a painting."""
        found = (self.outbox / below).rglob("painting.json")
        return sorted(str(path.parent.relative_to(self.outbox)) for path in found)

    def snapshot(self, below: str = ".") -> Mapping[Path, tuple[int, bytes]]:
        """Every file of the outbox with its time and bytes, but what is made of paintings, or being written."""

        def counts(path: Path) -> bool:
            names = path.relative_to(self.outbox).parts
            return not (
                GALLERY_NAME in names or names[-1] in (PAGE_NAME, SHEET_NAME) or names[-1].startswith(".monet-watch")
            )

        found = (path for path in (self.outbox / below).rglob("*") if counts(path) and path.is_file())
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in found}

    def ledger(self) -> Ledger:
        """The daemon's ledger, for reading."""
        return Ledger.open_read_only(self.state / "ledger.sqlite3")
