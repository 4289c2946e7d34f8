"""An overview for programs."""

from typing import Any

from monet_watch.ledger import Job, JobState, Outlook, Overview, WatchState, WorkerState
from monet_watch.wording import finite, utc

__all__ = ["overview_json"]


def overview_json(overview: Overview) -> dict[str, Any]:
    """Return the overview as plain data for ``json.dumps(..., allow_nan=False)``.

    - ``resting``: why nothing is painted at present, and when that ends; None while painting goes on
    - ``watch``: how the inbox is watched, None if it is not: ``mode`` and ``reason``, ``limited`` (the system grants
      less than it should), ``trouble`` (why it cannot be watched, or None), ``scanned_at`` (when everything was looked
      through last), ``restarted_at`` and ``restarted_for`` (when and why the watch was last made anew, or None)
    - ``workers``, as of the daemon's last heartbeat, empty while none runs: ``device``, ``node`` (None: this machine),
      ``health`` (``loading``, ``idle``, ``painting``, or ``ended`` where another one is to be started), ``photo``,
      ``seconds_per_step`` of its last painting and ``step_seconds`` by size (``pixels`` and ``seconds``), ``painted``
      and ``failures`` since the daemon started, ``waits_for`` (why there is none, or why it cannot begin) and
      ``retry_at`` (when another one is started)
    - ``config_fault``: why the config's file, as it is, is not in force; None while it is
    - ``trouble``: what keeps paintings waiting, or a device from being used, until it passes; None where nothing does
    - ``counts``: number of jobs by state: ``waiting``, ``queued``, ``running``, ``done``, ``problem``
    - ``remaining_seconds``: in about how long all that is queued and being painted is done, with the hours in which
      painting rests; None while nobody knows, or while it is paused
    - ``running``: ``photo``, ``job``, ``step``, ``steps``, ``expected_steps``, ``loss``, ``seconds_per_step``,
      ``remaining_seconds``, ``worker``, ``started_at``, ``width``, ``height``
    - ``queued``: ``photo``, ``job``, ``queued_at``
    - ``put_off``, those of the queued that are tried again later: ``photo``, ``job``, ``reason``, ``remedy``, ``kind``,
      ``times``, ``retry_at``
    - ``waiting``: ``photo``, ``job``, ``reason``, ``remedy``, ``kind``, ``seen_at``
    - ``done``: ``photo``, ``job``, ``folder``, ``identity``, ``loss``, ``steps``, ``seconds``, ``finished_at``,
      ``width``, ``height``
    - ``problems``: ``photo``, ``job``, ``reason``, ``remedy``, ``kind``, ``attempts``, ``finished_at``

    A running painting takes ``steps`` at most, and probably ``expected_steps``, for which it needs
    ``remaining_seconds`` more; one that is done has taken ``steps``. The lists are the overview's, newest first, and
    may be shorter than the counts. ``photo`` is relative to the inbox, ``folder`` to the outbox, ``job`` is the number
    that stands in the log; times are ISO 8601 in UTC; what is not known is None.
    """
    return {
        "resting": overview.resting or None,
        "trouble": overview.trouble or None,
        "watch": _watch_facts(overview.watch) if overview.watch is not None else None,
        "workers": [_worker_facts(each) for each in overview.workers],
        "config_fault": overview.config_fault or None,
        "counts": {state.value: overview.counts.get(state, 0) for state in JobState},
        "remaining_seconds": finite(overview.outlook.all_seconds),
        "running": [_running_facts(job, overview.outlook) for job in overview.running],
        "queued": [{**_which(job), "queued_at": _utc_or_none(job.queued_at)} for job in overview.queued],
        "put_off": [_put_off_facts(job) for job in overview.put_off],
        "waiting": [{**_held_up_facts(job), "seen_at": utc(job.seen_at)} for job in overview.waiting],
        "done": [_done_facts(job) for job in overview.done],
        "problems": [_problem_facts(job) for job in overview.problems],
    }


def _watch_facts(watch: WatchState) -> dict[str, Any]:
    return {
        "mode": watch.mode or None,
        "reason": watch.reason,
        "limited": watch.limited,
        "trouble": watch.trouble or None,
        "scanned_at": _utc_or_none(watch.scanned_at),
        "restarted_at": _utc_or_none(watch.restarted_at),
        "restarted_for": watch.restarted_for or None,
    }


def _worker_facts(worker: WorkerState) -> dict[str, Any]:
    return {
        "device": worker.device,
        "node": worker.node or None,
        "health": worker.health,
        "photo": worker.photo or None,
        "seconds_per_step": finite(worker.seconds_per_step),
        "step_seconds": [{"pixels": pixels, "seconds": finite(seconds)} for pixels, seconds in worker.step_seconds],
        "painted": worker.painted,
        "failures": worker.failures,
        "waits_for": worker.waits_for or None,
        "retry_at": _utc_or_none(worker.retry_at),
    }


def _which(job: Job) -> dict[str, Any]:
    return {"photo": str(job.path), "job": job.id}


def _running_facts(job: Job, outlook: Outlook) -> dict[str, Any]:
    return {
        **_which(job),
        "step": job.step,
        "steps": job.steps,
        "loss": finite(job.loss),
        "seconds_per_step": finite(job.seconds_per_step),
        "expected_steps": outlook.expected_steps.get(job.id),
        "remaining_seconds": finite(outlook.remaining_seconds.get(job.id)),
        "worker": job.worker,
        "started_at": _utc_or_none(job.started_at),
        "width": job.width,
        "height": job.height,
    }


def _held_up_facts(job: Job) -> dict[str, Any]:
    return {**_which(job), "reason": job.reason, "remedy": job.remedy, "kind": job.kind}


def _put_off_facts(job: Job) -> dict[str, Any]:
    return {**_held_up_facts(job), "times": job.put_off, "retry_at": _utc_or_none(job.retry_at)}


def _problem_facts(job: Job) -> dict[str, Any]:
    return {**_held_up_facts(job), "attempts": job.attempts, "finished_at": _utc_or_none(job.finished_at)}


def _done_facts(job: Job) -> dict[str, Any]:
    return {
        **_which(job),
        "folder": None if job.folder is None else str(job.folder),
        "identity": job.identity,
        "loss": finite(job.loss),
        "steps": job.step or job.steps,
        "seconds": job.seconds_taken,
        "finished_at": _utc_or_none(job.finished_at),
        "width": job.width,
        "height": job.height,
    }


def _utc_or_none(at: float | None) -> str | None:
    return None if at is None else utc(at)
