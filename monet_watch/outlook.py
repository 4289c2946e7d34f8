"""Looking ahead: when each painting under way will be done, and when everything will, from what the ledger knows."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from monet_watch.ledger import Job, Ledger, Measure, Outlook, Overview, StepTaken
from monet_watch.plan import Plan
from monet_watch.recipes import Recipe
from monet_watch.remaining import Awaiting, Estimator, Painted, Underway, until_all_is_done

__all__ = ["looking_ahead", "outlook_of"]


def looking_ahead(overview: Overview, ledger: Ledger) -> Overview:
    """Return ``overview`` with its outlook. Raises LedgerError."""
    measures = ledger.measures()
    steps = {job.id: ledger.steps_taken(job.id) for job in overview.running}
    awaiting = [Awaiting(_recipe(settings), count) for settings, count in ledger.queued_settings()]
    return replace(overview, outlook=outlook_of(overview.running, steps, measures, awaiting))


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
