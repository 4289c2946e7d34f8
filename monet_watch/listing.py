"""Which photos there are, one line each: for people a table, for programs plain data."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from monet_watch.errors import SettingsError
from monet_watch.ledger import Job, JobState
from monet_watch.printable import printable
from monet_watch.wording import duration, finite, number, time_of_day, utc

__all__ = ["job_facts", "jobs_table", "moment", "states_named"]

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGO = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(_UNITS)})", re.ASCII)
_STYLES = {JobState.RUNNING: "bold", JobState.DONE: "green", JobState.WAITING: "yellow", JobState.PROBLEM: "red"}


def moment(text: str, now: float) -> float:
    """Return the time that ``text`` means, in seconds since the epoch, as ``now`` is.

    It is how long ago (``90 min``, ``12h``, ``3d``, ``2w``), or a date or a time in ISO 8601 (``2026-11-24``,
    ``2026-11-24T18:30``), in local time unless it says otherwise. Raises SettingsError for anything else.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return now - float(ago[1]) * _UNITS[ago[2]]
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        words = f"{text} is no time; write how long ago, as 90min, 12h, 3d or 2w, or a date, as 2026-11-24"
        raise SettingsError(f"--since: {words}") from error


def states_named(names: Iterable[str]) -> tuple[JobState, ...]:
    """Return the states of these names, all of them where none is named. Raises SettingsError for an unknown one."""
    try:
        return tuple(map(JobState, names)) or tuple(JobState)
    except ValueError as error:
        words = ", ".join(JobState)
        raise SettingsError(f"--state: {str(error).partition(' is ')[0]} is no state; name one of {words}") from error


def jobs_table(jobs: Iterable[Job], now: float) -> Table:
    """Return what `rich` can print: a line for each job, and as much of its reason as there is room for."""
    table = Table(box=None, pad_edge=False, show_header=True, header_style="bold")
    table.add_column("state", no_wrap=True)
    table.add_column("when", no_wrap=True)
    table.add_column("photo", overflow="fold", ratio=3)
    table.add_column("how it is", overflow="fold", ratio=2)
    for job in jobs:
        when = time_of_day(job.changed_at, now)
        words = (Text(job.state, style=_STYLES.get(job.state, "")), Text(when, style="dim"))
        table.add_row(*words, Text(printable(str(job.path))), Text(printable(_words(job, now))))
    return table


def _words(job: Job, now: float) -> str:
    match job.state:
        case JobState.RUNNING:
            return f"step {job.step} of at most {job.steps}" + (f", loss {number(job.loss)}" if job.loss else "")
        case JobState.DONE:
            took = "" if job.seconds_taken is None else duration(job.seconds_taken)
            parts = ["" if job.loss is None else f"loss {number(job.loss)}", took]
            return ", ".join(filter(None, parts))
        case _ if job.retry_at is not None:
            return f"tried again at {time_of_day(job.retry_at, now)}: {job.reason}"
        case _:
            return job.reason


def job_facts(job: Job) -> dict[str, Any]:
    """Return a job as plain data for JSON.

    ``photo`` is relative to the inbox, ``folder`` to the outbox. Times are ISO 8601 in UTC, ``seconds`` is how long the
    last attempt took. What is not known is None.
    """
    times = ("seen_at", "queued_at", "started_at", "finished_at", "retry_at")
    plain = ("identity", "attempts", "step", "steps", "width", "height", "kind", "reason", "remedy", "worker")
    return {
        "photo": str(job.path),
        "job": job.id,
        "state": job.state.value,
        "folder": None if job.folder is None else str(job.folder),
        **{name: getattr(job, name) for name in plain},
        "loss": finite(job.loss),
        "priority": job.priority,
        "seconds": job.seconds_taken,
        **{name: None if getattr(job, name) is None else utc(getattr(job, name)) for name in times},
    }
