"""Which photo is meant: by its place in the inbox or by that of its painting, in full or from the working directory."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from monet_watch.config import Config, state_folder
from monet_watch.errors import SettingsError
from monet_watch.ledger import LEDGER_NAME, Job, Ledger
from monet_watch.requests import known_photo

__all__ = ["Places", "find_job", "read_ledger"]


@dataclass(frozen=True, slots=True)
class Places:
    """Where names are looked for; all of them absolute."""

    inbox: Path
    outbox: Path
    cwd: Path


def read_ledger(config: Config, environ: Mapping[str, str]) -> Ledger:
    """Open the record for reading, whether or not a daemon runs. Raises LedgerError."""
    return Ledger.open_read_only(state_folder(config, environ) / LEDGER_NAME)


def find_job(given: str, places: Places, ledger: Ledger) -> Job:
    """Return the job that ``given`` means: a painting by its folder or a file in it, or the newest one of a photo.

    Raises SettingsError, with the nearest names, for what the ledger does not know.
    """
    try:
        return ledger.known(known_photo(given, places.inbox, ledger, places.cwd))[0]
    except SettingsError as error:
        found = next(_owners(given, places, ledger), None)
        if found is None:
            raise error
        return found


def _owners(given: str, places: Places, ledger: Ledger) -> Iterator[Job]:
    """The jobs whose painting lies, or will lie, at ``given`` or right above it."""
    for folder in _folders(given, places):
        for each in (folder, folder.parent):
            owner = ledger.folder_owner(each) if each.parts else None
            if owner is not None:
                yield owner


def _folders(given: str, places: Places) -> Iterator[PurePosixPath]:
    """What ``given`` can mean, relative to the outbox."""
    outbox = places.outbox
    for place in (places.cwd / given, outbox / given):
        for root, path in ((outbox, place), (outbox.resolve(), place.resolve())):
            normal = Path(os.path.normpath(path))
            if normal.is_relative_to(root):
                yield PurePosixPath(normal.relative_to(root).as_posix())
