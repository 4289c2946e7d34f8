"""Showing a file to whoever sits at this machine, by whatever the platform opens it with."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from monet_watch.account import Account
from monet_watch.outbox.gallery.gallery import PAGE_NAME

__all__ = ["opener", "place_to_open", "show_file"]

_OPEN_SECONDS = 3.0


def place_to_open(outbox: Path, account: Account | None) -> Path:
    """Return what there is to look at: the gallery, or the page, the picture or the folder of a painting.

    The first of them that is there counts; where there is nothing yet, it is the folder's place.
    """
    folder = (account.folder if account is not None else None) or outbox
    record = account.record if account is not None else None
    candidates = [folder / PAGE_NAME, *([folder / record.painting] if record is not None else []), folder]
    return next((each for each in candidates if each.exists()), folder)


def opener(environ: Mapping[str, str], platform: str, which: Callable[[str], str | None]) -> list[str] | None:
    """Return the command that opens a file, without the file; None where nobody would see it, or there is none."""
    if platform == "darwin":
        return ["open"]
    if platform == "win32" or not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        return None
    found = which("xdg-open")
    return [found] if found else None


def show_file(path: Path, environ: Mapping[str, str]) -> bool:
    """Open ``path`` for whoever sits here; return whether that was possible. Nobody waits for it to be closed."""
    if sys.platform == "win32":
        os.startfile(path)
        return True
    command = opener(environ, sys.platform, shutil.which)
    if command is None:
        return False
    nothing = subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            [*command, str(path)], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
        )
        return process.wait(_OPEN_SECONDS) == 0
    except subprocess.TimeoutExpired:
        return True  # what shows the file stays as long as somebody looks at it
    except OSError:
        return False
