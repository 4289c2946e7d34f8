"""A config made into a running house: every part built once, and given what it needs.

The one place that knows how the parts fit together; they know each other by what they are handed.
"""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from monet_watch import weights
from monet_watch.aftercare import Aftercare
from monet_watch.arrivals import Arrivals, ArrivalsParts
from monet_watch.checkpoints import Checkpoints
from monet_watch.config import Config, state_folder
from monet_watch.console import ConsoleView
from monet_watch.daemon import Daemon, DaemonParts, Mailbox, Outcome
from monet_watch.delivery import read_record
from monet_watch.dispatch import Dispatch, DispatchParts, WorkerFactory
from monet_watch.errors import OutboxError
from monet_watch.inbox.ignore import IgnoreList, Sieve
from monet_watch.inbox.settle import Settling
from monet_watch.inbox.survey import Surveyor
from monet_watch.inbox.watch import Mode, WatchdogWatch
from monet_watch.ledger import LEDGER_NAME, Ledger
from monet_watch.notices import Level, Listener, Notice
from monet_watch.outbox.files import Outbox, remove_temporaries
from monet_watch.outbox.record import PaintingRecord
from monet_watch.plan import Plan, PlannedStyle, Planner
from monet_watch.service import Notifier, single_instance, stop_signals
from monet_watch.settings import FolderSettings, is_settings_file, is_style_picture
from monet_watch.styles.library import StyleLibrary, StyleSource
from monet_watch.workers.base import Post, WeightsFile, Worker
from monet_watch.workers.local import LocalWorker

__all__ = ["House", "find_weights", "folder_settings", "run_daemon", "weights_folder"]

_MEGA = 1_000_000


@dataclass(frozen=True, slots=True)
class House:
    """What a run of the daemon is given from outside. ``mailbox`` may be posted to by whoever made it."""

    config: Config
    environ: Mapping[str, str]
    console: ConsoleView
    mailbox: Mailbox
    once: bool = False
    listen: Listener = lambda notice: None

    def tell(self, notice: Notice) -> None:
        """Tell the console, and whoever listens beside it."""
        self.console(notice)
        self.listen(notice)


def weights_folder(config: Config, environ: Mapping[str, str]) -> Path:
    """Return where fetched weights lie: in the state folder where one is named, else in the user's data folder."""
    if config.state is not None or "STATE_DIRECTORY" in environ:
        return state_folder(config, environ) / "weights"
    return weights.default_folder()


def find_weights(config: Config, environ: Mapping[str, str]) -> WeightsFile:
    """Return the weights that the config names. Raises WeightsError."""
    return weights.find(str(config.weights), weights_folder(config, environ))


def folder_settings(config: Config) -> FolderSettings:
    """Return the settings of the inbox's folders."""
    return FolderSettings(config.inbox, config.folder_defaults(), StyleLibrary(config.style_library))


def run_daemon(house: House) -> Outcome:
    """Run the daemon in this process until it ends. Signals ask it to stop.

    Raises AlreadyRunningError, LedgerError, OutboxError, WeightsError and WorkerError.
    """
    config = house.config
    state = state_folder(config, house.environ)
    state.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(single_instance(state))
        stack.enter_context(stop_signals(house.mailbox.post))
        ledger = stack.enter_context(Ledger.open(state / LEDGER_NAME))
        outbox = Outbox(config.outbox)
        _tidy(house, ledger, outbox, Checkpoints(state / "checkpoints"))
        stack.enter_context(house.console)
        return _assemble(house, stack, ledger, outbox, state).run()


def _tidy(house: House, ledger: Ledger, outbox: Outbox, checkpoints: Checkpoints) -> None:
    """Put in order what the last run left, however it ended."""
    outbox.root.mkdir(parents=True, exist_ok=True)
    remove_temporaries(outbox.root)
    ledger.recover()
    if ledger.is_empty():
        _read_back(house, ledger, outbox)
    checkpoints.keep_only({job.identity for job in ledger.overview(recent=1_000_000).queued if job.identity})


def _read_back(house: House, ledger: Ledger, outbox: Outbox) -> None:
    """Fill an empty ledger from the paintings' records: losing the state folder costs time, not paintings."""
    with ledger.batch():
        for path in outbox.records():
            folder = PurePosixPath(path.parent.relative_to(outbox.root))
            try:
                _remember(ledger, folder, read_record(outbox, folder))
            except (OutboxError, ValueError) as error:  # the latter of values that no record of ours has
                house.tell(Notice("problem", f"{path} was left out: {error}", level=Level.WARNING))


def _remember(ledger: Ledger, folder: PurePosixPath, record: PaintingRecord) -> None:
    styles = tuple(PlannedStyle(StyleSource(style.name, Path(style.name)), style.sha256) for style in record.styles)
    weights_facts = record.weights
    plan = Plan(record.settings_key, record.recipe, styles, record.origins, weights_facts.source, weights_facts.sha256)
    ledger.remember(
        record.photo.real_path(),
        size=record.photo.size_bytes,
        mtime_ns=record.photo.mtime_ns,
        photo_sha256=record.photo.sha256,
        settings_key=record.settings_key,
        identity=record.identity,
        settings=plan.to_json(),
        steps=record.recipe.steps,
        folder=folder,
        loss=record.losses.total,
        width=record.width,
        height=record.height,
        finished_at=datetime.fromisoformat(record.times.finished).timestamp(),
    )


def _assemble(house: House, stack: ExitStack, ledger: Ledger, outbox: Outbox, state: Path) -> Daemon:
    config, post = house.config, house.mailbox.post
    limit_bytes = int(config.limit_megabytes * _MEGA)
    sieve = Sieve(IgnoreList(config.ignore), lambda name: is_settings_file(name) or is_style_picture(name))
    surveyor = stack.enter_context(Surveyor(config.inbox, sieve, post, limit_bytes))
    weights_file = find_weights(config, house.environ)
    # Arrivals hand jobs to dispatch, and dispatch hands doubtful ones back: the one circle in the house.
    arrivals = Arrivals(
        ArrivalsParts(
            inbox=config.inbox,
            sieve=sieve,
            settling=Settling(config.settle_seconds),
            planner=Planner(folder_settings(config), weights_file),
            surveyor=surveyor,
            ledger=ledger,
            outbox=outbox,
            tell=house.tell,
            now=time.monotonic,
        ),
        lambda job: dispatch.admit(job),
    )
    dispatch = Dispatch(
        DispatchParts(
            inbox=config.inbox,
            ledger=ledger,
            outbox=outbox,
            arrivals=arrivals,
            checkpoints=Checkpoints(state / "checkpoints"),
            aftercare=Aftercare(config.inbox, config.after, config.archive, limit_bytes),
            make_worker=_worker_factory(weights_file, config.threads),
            post=post,
            tell=house.tell,
            clock=time.monotonic,
            now=time.time,
            limit_bytes=limit_bytes,
            limit_pixels=int(config.limit_megapixels * _MEGA),
        ),
        config.devices,
    )
    return Daemon(
        DaemonParts(
            mailbox=house.mailbox,
            ledger=ledger,
            arrivals=arrivals,
            dispatch=dispatch,
            make_watch=lambda: WatchdogWatch(config.inbox, post, Mode(config.watch), config.polling_seconds),
            notifier=Notifier.from_environment(house.environ),
            view=house.console,
            tell=house.tell,
            clock=time.monotonic,
            now=time.time,
            rescan_seconds=config.rescan_seconds,
            inbox=config.inbox,
        ),
        house.once,
    )


def _worker_factory(weights_file: WeightsFile, threads: int | None) -> WorkerFactory:
    def make_worker(device: str, post: Post) -> Worker:
        return LocalWorker(device, weights_file, post, threads)

    return make_worker
