"""All that is known of one photo's painting: from the ledger, and from the record that lies beside the painting."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from monet_watch.delivery import read_record
from monet_watch.errors import OutboxError
from monet_watch.finding import Places, find_job
from monet_watch.ledger import Attempt, Job, JobState, Ledger
from monet_watch.listing import job_facts
from monet_watch.outbox.files import Outbox
from monet_watch.outbox.record import LossValues, PaintingRecord
from monet_watch.plan import Plan
from monet_watch.printable import printable
from monet_watch.settings_table import SettingRow, setting_rows, settings_table
from monet_watch.sparkline import sparkline
from monet_watch.wording import duration, number, time_of_day, utc

__all__ = ["Account", "account_facts", "render_account", "take_account"]

_CURVE_WIDTH = 40


@dataclass(frozen=True, slots=True)
class Account:
    """A job, and what belongs to it.

    ``folder`` is where its painting lies, None where there is none (any more); ``files`` are the names in it.
    ``settings`` are empty while they are not known. ``others`` are further jobs of the same photo, the newest first.
    """

    job: Job
    attempts: tuple[Attempt, ...]
    others: tuple[Job, ...]
    settings: tuple[SettingRow, ...]
    folder: Path | None = None
    files: tuple[str, ...] = ()
    record: PaintingRecord | None = None


def take_account(given: str, places: Places, ledger: Ledger) -> Account:
    """Return what is known of the photo or the painting that ``given`` means. Raises SettingsError for an unknown one.

    A record that is damaged, or in a folder that cannot be read, counts as none.
    """
    job = find_job(given, places, ledger)
    others = tuple(each for each in ledger.known(job.path) if each.id != job.id)
    record = _record(job, Outbox(places.outbox))
    folder = places.outbox / job.folder if job.folder is not None else None
    files = _files(folder)
    there = folder if files else None
    return Account(job, ledger.attempts(job.id), others, _settings(job, record), there, files, record)


def _record(job: Job, outbox: Outbox) -> PaintingRecord | None:
    if job.folder is None or not outbox.surely_holds(job.folder):
        return None
    try:
        record = read_record(outbox, job.folder)
    except OutboxError:
        return None
    return record if record.identity == job.identity else None


def _files(folder: Path | None) -> tuple[str, ...]:
    if folder is None:
        return ()
    try:
        names = [path.name for path in folder.iterdir() if path.is_file()]
    except OSError:
        return ()
    return tuple(sorted(name for name in names if not name.startswith(".")))


def _settings(job: Job, record: PaintingRecord | None) -> tuple[SettingRow, ...]:
    if record is not None:
        return setting_rows(record.recipe, [style.name for style in record.styles], record.origins)
    if not job.settings:
        return ()
    plan = Plan.from_json(job.settings)
    return setting_rows(plan.recipe, [style.source.name for style in plan.styles], plan.origins)


# ---- for people -----------------------------------------------------------------------------------------------------


def render_account(account: Account, now: float) -> RenderableType:
    """Return what `rich` can print: how it is, the losses, the files, every attempt and every setting."""
    job = account.job
    parts: list[RenderableType] = [Text(printable(str(job.path)), style="bold"), _facts_table(account, now)]
    if account.attempts:
        parts += [Text(), Text("Attempts", style="bold"), _attempts_table(account.attempts, now)]
    if account.settings:
        parts += [Text(), settings_table("Settings", account.settings)]
    if account.others:
        parts += [Text(), Text("Also of this photo", style="bold"), *(_other(each, now) for each in account.others)]
    return Group(*parts)


def _facts_table(account: Account, now: float) -> Table:
    table = Table(box=None, show_header=False, pad_edge=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, words in _facts(account, now):
        table.add_row(Text(name), Text(printable(words)))
    return table


def _facts(account: Account, now: float) -> list[tuple[str, str]]:
    """What there is to tell, a name and a line each."""
    job, record = account.job, account.record
    facts = [("state", f"{job.state}, since {time_of_day(job.changed_at, now)} (job {job.id})")]
    facts += [("why", job.reason)] if job.reason else []
    facts += [("what to do", job.remedy)] if job.remedy else []
    facts += [("tried again", f"at {time_of_day(job.retry_at, now)}")] if job.retry_at is not None else []
    if job.state is JobState.RUNNING:
        facts.append(("progress", f"step {job.step} of at most {job.steps}, on {job.worker}"))
    if job.width and job.height:
        facts.append(("size", f"{job.width} × {job.height} pixels"))
    if record is not None:
        facts += _record_facts(record)
    elif job.loss is not None:
        facts.append(("loss", number(job.loss)))
    return facts + _file_facts(account)


def _record_facts(record: PaintingRecord) -> list[tuple[str, str]]:
    curve, machine = record.curve.total, record.machine
    line = sparkline(curve, _CURVE_WIDTH)
    return [
        ("took", f"{len(curve)} steps in {duration(record.times.seconds)}: {record.reason}"),
        ("loss", f"{number(curve[0])} {line} {number(curve[-1])}".replace("  ", " ") if curve else "none"),
        ("delivered", _in_parts(record.delivered)),
        ("painted by", f"{machine.device_name or machine.device} ({machine.device}), {machine.precision}"),
        ("weights", f"{record.weights.source}, SHA-256 {record.weights.sha256[:12]}…"),
        ("identity", record.identity),
        *(("remark", remark) for remark in record.remarks),
        *([("copied from", record.copied_from)] if record.copied_from else []),
    ]


def _in_parts(losses: LossValues) -> str:
    parts = (f"{name} {number(getattr(losses, name))}" for name in ("style", "content", "tv"))
    return f"{number(losses.total)}: {', '.join(parts)}"


def _file_facts(account: Account) -> list[tuple[str, str]]:
    if account.folder is not None:
        return [("folder", str(account.folder)), ("files", ", ".join(account.files))]
    if account.job.state is JobState.DONE:
        return [("folder", "its files were removed by hand, or may not be read; `monet-watch retry` paints it anew")]
    return []


def _attempts_table(attempts: tuple[Attempt, ...], now: float) -> Table:
    table = Table(box=None, show_header=False)
    for each in attempts:
        took = "" if each.ended_at is None else duration(max(0.0, each.ended_at - each.started_at))
        outcome = "under way" if each.ended_at is None else each.outcome
        words = (str(each.number), time_of_day(each.started_at, now), each.worker, took, outcome, each.detail)
        table.add_row(*(Text(printable(word)) for word in words))
    return table


def _other(job: Job, now: float) -> Text:
    place = f", in {job.folder}" if job.folder is not None else ""
    return Text(printable(f"  {job.state}, since {time_of_day(job.changed_at, now)}{place} (job {job.id})"))


# ---- for programs ---------------------------------------------------------------------------------------------------


def account_facts(account: Account) -> dict[str, Any]:
    """Return the account as plain data for JSON.

    Beside what `monet_watch.listing.job_facts` has: ``settings``, each with its ``value`` and ``origin`` by its key;
    ``attempts_made``; ``files``, in ``place`` (in full); ``record``, which is painting.json, or None; ``others``,
    further jobs of the same photo.
    """
    return {
        **job_facts(account.job),
        "settings": {row.key: {"value": row.value, "origin": row.origin} for row in account.settings},
        "attempts_made": [_attempt_facts(each) for each in account.attempts],
        "place": None if account.folder is None else str(account.folder),
        "files": list(account.files),
        "record": None if account.record is None else json.loads(account.record.model_dump_json()),
        "others": [job_facts(each) for each in account.others],
    }


def _attempt_facts(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "worker": attempt.worker,
        "started_at": utc(attempt.started_at),
        "ended_at": None if attempt.ended_at is None else utc(attempt.ended_at),
        "outcome": attempt.outcome,
        "detail": attempt.detail,
    }
