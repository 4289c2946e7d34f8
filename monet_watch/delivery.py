"""From a worker's events to the files of a painting in the outbox.

The record is written last, so that a folder that holds ``painting.json`` holds everything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from monet_watch.outbox.files import (
    PHOTO_NAME,
    RECORD_NAME,
    Outbox,
    further_name,
    painting_name,
    progress_name,
)
from monet_watch.outbox.record import (
    Curve,
    LossValues,
    MachineFacts,
    PaintingRecord,
    PhotoFacts,
    StyleFacts,
    Times,
    WeightsFacts,
    iso_time,
)
from monet_watch.plan import Plan
from monet_watch.workers.base import JobFinished, JobSnapshot, WorkerReady

__all__ = [
    "LOSS_PLOT_NAME",
    "Commission",
    "copy_painting",
    "deliver",
    "deliver_stage",
    "painting_files",
    "read_record",
    "write_painting",
]

LOSS_PLOT_NAME = "loss.png"


@dataclass(frozen=True, slots=True)
class Commission:
    """What was asked for. Times are seconds since the epoch; ``attempts`` counts the one that succeeded.

    ``resumed_at_step`` is the step of the checkpoint from which that one went on, if there was one.
    """

    identity: str
    photo: PhotoFacts
    plan: Plan
    queued_at: float
    started_at: float
    attempts: int = 1
    resumed_at_step: int | None = None


def deliver_stage(outbox: Outbox, folder: PurePosixPath, snapshot: JobSnapshot) -> str:
    """Write a progress picture into ``folder`` and return its name. Raises OutboxError."""
    name = progress_name(snapshot.number)
    outbox.write(folder, name, snapshot.png)
    return name


def deliver(
    outbox: Outbox,
    folder: PurePosixPath,
    commission: Commission,
    finished: JobFinished,
    machine: WorkerReady,
    now: Callable[[], float],
) -> PaintingRecord:
    """Write the painting, its loss plot and at last its record into ``folder``. Raises OutboxError."""
    return write_painting(outbox, folder, painting_files(commission, finished, machine, now()))


def painting_files(
    commission: Commission, finished: JobFinished, machine: WorkerReady, finished_at: float
) -> dict[str, bytes]:
    """Return the files of a painting by their names, all but the stages; the record, which names none yet, is last."""
    record = _record(commission, finished, machine, finished_at)
    further = {record.further[kind]: data for kind, data in finished.further.items()}
    files = {record.painting: finished.png, LOSS_PLOT_NAME: finished.loss_plot, **further}
    if finished.photo:
        files[PHOTO_NAME] = finished.photo
    if finished.timelapse is not None:
        files[finished.timelapse.name] = finished.timelapse.data
    return {**files, RECORD_NAME: record.to_bytes()}


def write_painting(outbox: Outbox, folder: PurePosixPath, files: Mapping[str, bytes]) -> PaintingRecord:
    """Write what `painting_files` returned into ``folder``, with the stages that are there named in the record.

    Stages of later steps than the last are removed: an attempt that was killed had gone further. So are those that a
    finished painting does not keep; the record lists what is there. Raises OutboxError.
    """
    record = PaintingRecord.from_bytes(files[RECORD_NAME])
    for name, data in files.items():
        if name != RECORD_NAME:
            outbox.write(folder, name, data)
    outbox.remove_stages(folder, after=len(record.curve.total))
    outbox.thin_stages(folder)
    record = record.model_copy(update={"stages": tuple(outbox.stages(folder))})
    outbox.write(folder, RECORD_NAME, record.to_bytes())
    return record


def _record(commission: Commission, finished: JobFinished, machine: WorkerReady, finished_at: float) -> PaintingRecord:
    plan, painting = commission.plan, painting_name(commission.photo.real_path().name)
    return PaintingRecord(
        identity=commission.identity,
        settings_key=plan.settings_key,
        photo=commission.photo,
        painting=painting,
        further={kind: further_name(painting, kind) for kind in finished.further},
        width=finished.width,
        height=finished.height,
        styles=tuple(StyleFacts(name=style.source.name, sha256=style.sha256) for style in plan.styles),
        recipe=plan.recipe,
        origins=dict(plan.origins),
        weights=WeightsFacts(source=plan.weights_source, sha256=plan.weights_sha256),
        machine=_machine(machine, finished),
        times=Times(
            queued=iso_time(commission.queued_at),
            started=iso_time(commission.started_at),
            finished=iso_time(finished_at),
            seconds=round(finished.seconds, 3),
            attempts=commission.attempts,
        ),
        reason=finished.reason,
        losses=LossValues.of(finished.curve[-1]),
        delivered=LossValues.of(finished.delivered),
        stages=(),
        curve=Curve.of(finished.curve),
        resumed_at_step=commission.resumed_at_step,
        remarks=finished.remarks,
        timelapse=None if finished.timelapse is None else finished.timelapse.name,
    )


def _machine(machine: WorkerReady, finished: JobFinished) -> MachineFacts:
    return MachineFacts(
        device=machine.device,
        device_name=machine.device_name,
        precision=finished.precision,
        threads=machine.threads,
        versions=dict(machine.versions),
        memory_bytes=finished.memory_bytes,
        tile=finished.tile,
        pairs=finished.pairs,
    )


def read_record(outbox: Outbox, folder: PurePosixPath) -> PaintingRecord:
    """Return the record of the painting in ``folder``. Raises OutboxError if there is none, or it is damaged."""
    return PaintingRecord.from_bytes(outbox.read(folder, RECORD_NAME))


def copy_painting(outbox: Outbox, source: PurePosixPath, folder: PurePosixPath, photo: PhotoFacts) -> PaintingRecord:
    """Give ``photo``, a copy of one that is painted already, the files of ``source`` in ``folder``.

    They are in the formats that the original has, whatever the photo's own folder says. Of its stages, those are copied
    that a painting keeps, and its moving picture unless somebody has removed that. Raises OutboxError where another
    file of the source is gone, or one cannot be written.
    """
    original = read_record(outbox, source)
    painting = painting_name(photo.real_path().name)
    stages = tuple(outbox.kept_stages(original.stages))
    further = {kind: further_name(painting, kind) for kind in original.further}
    names = {original.painting: painting, LOSS_PLOT_NAME: LOSS_PLOT_NAME, **{name: name for name in stages}}
    names |= {original.further[kind]: name for kind, name in further.items()}
    timelapse = original.timelapse if original.timelapse and outbox.has(source, original.timelapse) else None
    names |= {name: name for name in (timelapse,) if name is not None}
    files = {target: outbox.read(source, name) for name, target in names.items()}
    if outbox.has(source, PHOTO_NAME):
        files[PHOTO_NAME] = outbox.read(source, PHOTO_NAME)
    for target, data in files.items():
        outbox.write(folder, target, data)
    facts = {
        "photo": photo,
        "painting": painting,
        "further": further,
        "stages": stages,
        "timelapse": timelapse,
        "copied_from": str(source),
        "after_painting": None,
    }
    record = original.model_copy(update=facts)
    outbox.write(folder, RECORD_NAME, record.to_bytes())
    return record
