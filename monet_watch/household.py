"""A config made into a running house: every part built once, and given what it needs.

The one place that knows how the parts fit together; they know each other by what they are handed.
"""

import contextlib
import gc
import hashlib
import itertools
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from monet_watch import weights
from monet_watch.aftercare import Aftercare, Caretaker
from monet_watch.arrivals import Arrivals, ArrivalsParts
from monet_watch.checkpoints import Checkpoints
from monet_watch.claim import OutboxClaim
from monet_watch.clerk import Office
from monet_watch.config import ClusterSettings, Config, state_folder
from monet_watch.console import ConsoleView
from monet_watch.crew import AUTO, RAY, Crew, FromWorker, Remote, WorkerFactory
from monet_watch.daemon import HEARTBEAT_SECONDS, Daemon, DaemonParts, Mailbox, Outcome, View
from monet_watch.dispatch import Dispatch, DispatchParts
from monet_watch.errors import AlreadyRunningError, LedgerUnavailableError, SettingsError
from monet_watch.exhibition import Exhibition
from monet_watch.finding import Places, find_job, read_ledger
from monet_watch.housekeeping import Housekeeping
from monet_watch.inbox.ignore import IgnoreList, Kind, Sieve
from monet_watch.inbox.presence import Presence
from monet_watch.inbox.settle import Settling
from monet_watch.inbox.survey import Hashed, HashFailed, InboxGone, InboxGoneError, Scanned, Surveyor
from monet_watch.inbox.watch import Mode, WatchdogWatch
from monet_watch.ledger import (
    ARCHIVE_KEY,
    CONFIG_FAULT_KEY,
    INBOX_KEY,
    LEDGER_NAME,
    OUTBOX_KEY,
    Job,
    Ledger,
    Overview,
)
from monet_watch.notices import Level, Listener, Notice
from monet_watch.outbox.files import Outbox, make_folders
from monet_watch.outbox.gallery.curator import Curator, rebuild
from monet_watch.plan import Planner
from monet_watch.reconciliation import Reconciliation
from monet_watch.renewal import ConfigFile, FileMark, Renewal, file_mark
from monet_watch.reports import Reports, require_reports
from monet_watch.requests import REQUESTS_NAME, Answer, Desk, Effects, Request, RequestBox
from monet_watch.service import NO_SPACE, Notifier, StopAsked, single_instance, stop_signals
from monet_watch.settings import FolderSettings, is_settings_file, is_style_picture
from monet_watch.styles.library import StyleLibrary
from monet_watch.troubles import pause
from monet_watch.undelivered import Undelivered
from monet_watch.whereabouts import Whereabouts
from monet_watch.workers.base import Allowance, Post, WeightsFile, Worker
from monet_watch.workers.cluster import NAMESPACE_PREFIX, Cluster
from monet_watch.workers.local import LocalWorker
from monet_watch.workers.previews import make_previews_in_a_process
from monet_watch.workers.ray import RayCluster

__all__ = [
    "House",
    "ask",
    "cluster_of",
    "find_weights",
    "folder_settings",
    "photos_named",
    "read_ledger",
    "rebuild_gallery",
    "run_daemon",
    "sieve_of",
    "threads_there",
    "weights_folder",
]

_MEGA = 1_000_000
# Python's garbage collector looks seldom: a bulk's records live long, and took a fifth of its time to look through.
_LOOKS_FOR_GARBAGE = (20_000, 20, 20)
_PATIENCE_SECONDS = 2.0  # of a start, while a command holds the state for a moment
_ANSWER_SECONDS = 20.0  # a daemon that has just started, or scans a large inbox, is busy for a while
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0  # between two tries to open what cannot be written
_ASK_AGAIN_SECONDS = 0.1
_GALLERY_SECONDS, _GALLERY_SECONDS_AT_A_STOP = 60.0, 1.0  # that the end waits for the gallery to be written


@dataclass(frozen=True, slots=True)
class House:
    """What a run of the daemon is given from outside. ``mailbox`` may be posted to by whoever made it.

    ``read`` reads the config again, as it was read; without it, the config stays as it is.
    """

    config: Config
    environ: Mapping[str, str]
    console: ConsoleView
    mailbox: Mailbox
    once: bool = False
    read: Callable[[], Config] | None = None
    listen: Listener = lambda notice: None

    def load(self) -> Config:
        """Read the config again."""
        return self.config if self.read is None else self.read()

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


def sieve_of(config: Config) -> Sieve:
    """Return what tells the inbox's photos from what is left alone."""
    return Sieve(IgnoreList(config.ignore), lambda name: is_settings_file(name) or is_style_picture(name))


def run_daemon(house: House) -> Outcome:
    """Run the daemon in this process until it ends. Signals ask it to stop.

    Raises AlreadyRunningError, LedgerError, OutboxError, SettingsError, WeightsError and WorkerError.
    """
    mark = file_mark(house.config.source)
    gc.set_threshold(*_LOOKS_FOR_GARBAGE)
    with ExitStack() as stack:
        stack.enter_context(stop_signals(house.mailbox.post))
        rooms = _opened(house, mark, stack)
        return Outcome.FINE if rooms is None else _run_and_renew(rooms.with_reports(stack))


def _opened(house: House, mark: FileMark | None, stack: ExitStack) -> "_Rooms | None":
    """Open all that the daemon works with, until ``stack`` ends.

    While the state cannot be written, for want of room as a rule, that is tried again and again; None if somebody asks
    to stop meanwhile.
    """
    notifier = Notifier.from_environment(house.environ)
    for times in itertools.count(1):
        try:
            with ExitStack() as attempt:
                rooms = _open(house, mark, attempt)
                if times == 1:
                    attempt.enter_context(house.console)
                stack.enter_context(attempt.pop_all())
                return rooms
        except LedgerUnavailableError as error:
            if house.once:
                raise  # nobody is there to free space
            if times == 1:
                stack.enter_context(house.console)
                text = f"{error} It is tried again and again; until then nothing is begun."
                house.tell(Notice("problem", text, level=Level.ERROR))
            notifier.status(error.message)
            notifier.starting()
        if _asked_to_stop(house.mailbox, min(pause(times, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)):
            break
    return None


def _asked_to_stop(mailbox: Mailbox, seconds: float) -> bool:
    """Wait for so long, or until somebody asks to stop; whether somebody did. Nothing else is at work yet."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if isinstance(mailbox.next(left), StopAsked):
            return True
    return False


def _open(house: House, mark: FileMark | None, stack: ExitStack) -> "_Rooms":
    config = house.config
    state = state_folder(config, house.environ)
    require_reports(config)
    _make_folder(state, "state")
    _make_folder(config.outbox, "outbox")
    stack.enter_context(single_instance(state, _PATIENCE_SECONDS))
    claim = stack.enter_context(OutboxClaim(config.outbox))
    ledger = stack.enter_context(Ledger.open(state / LEDGER_NAME))
    ledger.note(CONFIG_FAULT_KEY, "")
    outbox = _outbox(config, ledger)
    found, undelivered = find_weights(config, house.environ), Undelivered(state / "undelivered")
    rooms = _Rooms(house, ledger, outbox, state, found, undelivered, claim, mark)
    _tidy(rooms)
    return rooms


def _run_and_renew(rooms: "_Rooms") -> Outcome:
    """Run the daemon, and with every config that is taken over another one, in the same process."""
    crew = rooms.crew()
    while True:
        with rooms.surveyor() as surveyor, rooms.caretaker() as caretaker, rooms.with_gallery() as open_rooms:
            daemon = open_rooms.daemon(surveyor, caretaker, crew)
            outcome = daemon.run()
            if daemon.renewal is None:
                open_rooms.finish_reports()
                return outcome
        rooms = rooms.renewed(daemon.renewal)
        rooms.house.mailbox.drop(Scanned, Hashed, HashFailed, InboxGone)
        if daemon.renewal.needs_new_workers:
            rooms.house.mailbox.drop(FromWorker)
            rooms.ledger.recover()
            crew = rooms.crew()


def _both(*listeners: Listener) -> Listener:
    def listen(notice: Notice) -> None:
        for listener in listeners:
            listener(notice)

    return listen


def photos_named(
    config: Config, environ: Mapping[str, str], names: Sequence[str], cwd: Path
) -> tuple[PurePosixPath, ...]:
    """Return which photos ``names`` mean. Raises SettingsError for one that is not known, and LedgerError."""
    places = Places(config.inbox, config.outbox, cwd)
    with read_ledger(config, environ) as ledger:
        return tuple(find_job(name, places, ledger).path for name in names)


def ask(config: Config, environ: Mapping[str, str], request: Request) -> Answer:
    """Have the daemon do ``request``, or do it here where none runs, and return what became of it.

    Raises LedgerError where the request can neither be done nor be left for the daemon.
    """
    state = state_folder(config, environ)
    box = RequestBox(state / REQUESTS_NAME)
    name = box.leave(request)
    deadline = time.monotonic() + _ANSWER_SECONDS
    while (answer := box.collect(name)) is None and time.monotonic() < deadline:
        with contextlib.suppress(AlreadyRunningError), single_instance(state):
            _serve_desk(config, state, box)
            continue
        time.sleep(_ASK_AGAIN_SECONDS)
    return answer or Answer(True, "The daemon is busy; it does this as soon as it can.")


def rebuild_gallery(config: Config, environ: Mapping[str, str]) -> int:
    """Make the whole gallery of the outbox anew from the paintings, and return how many it shows.

    It may be done while the daemon runs. Raises OutboxError and SettingsError.
    """
    state = state_folder(config, environ)
    _make_folder(state, "state")
    make_previews_in_a_process(config.outbox)
    return rebuild(config.outbox, state)


def _serve_desk(config: Config, state: Path, box: RequestBox) -> None:
    """Do in the daemon's place what it is asked for: it finds it done when it starts."""
    with Ledger.open(state / LEDGER_NAME) as ledger:
        Desk(box, ledger, Outbox(config.outbox), lambda notice: None, time.time).serve()


def _outbox(config: Config, ledger: Ledger) -> Outbox:
    return Outbox(config.outbox, config.stages_kept, _whereabouts(config.outbox, OUTBOX_KEY, ledger).check)


def _whereabouts(folder: Path, key: str, ledger: Ledger) -> Whereabouts:
    return Whereabouts(folder, ledger.noted(key) or "", lambda text: ledger.note(key, text), key)


def _make_folder(folder: Path, key: str) -> None:
    try:
        make_folders(folder, folder)
    except OSError as error:
        fault = f"{key}: the folder {folder} cannot be made: {error.strerror or error}; make it, or name another one"
        if error.errno in NO_SPACE:
            raise LedgerUnavailableError(fault) from error
        raise SettingsError(fault, faults=(fault,)) from error


class _Patience:
    """Says from time to time, while a start takes long, that it goes on: to systemd, and to other daemons."""

    def __init__(self, notifier: Notifier, claim: OutboxClaim, clock: Callable[[], float] = time.monotonic) -> None:
        self._notifier = notifier
        self._claim = claim
        self._clock = clock
        self._due = clock() + HEARTBEAT_SECONDS

    def __call__(self) -> None:
        """Raises AlreadyRunningError if another daemon has taken the outbox meanwhile."""
        if self._clock() >= self._due:
            self._notifier.starting()
            self._claim.renew()
            self._due = self._clock() + HEARTBEAT_SECONDS


def _tidy(rooms: "_Rooms") -> None:
    """Put in order what the last run left, however it ended."""
    ledger, undelivered = rooms.ledger, rooms.undelivered
    on_the_way = _Patience(Notifier.from_environment(rooms.house.environ), rooms.claim)
    Reconciliation(ledger, rooms.outbox, rooms.config.archive, rooms.house.tell, on_the_way)()
    undelivered.keep_only(ledger.wanted(undelivered.identities()))


@dataclass(frozen=True, slots=True)
class _Views:
    """All who show how things stand."""

    views: tuple[View, ...]

    def update(self, overview: Overview) -> None:
        for view in self.views:
            view.update(overview)


@dataclass(frozen=True, slots=True)
class _Rooms:
    """What most parts share, and how each part is made of it."""

    house: House
    ledger: Ledger
    outbox: Outbox
    state: Path
    weights: WeightsFile
    undelivered: Undelivered
    claim: OutboxClaim
    mark: FileMark | None = None
    exhibition: Exhibition | None = None
    reports: Reports | None = None

    @property
    def config(self) -> Config:
        return self.house.config

    @property
    def limit_bytes(self) -> int:
        return int(self.config.limit_megabytes * _MEGA)

    @property
    def sieve(self) -> Sieve:
        return sieve_of(self.config)

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.state / "checkpoints")

    def surveyor(self) -> Surveyor:
        return Surveyor(self.config.inbox, self.sieve, self.house.mailbox.post, self.limit_bytes)

    def caretaker(self) -> Caretaker:
        config = self.config
        aftercare = Aftercare(config.inbox, config.after, config.archive, self.limit_bytes)
        if config.archive is not None and config.after == "move":
            aftercare = replace(aftercare, check=_whereabouts(config.archive, ARCHIVE_KEY, self.ledger).check)
        return Caretaker(aftercare, self.outbox.surely_holds, self.house.mailbox.post)

    def with_reports(self, stack: ExitStack) -> "_Rooms":
        """The rooms with everybody who reports, until the end of ``stack``."""
        house = self.house
        office = Office(house.config, self.state / LEDGER_NAME, house.mailbox.post, house.once)
        reports = stack.enter_context(Reports(office, self.state, house.environ, self._pass_on))
        return replace(self, house=replace(house, listen=_both(house.listen, reports.heard)), reports=reports)

    def finish_reports(self) -> None:
        """Let what is still to be reported be told to everybody in these rooms."""
        if self.reports is not None:
            self.reports.finish(self._pass_on)

    def _pass_on(self) -> bool:
        """Tell the notices that are left; True if somebody asks for the end."""
        mailbox = self.house.mailbox
        for message in mailbox.drop(Notice):
            if isinstance(message, Notice):
                self.house.tell(message)
        return bool(mailbox.drop(StopAsked))

    @contextlib.contextmanager
    def with_gallery(self) -> Iterator["_Rooms"]:
        """The rooms and, if the config wants one, the gallery that is kept of what goes on in them."""
        if not self.config.gallery:
            yield self
            return
        patience = _GALLERY_SECONDS if self.house.once else _GALLERY_SECONDS_AT_A_STOP
        with Curator(self.outbox, self.state, patience) as curator:
            exhibition = Exhibition(curator, self.ledger, self.house.tell, time.time)
            listen = _both(self.house.listen, exhibition.heard)
            yield replace(self, house=replace(self.house, listen=listen), exhibition=exhibition)

    @property
    def view(self) -> View:
        return self.house.console if self.exhibition is None else _Views((self.house.console, self.exhibition))

    def renewed(self, renewal: Renewal) -> "_Rooms":
        """The rooms as the config of ``renewal`` wants them."""
        config = renewal.config
        self.house.console.tell_from(Level(config.log.level))
        found = find_weights(config, self.house.environ) if config.weights != self.config.weights else self.weights
        outbox = _outbox(config, self.ledger)
        house = replace(self.house, config=config)
        if self.reports is not None:
            self.reports.take_over(config)
        return replace(self, house=house, outbox=outbox, weights=found, mark=renewal.mark)

    def _check(self, config: Config) -> None:
        """Raise the error that a house with ``config`` would end with."""
        require_reports(config)
        if config.weights != self.config.weights:
            find_weights(config, self.house.environ)

    def daemon(self, surveyor: Surveyor, caretaker: Caretaker, crew: Crew) -> Daemon:
        # Arrivals hand jobs to dispatch, and dispatch hands doubtful ones back: the one circle in the house.
        arrivals = self._arrivals(surveyor, lambda job: dispatch.admit(job))
        dispatch = self._dispatch(arrivals, caretaker, crew)
        config, post = self.config, self.house.mailbox.post
        parts = DaemonParts(
            mailbox=self.house.mailbox,
            ledger=self.ledger,
            arrivals=arrivals,
            dispatch=dispatch,
            desk=self._desk(arrivals, dispatch),
            renew_claim=self.claim.renew,
            config_file=ConfigFile(config, self.mark, self.house.load, self._check, time.monotonic),
            make_watch=lambda: WatchdogWatch(
                config.inbox, post, Mode(config.watch), config.polling_seconds, self.sieve.enters
            ),
            notifier=Notifier.from_environment(self.house.environ),
            view=self.view,
            tell=self.house.tell,
            clock=time.monotonic,
            now=time.time,
            hours=config.hours(),
            rescan_seconds=config.rescan_seconds,
            inbox=config.inbox,
            tidy=Housekeeping(self.ledger, self.checkpoints, self.undelivered),
        )
        return Daemon(parts, self.house.once)

    def _desk(self, arrivals: Arrivals, dispatch: Dispatch) -> Desk:
        def look_again(path: PurePosixPath) -> None:
            if self.sieve.kind(path) is Kind.PHOTO:
                with contextlib.suppress(InboxGoneError):  # the scan at its return looks at everything
                    arrivals.again(path)

        box = RequestBox(self.state / REQUESTS_NAME)
        effects = Effects(look_again, dispatch.hurry)
        return Desk(box, self.ledger, self.outbox, self.house.tell, time.time, effects)

    def _arrivals(self, surveyor: Surveyor, admit: Callable[[Job], None]) -> Arrivals:
        parts = ArrivalsParts(
            inbox=self.config.inbox,
            presence=Presence(
                self.config.inbox, self.ledger.noted(INBOX_KEY) or "", lambda text: self.ledger.note(INBOX_KEY, text)
            ),
            sieve=self.sieve,
            settling=Settling(self.config.settle_seconds),
            planner=Planner(folder_settings(self.config), self.weights),
            surveyor=surveyor,
            ledger=self.ledger,
            outbox=self.outbox,
            tell=self.house.tell,
            now=time.monotonic,
            keeps_originals=self.config.after == "keep",
        )
        return Arrivals(parts, admit)

    def _dispatch(self, arrivals: Arrivals, caretaker: Caretaker, crew: Crew) -> Dispatch:
        config = self.config
        parts = DispatchParts(
            inbox=config.inbox,
            ledger=self.ledger,
            outbox=self.outbox,
            arrivals=arrivals,
            checkpoints=self.checkpoints,
            undelivered=self.undelivered,
            caretaker=caretaker,
            crew=crew,
            tell=self.house.tell,
            clock=time.monotonic,
            now=time.time,
            limit_bytes=self.limit_bytes,
            limit_pixels=int(config.limit_megapixels * _MEGA),
            retry_seconds=config.retry_seconds,
        )
        if self.exhibition is not None:
            parts = replace(parts, preview=self.exhibition.preview)
        return Dispatch(parts)

    def crew(self) -> Crew:
        """Whoever paints, not yet at work."""
        config, post = self.config, self.house.mailbox.post
        make_worker = _worker_factory(self.weights, config, lambda: crew.devices)
        count, remote = config.workers_per_device, None
        if (cluster := config.cluster) is not None:
            make_worker = _with_cluster(make_worker, _ray_cluster(cluster, config, self.weights, self.state))
            remote = Remote(cluster.max_workers, cluster.idle_seconds, cluster.fallback == "local")
        crew = Crew(config.devices, make_worker, post, time.monotonic, config.hang_seconds, count, remote)
        return crew


def _worker_factory(weights_file: WeightsFile, config: Config, devices: Callable[[], Sequence[str]]) -> WorkerFactory:
    """``devices`` tells the device of each worker that there is, or will be."""

    def make_worker(device: str, post: Post) -> Worker:
        all_devices = [AUTO] * config.workers_per_device if device == AUTO else devices()
        return LocalWorker(
            device,
            weights_file,
            post,
            config.threads,
            config.memory_limit,
            _sharers(device, all_devices),
            config.nice,
            config.decode_seconds,
            all_devices.count(device),
            finds_others=device == AUTO,
        )

    return make_worker


def _with_cluster(make_local: WorkerFactory, cluster: RayCluster) -> WorkerFactory:
    def make_worker(device: str, post: Post) -> Worker:
        return cluster.worker(device, post) if device.startswith(RAY) else make_local(device, post)

    return make_worker


def _ray_cluster(given: ClusterSettings, config: Config, weights_file: WeightsFile, state: Path) -> RayCluster:
    """The cluster, where actors of this daemon are known by its machine, its state folder, and what they paint with."""
    threads = threads_there(given, config)
    allowance = Allowance(threads, config.memory_limit, nice=config.nice, decode_seconds=config.decode_seconds)
    whose = (socket.gethostname(), str(state), weights_file.sha256, allowance, given.gpus_per_worker)
    mark = hashlib.sha256(repr(whose).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return RayCluster(cluster_of(given, mark), weights_file, allowance)


def cluster_of(given: ClusterSettings, mark: str) -> Cluster:
    """Return the cluster of the config, to which whoever comes is known by ``mark``."""
    return Cluster(
        given.address,
        NAMESPACE_PREFIX + mark,
        given.gpus_per_worker,
        given.cpus_per_worker,
        given.linger_seconds,
        given.token_file,
    )


def threads_there(given: ClusterSettings, config: Config) -> int | None:
    """Return with how many threads a worker on the cluster paints; None leaves it to the worker."""
    return config.threads or (max(1, int(given.cpus_per_worker)) if not given.gpus_per_worker else None)


def _sharers(device: str, devices: Sequence[str]) -> int:
    """How many workers share the processor with one on ``device``.

    One with a card of its own asks little of the cores, so that it takes none from those who paint with them.
    """
    on_host = [each for each in devices if not each.startswith("cuda")]  # as a Mac's card is as well
    return len(on_host if device in on_host else devices)
