"""Looking ahead: when each painting under way will be done, and when everything will, from what the ledger knows."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from monet_watch.hours import ActiveHours
from monet_watch.ledger import PAUSED_KEY, Job, Ledger, Measure, Outlook, Overview, StepTaken
from monet_watch.plan import Plan
from monet_watch.recipes import Recipe
from monet_watch.remaining import Awaiting, Estimator, Painted, Underway, until_all_is_done

__all__ = ["looking_ahead", "outlook_of"]


def looking_ahead(overview: Overview, ledger: Ledger, hours: ActiveHours, now: float) -> Overview:
    """Return ``overview`` with its outlook, as it is ``now``. Raises LedgerError.

    What is left of paintings includes the time in which painting rests, outside its ``hours``. While it is paused
    nobody knows when anything will be done.
    """
    measures = ledger.measures()
    steps = {job.id: ledger.steps_taken(job.id) for job in overview.running}
    awaiting = [Awaiting(_recipe(settings), count) for settings, count in ledger.queued_settings()]
    outlook = outlook_of(overview.running, steps, measures, awaiting)
    if ledger.noted(PAUSED_KEY):
        return replace(overview, outlook=replace(outlook, remaining_seconds={}, all_seconds=None))
    return replace(overview, outlook=_with_rest(outlook, hours, now))


def _with_rest(outlook: Outlook, hours: ActiveHours, now: float) -> Outlook:
    """The outlook, if painting rests outside its ``hours``."""
    left = {number: hours.after(now, seconds) - now for number, seconds in outlook.remaining_seconds.items()}
    total = outlook.all_seconds
    return replace(
        outlook, remaining_seconds=left, all_seconds=None if total is None else hours.after(now, total) - now
    )


def outlook_of(
    running: Sequence[Job],
    steps: dict[int, tuple[StepTaken, ...]],
    measures: Sequence[Measure] = (),
    awaiting: Sequence[Awaiting] = (),
) -> Outlook:
    """Return what is to be expected of the ``running`` paintings, with their ``steps``, and of what is ``awaiting``."""
    underway = {job.id: _underway(job, steps.get(job.id, ())) for job in running if job.settings}
    painted = [_painted(measure) for measure in measures]
    estimator = Estimator(painted, tuple(underway.values()))
    seconds = {number: estimator.remaining_seconds(each) for number, each in underway.items()}
    idle = [] if underway else [each.device for each in painted[-1:]]
    return Outlook(
        remaining_seconds={number: each for number, each in seconds.items() if each is not None},
        expected_steps={number: estimator.expected_steps(each) for number, each in underway.items()},
        curves={number: tuple(step.loss for step in taken) for number, taken in steps.items() if taken},
        all_seconds=until_all_is_done(estimator, list(underway.values()), awaiting, idle),
    )


def _underway(job: Job, steps: tuple[StepTaken, ...]) -> Underway:
    size = (job.width, job.height) if job.width and job.height else None
    return Underway(job.worker, _recipe(job.settings or ""), size, steps)


def _painted(measure: Measure) -> Painted:
    return Painted(
        measure.device,
        _recipe(measure.settings),
        measure.width,
        measure.height,
        measure.last_step,
        measure.paces,
        measure.other_seconds,
    )


@lru_cache(maxsize=256)  # the photos of a folder have the same
def _recipe(settings: str) -> Recipe:
    return Plan.from_json(settings).recipe
