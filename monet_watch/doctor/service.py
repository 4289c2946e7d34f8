"""Whether the settings can be used, whether a daemon runs and answers, and what systemd knows of it."""

import getpass
import shutil
import subprocess
from collections.abc import Iterator

from monet_watch.claim import OutboxClaim
from monet_watch.daemon import HEARTBEAT_SECONDS
from monet_watch.doctor.findings import Finding, Premises, fine, note, wrong
from monet_watch.errors import AlreadyRunningError
from monet_watch.finding import read_ledger
from monet_watch.household import folder_settings
from monet_watch.ledger import CONFIG_FAULT_KEY, HEARTBEAT_KEY
from monet_watch.service import held_since, holder, is_held
from monet_watch.wording import duration

__all__ = ["check_daemon", "check_settings", "check_units", "run_systemctl"]

_UNIT = "monet-watch.service"
_FACTS = ("LoadState", "ActiveState", "UnitFileState", "User", "Result")
_SYSTEMCTL_SECONDS = 10.0
_SILENT_SECONDS = 6 * HEARTBEAT_SECONDS


def run_systemctl(*arguments: str) -> str | None:
    """Return what ``systemctl`` prints; None where there is none, it fails, or nobody answers it."""
    program = shutil.which("systemctl")
    if program is None:
        return None
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=_SYSTEMCTL_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def check_settings(premises: Premises) -> Iterator[Finding]:
    """Whether the settings and the style pictures of every folder of the inbox can be used."""
    settings = folder_settings(premises.config)
    folders = settings.folders_with_settings()
    faults = settings.faults(folders)
    for fault in faults:
        yield wrong("settings", fault, "Its folder waits until it is mended; `monet-watch check` tells of it, too.")
    if not faults:
        count = len(folders)
        words = "folder has settings or a style of its" if count == 1 else "folders have settings or a style of their"
        yield fine("settings", f"{count} {words} own")


def check_daemon(premises: Premises) -> Iterator[Finding]:
    """Whether a daemon runs, answers, and has taken the config over."""
    if not is_held(premises.state):
        yield from _not_running(premises)
        return
    number = holder(premises.state)
    with read_ledger(premises.config, premises.environ) as ledger:
        heard_at = float(ledger.noted(HEARTBEAT_KEY) or 0)  # maybe of one that ran before, and has stopped
        fault = ledger.noted(CONFIG_FAULT_KEY)
    silent = premises.now() - max(heard_at, held_since(premises.state))
    if silent > _SILENT_SECONDS:
        text = f"It runs (process {number}), but has not gone round its loop for {duration(silent)}."
        yield wrong("daemon", text, f"Start it again: systemctl restart monet-watch, or kill {number}.")
    else:
        yield fine("daemon", f"It runs (process {number}).")
    if fault:
        yield wrong("config", fault, "Mend the config; it is read again by itself.")


def _not_running(premises: Premises) -> Iterator[Finding]:
    try:
        OutboxClaim(premises.config.outbox).look()
    except AlreadyRunningError as error:
        yield note("daemon", error.message, "It has another state folder than this config.")
        return
    yield note("daemon", "It does not run.", "Start it: monet-watch run, or systemctl start monet-watch.")


def check_units(premises: Premises) -> Iterator[Finding]:
    """Whether systemd knows the service, of the machine or of this account, and how it is."""
    loaded = False
    for whose, options in (("the machine's", ()), ("this account's", ("--user",))):
        facts = _unit(premises, *options)
        if facts.get("LoadState") == "loaded":
            loaded = True
            yield _judged(whose, facts, " ".join(("", *options)))
            yield from _other_account(facts)
    if not loaded:
        text = "systemd has no monet-watch.service, or does not run here."
        yield note("service", text, "README says how to install it, where it is to run by itself.")


def _unit(premises: Premises, *options: str) -> dict[str, str]:
    printed = premises.systemctl(*options, "show", _UNIT, *(f"--property={name}" for name in _FACTS)) or ""
    return dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)


def _judged(whose: str, facts: dict[str, str], options: str) -> Finding:
    text = f"{whose} {_UNIT} is {facts.get('ActiveState')}, and {facts.get('UnitFileState') or 'static'}"
    if facts.get("ActiveState") == "failed":
        why = f"{text}: {facts.get('Result')}."
        return wrong(
            "service", why, f"journalctl{options} -u monet-watch says why; then systemctl{options} restart it."
        )
    if facts.get("UnitFileState") == "disabled":
        return note("service", f"{text}: it is not started with the machine.", f"systemctl{options} enable monet-watch")
    return fine("service", text)


def _other_account(facts: dict[str, str]) -> Iterator[Finding]:
    user = facts.get("User", "")
    if user and user != getpass.getuser():
        text = f"The service runs as {user}; rights were looked at as those of {getpass.getuser()}."
        yield note("service", text, f"sudo -u {user} monet-watch doctor, with its config, looks as the service does.")
