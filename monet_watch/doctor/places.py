"""What the folders are like: the inbox and how it can be watched, the outbox, the state folder, the archive."""

import contextlib
import os
import shlex
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from monet_watch.doctor.findings import Finding, Premises, fine, note, wrong
from monet_watch.errors import LedgerError, MonetWatchError, OutboxError
from monet_watch.finding import read_ledger
from monet_watch.household import folder_settings, sieve_of
from monet_watch.inbox.mounts import Mounts, mountinfo
from monet_watch.inbox.survey import InboxGoneError, inbox_identity
from monet_watch.inbox.watch import Mode, WatchdogWatch
from monet_watch.ledger import ARCHIVE_KEY, OUTBOX_KEY, WatchState
from monet_watch.outbox.files import Outbox
from monet_watch.recipes import Recipe
from monet_watch.room import free_bytes, room_for
from monet_watch.service import is_held
from monet_watch.whereabouts import Whereabouts

__all__ = ["check_inbox", "check_originals", "check_outbox", "check_room", "check_state", "check_watch"]

_MEBI = 1 << 20
_OWN = "Give it to the account that runs monet-watch (chown -R), or run this as that account."
_NAMED = 3  # folders, of those that cannot be used


def check_inbox(premises: Premises) -> Iterator[Finding]:
    """Whether the inbox is there, with every folder in it to be read, and what it lies on."""
    inbox = premises.config.inbox
    if premises.config.source is None and not inbox.exists():
        yield _can_be_made("inbox", inbox)  # an inbox that a config names may lie on a share that is not mounted
        return
    try:
        inbox_identity(inbox)
    except InboxGoneError as error:
        yield wrong("inbox", error.message, f"Mount it, or make it: mkdir -p {shlex.quote(str(inbox))}")
        return
    refused = [folder for folder, may_be_read in _folders(premises) if not may_be_read]
    if refused:
        text = f"{_listed(refused)} may not be read by {_user()}."
        yield wrong(
            "inbox", text, "Grant this account the right to read and to enter them (chmod, or the share's rules)."
        )
    else:
        yield fine("inbox", f"{inbox}, on {_file_system(inbox)}")


def check_watch(premises: Premises) -> Iterator[Finding]:
    """How the inbox is watched, or, where no daemon runs, how it would be: that is tried."""
    if is_held(premises.state):
        yield _watched(premises)
        return
    config = premises.config
    watch = WatchdogWatch(
        config.inbox, lambda message: None, Mode(config.watch), config.polling_seconds, sieve_of(config).enters
    )
    try:
        with watch:
            folders = f"{watch.folders} folder{'s' * (watch.folders != 1)}"
            text = f"by {watch.mode}, {folders} by events{_limit(premises)}. {watch.reason}"
            yield _granted(text, watch.limited)
    except InboxGoneError:
        return  # which is told of the inbox
    except MonetWatchError as error:
        yield wrong("watch", error.message, error.remedy)


def _watched(premises: Premises) -> Finding:
    with read_ledger(premises.config, premises.environ) as ledger:
        state = ledger.watch_state() or WatchState()
    if state.trouble:
        return wrong("watch", state.trouble, "The daemon tries again by itself; see that the inbox is there.")
    text = f"by {state.mode}, as the daemon does{_limit(premises)}. {state.reason}"
    return _granted(text, state.limited) if state.mode else note("watch", "The daemon does not watch the inbox yet.")


def _granted(text: str, limited: bool) -> Finding:
    if limited:
        return wrong("watch", text, "Raise the limit as it says, and start the daemon again.")
    return fine("watch", text)


def _limit(premises: Premises) -> str:
    """How many folders an account may watch, where the system tells."""
    try:
        limit = int((premises.root / "proc/sys/fs/inotify/max_user_watches").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return ""
    return f" (the system grants {limit:,} watches to an account)"


def check_outbox(premises: Premises) -> Iterator[Finding]:
    """Whether the outbox is mounted where it was painted into, and can be written: a file is."""
    outbox = premises.config.outbox
    _whereabouts(premises, outbox, OUTBOX_KEY).check()
    if not outbox.exists():
        yield _can_be_made("outbox", outbox)
        return
    trouble = Outbox(outbox).trouble()
    if trouble is not None:
        yield wrong("outbox", trouble.message, trouble.remedy)
    else:
        yield fine("outbox", f"{outbox}, on {_file_system(outbox)}")


def _whereabouts(premises: Premises, folder: Path, key: str) -> Whereabouts:
    """What the last daemon has noted, under ``key``, of the folder's mount; where none has, any will do."""
    noted = None
    with contextlib.suppress(LedgerError), read_ledger(premises.config, premises.environ) as ledger:
        noted = ledger.noted(key)
    return Whereabouts(folder, noted or "", lambda text: None, key)


def check_state(premises: Premises) -> Iterator[Finding]:
    """Whether the state folder can be written, on a disk of this machine."""
    state = premises.state
    if not state.exists():
        yield _can_be_made("state", state)
        return
    shared = Mounts.parse(mountinfo()).unseen(PurePosixPath(os.path.realpath(state)))
    places = [(state, os.W_OK | os.X_OK), *((path, os.W_OK) for path in _inside(state))]
    refused = next((path for path, mode in places if not _may(path, mode)), None)
    if refused is not None:
        yield wrong("state", f"{refused} may not be written by {_user()}.", _OWN)
    elif shared:
        text = f"{state} lies on {shared}, where a record can be damaged by another machine."
        yield wrong("state", text, "Name a folder on a disk of this machine by `state:` in the config.")
    else:
        yield fine("state", f"{state}, on {_file_system(state)}")


def _inside(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(folder.iterdir())
    return []


def _can_be_made(subject: str, folder: Path) -> Finding:
    above = next(path for path in folder.parents if path.exists())
    if _may(above, os.W_OK | os.X_OK):
        return fine(subject, f"{folder} will be made")
    return wrong(subject, f"{folder} is not there, and {_user()} may not make it.", _OWN)


def check_originals(premises: Premises) -> Iterator[Finding]:
    """Whether originals can be moved or deleted, where the config asks for it."""
    config = premises.config
    if config.after == "keep":
        return
    if config.archive is not None and config.after == "move":
        yield _archive(premises, config.archive)
    folders = (folder for folder, _ in _folders(premises))
    refused = [folder for folder in folders if not _may(config.inbox / folder, os.W_OK | os.X_OK)]
    if refused:
        text = f"No original can leave {_listed(refused)}: {_user()} may not write there."
        yield wrong("originals", text, f"Grant that right, or set `after: keep` in place of `after: {config.after}`.")
    else:
        yield fine("originals", f"can leave the inbox (after: {config.after})")


def _archive(premises: Premises, archive: Path) -> Finding:
    try:
        _whereabouts(premises, archive, ARCHIVE_KEY).check()
    except OutboxError as error:
        return wrong("archive", error.message, error.remedy)
    if not archive.exists():
        return _can_be_made("archive", archive)
    trouble = Outbox(archive).trouble()
    if trouble is None:
        return fine("archive", f"{archive}, on {_file_system(archive)}")
    return wrong("archive", trouble.message, trouble.remedy.replace("the outbox", "the archive"))


def check_room(premises: Premises) -> Iterator[Finding]:
    """Whether there is room for a painting on the disks of the outbox and of the state folder."""
    room = room_for(_recipe(premises))
    folders = (("outbox", premises.config.outbox, room.outbox_bytes), ("state", premises.state, room.state_bytes))
    for name, folder, needed in folders:
        free = free_bytes(folder)
        if free is None:
            yield note("room", f"The disk of the {name}, {folder}, does not tell how much is free.")
        elif free < needed:
            text = f"{_size(free)} are free for the {name}, {folder}; a painting takes up to {_size(needed)}."
            yield wrong("room", text, "Make room there, or name a folder on a larger disk.")
        else:
            yield fine("room", f"{_size(free)} free for the {name}; a painting takes up to {_size(needed)}")


def _recipe(premises: Premises) -> Recipe:
    """That of the inbox itself; where its settings are at fault, which is told elsewhere, the built-in one."""
    try:
        return folder_settings(premises.config).resolve(PurePosixPath()).recipe
    except MonetWatchError:
        return Recipe()


def _folders(premises: Premises) -> Iterator[tuple[PurePosixPath, bool]]:
    """The inbox itself and all folders in it that are not left alone, relative to it, and whether each can be read."""
    inbox, sieve = premises.config.inbox, sieve_of(premises.config)
    refused: list[str] = []
    for name, below, _ in os.walk(inbox, onerror=lambda error: refused.append(error.filename)):
        folder = PurePosixPath(Path(name).relative_to(inbox).as_posix())
        below[:] = [each for each in below if sieve.enters(folder / each)]
        yield folder, True
    for name in refused:
        yield PurePosixPath(Path(name).relative_to(inbox).as_posix()), False


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode)


def _listed(folders: list[PurePosixPath]) -> str:
    names = ", ".join("the inbox" if folder == PurePosixPath() else str(folder) for folder in folders[:_NAMED])
    return names + (f" and {len(folders) - _NAMED} more folders" if len(folders) > _NAMED else "")


def _user() -> str:
    """Whoever looks; rights are that account's."""
    if os.name != "posix":
        return "this account"
    import pwd

    try:
        return f"the account {pwd.getpwuid(os.geteuid()).pw_name}"
    except KeyError:
        return f"the account {os.geteuid()}"


def _file_system(folder: Path) -> str:
    mount = Mounts.parse(mountinfo()).holding(PurePosixPath(os.path.realpath(folder)))
    return f"{mount.file_system} ({mount.source})" if mount is not None else "a file system of its own"


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 1 << 30 else f"{-(-count // _MEBI)} MiB"
