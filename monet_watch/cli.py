"""The command line: parse, call, print. Everything else is imported when a command needs it, so that help is quick."""

import codecs
import contextlib
import functools
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, ParamSpec, TypeVar

import typer
from typer.core import TyperGroup

from monet_watch import __version__
from monet_watch.errors import LedgerError, MonetWatchError, OutboxError, SettingsError
from monet_watch.printable import json_escaped, printable

if TYPE_CHECKING:
    from monet_watch.account import Account
    from monet_watch.config import Config
    from monet_watch.console import ConsoleView
    from monet_watch.ledger import Overview
    from monet_watch.requests import Act
    from monet_watch.settings import FolderSettings, ResolvedSettings

__all__ = ["EXIT_FINE", "EXIT_INTERRUPTED", "EXIT_PROBLEM", "EXIT_SETTINGS", "app", "main"]

EXIT_FINE = 0
EXIT_PROBLEM = 1
EXIT_SETTINGS = 2
EXIT_INTERRUPTED = 130

_WATCH_SECONDS = 1.0  # between two looks of `status --watch`

_HELP = """
Watches a folder and paints every photo dropped into it in the manner of Claude Monet, or of any picture put beside it.

monet-watch demo    paints a first picture in a few minutes.

monet-watch run --inbox ~/Photos/in --outbox ~/Photos/painted    watches until it is stopped.

monet-watch paint holiday.jpg --style turner.jpg    paints one photo.
"""
_EPILOG = (
    "Exit codes: 0 all is well; 1 a photo has a problem, or something failed; "
    "2 wrong settings or options; 130 interrupted."
)

_NOT_UTF8 = (
    "Names of files are written in {} here, which cannot hold every photo's name. "
    "Set LC_ALL=C.UTF-8 (or another locale with UTF-8), or PYTHONUTF8=1, and run it again."
)


_UsageError: Any = typer.BadParameter.__base__  # typer has no name of its own for it


class _Program(TyperGroup):
    """The commands. What they say of arguments can be shown, whatever names a shell has put there for ``*.jpg``."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with _complaints_printable():
            return super().make_context(*args, **kwargs)

    def invoke(self, *args: Any, **kwargs: Any) -> Any:
        with _complaints_printable():
            return super().invoke(*args, **kwargs)


@contextlib.contextmanager
def _complaints_printable() -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        error.message = printable(error.message)
        raise


app = typer.Typer(cls=_Program, help=_HELP, epilog=_EPILOG, no_args_is_help=True, pretty_exceptions_enable=False)
weights_app = typer.Typer(invoke_without_command=True)
app.add_typer(weights_app, name="weights")

_P = ParamSpec("_P")
_R = TypeVar("_R")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="The daemon's config file.", envvar="MONET_WATCH_CONFIG")
]
InboxOption = Annotated[Path | None, typer.Option(help="Where photos are dropped.", show_default="./inbox")]
OutboxOption = Annotated[Path | None, typer.Option(help="Where paintings appear.", show_default="./outbox")]
ConsoleOption = Annotated[
    Literal["auto", "live", "plain", "json"] | None,
    typer.Option("--console", help="How to tell what happens.", show_default="live in a terminal, else plain lines"),
]
PhotosArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PHOTO...", help="Photos: as they lie in the inbox, from the working directory, or in full."
    ),
]

PhotoArgument = Annotated[
    str,
    typer.Argument(metavar="PHOTO", help="A photo, or its painting: as it lies in the inbox or the outbox, or a path."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def main() -> None:
    """Run the program with the process's arguments and end the process."""
    _open_closed_streams()
    if codecs.lookup(sys.getfilesystemencoding()).name != "utf-8":
        sys.exit(_NOT_UTF8.format(sys.getfilesystemencoding()))
    app()


def _open_closed_streams() -> None:
    """Whoever starts a program may close its standard streams; the next files opened must not take their places."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 (open to the end)


def _told(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let ``command`` end with a message and an exit code where it raises an error of this program."""

    @functools.wraps(command)
    def told(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return command(*args, **kwargs)
        except SettingsError as error:
            _end(EXIT_SETTINGS, *error.faults, error.remedy)
        except MonetWatchError as error:
            _end(EXIT_PROBLEM, str(error))
        except BrokenPipeError:
            raise  # whoever read has read enough; typer ends quietly
        except OSError as error:
            _drop_unwritten()
            _end(EXIT_PROBLEM, _in_words(error))
        except KeyboardInterrupt:
            _end(EXIT_INTERRUPTED, "Interrupted.")

    return told


def _drop_unwritten() -> None:
    """Drop what the standard output does not take: Python would try, complain and change the exit code at its end."""
    from monet_watch.console import divert

    try:
        sys.stdout.flush()
    except OSError:
        divert(sys.stdout)


def _in_words(error: OSError) -> str:
    """What the system refused and where; what to do about it is mostly a matter of room or of permissions."""
    place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return f"{place}{error.strerror or error}. Check the free space and the permissions, then run it again."


def _end(code: int, *lines: str) -> NoReturn:
    for line in filter(None, lines):
        typer.echo(printable(line), err=True)
    raise typer.Exit(code)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"monet-watch {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def _load(config: Path | None, inbox: Path | None = None, outbox: Path | None = None) -> "Config":
    from monet_watch.config import load_config

    return load_config(config, {"inbox": inbox, "outbox": outbox})


def _open_console(config: "Config", kind: str | None, places: tuple[Path, Path] | None = None) -> "ConsoleView":
    """The console of the ``kind`` asked for; ``places``, unless the config's, are where photos and paintings lie."""
    from monet_watch.console import is_journal, open_console
    from monet_watch.notices import Level

    inbox, outbox = places or (config.inbox, config.outbox)
    return open_console(
        kind or config.log.format,  # type: ignore[arg-type]
        Level(config.log.level),
        stream=sys.stdout,
        inbox=inbox,
        outbox=outbox,
        priorities=is_journal(sys.stdout, os.environ),
    )


@app.command()
@_told
def run(
    config: ConfigOption = None,
    inbox: InboxOption = None,
    outbox: OutboxOption = None,
    once: Annotated[bool, typer.Option("--once", help="Paint all that is there, then exit.")] = False,
    console: ConsoleOption = None,
) -> None:
    """Watch the inbox and paint what is dropped into it, until Ctrl-C or SIGTERM.

    Without a config it watches ./inbox and paints into ./outbox.

    The first Ctrl-C stops after a checkpoint, and the next run goes on from there; a second one stops at once.

    With --once the exit code is 1 if a photo has a problem.

    Example: monet-watch run --inbox /srv/share/in --outbox /srv/share/painted
    """
    from monet_watch.daemon import Mailbox
    from monet_watch.household import House, run_daemon

    settings = _load(config, inbox, outbox)
    if config is None:
        _make_inbox(settings.inbox)  # a config may name a share that is not mounted yet
    view = _open_console(settings, console)
    house = House(settings, os.environ, view, Mailbox(), once, lambda: _load(config, inbox, outbox))
    raise typer.Exit(int(run_daemon(house)))


def _make_inbox(inbox: Path) -> None:
    try:
        inbox.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        words = f"the folder {inbox} cannot be made: {error.strerror or error}; make it, or name another one"
        raise SettingsError(f"inbox: {words}") from error


@app.command()
@_told
def paint(
    photo: Annotated[Path, typer.Argument(help="The photo to paint.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The folder in which the painting's folder appears.")
    ] = Path(),
    style: Annotated[
        list[str] | None, typer.Option(help="A style picture, or its name in the library; repeat to blend.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="The recipe to start from, such as swift, print or classic.")
    ] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any setting of style.yaml; repeatable.")
    ] = None,
    config: ConfigOption = None,
    console: ConsoleOption = None,
) -> None:
    """Paint one photo, without the daemon, into the same files.

    Example: monet-watch paint holiday.jpg -o painted --style turner.jpg --set image_size=384 --set style_weight=2e6
    """
    from monet_watch.household import find_weights
    from monet_watch.settings import resolve_single
    from monet_watch.single import Order, paint_photo
    from monet_watch.styles.library import StyleLibrary

    settings = _load(config)
    library = StyleLibrary(settings.style_library)
    resolved = resolve_single(recipe, assignments or [], style or [], settings.folder_defaults(), library)
    weights = find_weights(settings, os.environ)
    order = Order(
        photo,
        out.absolute(),
        resolved,
        weights,
        settings.devices[0],
        settings.threads,
        settings.memory_limit,
        limit_pixels=int(settings.limit_megapixels * 1e6),
        limit_bytes=int(settings.limit_megabytes * 1e6),
        decode_seconds=settings.decode_seconds,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    view = _open_console(settings, console, (photo.absolute().parent, order.outbox))
    typer.echo(printable(f"The painting is in {paint_photo(order, view)}"))


@app.command()
@_told
def status(
    config: ConfigOption = None,
    inbox: InboxOption = None,
    outbox: OutboxOption = None,
    as_json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing it, until Ctrl-C.")] = False,
) -> None:
    """Show what is queued, being painted, done, and what has a problem, whether or not the daemon runs.

    Example: monet-watch status --config /etc/monet-watch/config.yaml --watch
    """
    from monet_watch.console import overview_json

    settings = _load(config, inbox, outbox)
    if watch:
        _watch_status(settings, as_json)
        return
    overview, running = _overview(settings)
    if as_json:
        _print_json({"daemon_running": running, **overview_json(overview)})
    else:
        _print_overview(overview, settings, running)


def _overview(settings: "Config") -> "tuple[Overview, bool]":
    """How everything stands, and whether a daemon runs."""
    from monet_watch.config import state_folder
    from monet_watch.finding import read_ledger
    from monet_watch.outlook import looking_ahead
    from monet_watch.service import is_held

    with read_ledger(settings, os.environ) as ledger:
        overview = looking_ahead(ledger.overview(), ledger, settings.hours(), time.time())
        running = is_held(state_folder(settings, os.environ))
    if not running:  # then it was noted by one that was killed
        overview = replace(overview, watch=None, workers=())
    return overview, running


def _watch_status(settings: "Config", as_json: bool) -> None:
    """Show how everything stands, again and again, in place of what was shown before."""
    from monet_watch.console import open_live

    view = None if as_json else open_live(sys.stdout, settings.inbox, settings.outbox)
    if view is None:
        raise SettingsError("--watch needs a terminal, and no --json. Ask for the status once, without --watch.")
    overview, running = _overview(settings)
    with contextlib.suppress(KeyboardInterrupt), view:
        while True:
            view.update(overview if running else replace(overview, resting="The daemon is not running."))
            time.sleep(_WATCH_SECONDS)
            with contextlib.suppress(LedgerError):  # it is shown as it was until it can be read again
                overview, running = _overview(settings)


def _print_overview(overview: "Overview", settings: "Config", running: bool) -> None:
    from rich.console import Console

    from monet_watch.console import render_overview

    console = Console(highlight=False, markup=False)
    console.print("The daemon is running." if running else "The daemon is not running.")
    console.print(render_overview(overview, now=time.time(), inbox=settings.inbox, outbox=settings.outbox))


@app.command("list")
@_told
def list_photos(
    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE", help="Only those that are waiting, queued, running, done or problem; repeatable."
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Only those in this folder of the inbox.", show_default="all folders")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only what changed since: 90min, 12h, 3d, 2w, or 2026-11-24.", show_default="ever"),
    ] = None,
    config: ConfigOption = None,
    inbox: InboxOption = None,
    outbox: OutboxOption = None,
    as_json: JsonOption = False,
) -> None:
    """List photos and how each is, what changed last first.

    Example: monet-watch list --state problem --folder holiday --since 3d
    """
    from rich.console import Console

    from monet_watch.finding import read_ledger
    from monet_watch.listing import job_facts, jobs_table, moment, states_named

    settings, now = _load(config, inbox, outbox), time.time()
    states, start = states_named(state or []), moment(since, now) if since else 0.0
    within = _folder_of_inbox(folder, settings.inbox)
    with read_ledger(settings, os.environ) as ledger:
        jobs = ledger.listed(states, within, start)
    if as_json:
        _print_json([job_facts(job) for job in jobs])
    elif jobs:
        Console(highlight=False).print(jobs_table(jobs, now))
    else:
        typer.echo("There are none.")


@app.command()
@_told
def show(
    photo: PhotoArgument,
    config: ConfigOption = None,
    inbox: InboxOption = None,
    outbox: OutboxOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all that is known of a photo: how it is, its losses, files and attempts, every setting and its origin.

    Example: monet-watch show holiday/IMG_1.jpg
    """
    from rich.console import Console

    from monet_watch.account import account_facts, render_account

    settings = _load(config, inbox, outbox)
    (account,) = _accounts(settings, photo)
    if as_json:
        _print_json(account_facts(account))
    else:
        Console(highlight=False).print(render_account(account, time.time()))


@app.command()
@_told
def compare(
    first: PhotoArgument,
    second: PhotoArgument,
    differing: Annotated[bool, typer.Option("--differing", help="Only what differs.")] = False,
    config: ConfigOption = None,
    inbox: InboxOption = None,
    outbox: OutboxOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the settings and losses of two paintings side by side; what differs is marked.

    Example: monet-watch compare painted/IMG_1 painted/IMG_1-4f2a81
    """
    from rich.console import Console

    from monet_watch.compare import comparison_facts, comparison_table

    one, other = _accounts(_load(config, inbox, outbox), first, second)
    if as_json:
        _print_json(comparison_facts(one, other))
    else:
        Console(highlight=False).print(comparison_table(one, other, differing))


@app.command("open")
@_told
def open_place(
    photo: Annotated[
        str | None, typer.Argument(metavar="[PHOTO]", help="A photo, or its painting.", show_default="the gallery")
    ] = None,
    config: ConfigOption = None,
    inbox: InboxOption = None,
    outbox: OutboxOption = None,
) -> None:
    """Open the gallery, or a photo's painting, in whatever shows it here. Without a display, print where it lies.

    Example: monet-watch open holiday/IMG_1.jpg
    """
    from monet_watch.opening import place_to_open, show_file

    settings = _load(config, inbox, outbox)
    account = _accounts(settings, photo)[0] if photo else None
    if account is not None and account.folder is None:
        _end(EXIT_PROBLEM, f"{account.job.path} is not painted; `monet-watch show` says how it is.")
    place = place_to_open(settings.outbox, account)
    if not place.exists():
        _end(EXIT_PROBLEM, f"There is nothing to see yet: {place} is not there.")
    show_file(place, os.environ)
    typer.echo(printable(str(place)))


def _accounts(settings: "Config", *photos: str) -> "list[Account]":
    from monet_watch.account import take_account
    from monet_watch.finding import Places, read_ledger

    places = Places(settings.inbox, settings.outbox, Path.cwd())
    with read_ledger(settings, os.environ) as ledger:
        return [take_account(photo, places, ledger) for photo in photos]


def _print_json(facts: object) -> None:
    typer.echo(json_escaped(json.dumps(facts, indent=2)))


@app.command()
@_told
def retry(
    photos: PhotosArgument = None,
    everything: Annotated[bool, typer.Option("--all", help="All problems, and all that wait for a next try.")] = False,
    config: ConfigOption = None,
    inbox: InboxOption = None,
    outbox: OutboxOption = None,
) -> None:
    """Try photos again that have a problem, that wait for their next try, or whose painting was removed by hand.

    Example: monet-watch retry holiday/IMG_1.jpg
    """
    from monet_watch.requests import Act

    if bool(photos) == everything:
        raise SettingsError("Name the photos to try again, or all of them by --all.")
    _ask(Act.RETRY, photos or [], _load(config, inbox, outbox))


@app.command()
@_told
def forget(
    photos: PhotosArgument = None,
    config: ConfigOption = None,
    inbox: InboxOption = None,
    outbox: OutboxOption = None,
) -> None:
    """Forget that photos were seen, tried or painted. Their paintings stay; what lies in the inbox is painted anew.

    Example: monet-watch forget holiday/IMG_1.jpg
    """
    from monet_watch.requests import Act

    if not photos:
        raise SettingsError("Name the photos to forget.")
    _ask(Act.FORGET, photos, _load(config, inbox, outbox))


@app.command()
@_told
def pause(config: ConfigOption = None, inbox: InboxOption = None, outbox: OutboxOption = None) -> None:
    """Let painting rest until `monet-watch resume`, also after a restart.

    What is being painted stops after a checkpoint and goes on from there. Photos are still noticed and queued.
    """
    from monet_watch.requests import Act

    _ask(Act.PAUSE, [], _load(config, inbox, outbox))


@app.command()
@_told
def resume(config: ConfigOption = None, inbox: InboxOption = None, outbox: OutboxOption = None) -> None:
    """Paint again after `monet-watch pause`."""
    from monet_watch.requests import Act

    _ask(Act.RESUME, [], _load(config, inbox, outbox))


def _act_as_owner_of_record(settings: "Config") -> None:
    from monet_watch.config import state_folder
    from monet_watch.ledger import LEDGER_NAME
    from monet_watch.service import act_as_owner

    act_as_owner(state_folder(settings, os.environ) / LEDGER_NAME)


def _ask(act: "Act", photos: list[str], settings: "Config") -> None:
    """Have the daemon do it, say what became of it, and end with an exit code."""
    from monet_watch.household import ask, photos_named
    from monet_watch.requests import Request

    named = photos_named(settings, os.environ, photos, Path.cwd()) if photos else ()
    _act_as_owner_of_record(settings)
    answer = ask(settings, os.environ, Request(act, named))
    for line in answer.text.splitlines():
        typer.echo(printable(line), err=not answer.fine)
    raise typer.Exit(EXIT_FINE if answer.fine else EXIT_PROBLEM)


@app.command()
@_told
def gallery(
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="Make all pages anew from the paintings, and missing thumbnails."),
    ] = False,
    config: ConfigOption = None,
    inbox: InboxOption = None,
    outbox: OutboxOption = None,
) -> None:
    """Say where the gallery is: a page for any browser, in the outbox, which needs no server.

    Example: monet-watch gallery --rebuild
    """
    from monet_watch.household import rebuild_gallery
    from monet_watch.outbox.gallery.gallery import PAGE_NAME

    settings = _load(config, inbox, outbox)
    page = settings.outbox / PAGE_NAME
    if rebuild:
        _act_as_owner_of_record(settings)
        count = rebuild_gallery(settings, os.environ)
        typer.echo(f"It shows {count} painting{'s' * (count != 1)}.")
    elif not page.is_file():
        raise OutboxError(f"There is no {page} yet.", "Run the daemon, or `monet-watch gallery --rebuild`.")
    typer.echo(printable(f"The gallery is {page}"))


@app.command()
@_told
def check(
    folder: Annotated[
        Path | None, typer.Argument(help="A folder of the inbox.", show_default="the inbox itself")
    ] = None,
    config: ConfigOption = None,
    inbox: InboxOption = None,
    outbox: OutboxOption = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of style.yaml and exit.")] = False,
) -> None:
    """Check the config and every style.yaml, and show each setting of a folder with the line it came from.

    Every fault is told as file:line:column: key: what is wrong; the exit code is then 2.

    Example: monet-watch check --config config.yaml holiday
    """
    from monet_watch.household import folder_settings
    from monet_watch.reports import require_reports
    from monet_watch.settings import json_schema

    if schema:
        typer.echo(json.dumps(json_schema(), indent=2))
        return
    settings = _load(config, inbox, outbox)
    require_reports(settings)
    within = _folder_of_inbox(folder, settings.inbox)
    folders = folder_settings(settings)
    resolved = _check_all(folders, within)
    _print_settings(within, resolved)


def _folder_of_inbox(folder: Path | None, inbox: Path) -> PurePosixPath:
    """``folder``, given as a path or relative to the inbox, relative to the inbox."""
    if folder is None:
        return PurePosixPath()
    for place in (inbox / folder, Path.cwd() / folder):
        if place.is_dir() and place.resolve().is_relative_to(inbox.resolve()):
            return PurePosixPath(place.resolve().relative_to(inbox.resolve()))
    fault = f"{folder} is no folder of the inbox {inbox}; name one that lies in it"
    raise SettingsError(fault, faults=(fault,))


def _check_all(folders: "FolderSettings", wanted: PurePosixPath) -> "ResolvedSettings":
    """Look at every folder that has settings, and return those of ``wanted``. Raises SettingsError with all faults."""
    faults = folders.faults([*folders.folders_with_settings(), wanted])
    if faults:
        raise SettingsError(faults[0], faults=faults)
    return folders.resolve(wanted)


def _print_settings(folder: PurePosixPath, resolved: "ResolvedSettings") -> None:
    from rich.console import Console

    from monet_watch.settings_table import setting_rows, settings_table

    name = "the inbox" if folder == PurePosixPath() else str(folder)
    styles = [source.name for source in resolved.styles]
    rows = setting_rows(resolved.recipe, styles, resolved.origins, resolved.priority, resolved.output)
    Console().print(settings_table(f"Settings of {name}", rows))


@app.command()
@_told
def doctor(
    config: ConfigOption = None,
    inbox: InboxOption = None,
    outbox: OutboxOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look whether everything is as painting needs it, and say what to do about what is not; the exit code is then 1.

    Torch, devices, a cluster, weights, settings, folders, rights, room and the service are looked at; nothing changes.

    Example: monet-watch doctor --config /etc/monet-watch/config.yaml
    """
    from rich.console import Console

    from monet_watch.doctor.checkup import examine
    from monet_watch.doctor.findings import Verdict, finding_row, findings_facts

    console, findings = Console(highlight=False, markup=False), []
    for finding in examine(lambda: _load(config, inbox, outbox), os.environ):
        findings.append(finding)
        if not as_json:
            console.print(finding_row(finding))
    if as_json:
        _print_json(findings_facts(findings))
    raise typer.Exit(EXIT_PROBLEM if any(each.verdict is Verdict.WRONG for each in findings) else EXIT_FINE)


@weights_app.callback()
@_told
def weights(context: typer.Context, config: ConfigOption = None) -> None:
    """List where the network's weights come from, where they lie, and whether they are the right ones.

    Example: monet-watch weights fetch torchvision
    """
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console
    from rich.text import Text

    from monet_watch.household import weights_folder
    from monet_watch.weights import listing

    console = Console()
    for source in listing(weights_folder(_load(config), os.environ)):
        state = "verified" if source.verified else "not fetched" if not source.present else "NOT VERIFIED"
        console.print(Text.assemble((source.name, "bold"), f"  {state}, {source.size_bytes / 1e6:.0f} MB"))
        for line in (str(source.path), source.reason, f"{source.credit}. Licence: {source.licence}."):
            console.print(Text(printable(f"  {line}")), soft_wrap=True) if line else None


@weights_app.command()
@_told
def fetch(
    source: Annotated[Literal["torchvision"], typer.Argument(help="Which weights to fetch.")],
    config: ConfigOption = None,
    url: Annotated[str | None, typer.Option(help="Another place of the same file, such as a mirror.")] = None,
) -> None:
    """Download weights: resumable, checked by SHA-256, only the layers that are needed are kept.

    Example: monet-watch weights fetch torchvision
    """
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from monet_watch.household import weights_folder
    from monet_watch.service import act_as_owner
    from monet_watch.weights import TORCHVISION_URL, fetch_torchvision

    folder = weights_folder(_load(config), os.environ)
    act_as_owner(folder)
    columns = (TextColumn(source), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task(source, total=None)
        path = fetch_torchvision(
            folder,
            url=url or TORCHVISION_URL,
            progress=lambda done, total: progress.update(task, completed=done, total=total or None),
            pause=_telling_pause,
        )
    typer.echo(f"The weights are in {printable(str(path))}. Use them with weights: torchvision in the config.")


def _telling_pause(seconds: float) -> None:
    typer.echo(f"The connection failed; it is tried again in {seconds:.0f} s.", err=True)
    time.sleep(seconds)


@app.command()
@_told
def demo(
    folder: Annotated[Path, typer.Option(help="Where the demonstration takes place.")] = Path("monet-demo"),
    photo: Annotated[Path | None, typer.Option(help="A photo of yours.", show_default="a bundled one")] = None,
    style: Annotated[
        Path | None, typer.Option(help="A style picture.", show_default="the bundled water garden")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps to take at most.", show_default="what fits into a few minutes")
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=32, max=16384, help="Short side in pixels.", show_default="likewise")
    ] = None,
    console: ConsoleOption = None,
) -> None:
    """Paint a first picture: the real daemon on a folder of its own, a real photo, a few minutes.

    Example: monet-watch demo --photo cat.jpg --size 256
    """
    from monet_watch import demo as stage
    from monet_watch.daemon import Outcome

    for picture in filter(None, (photo, style)):
        if not picture.is_file():
            raise SettingsError(f"{picture} is no file; name a picture.")
    photo = photo or stage.demo_photo()
    stage.check_place(folder.absolute(), photo)
    typer.echo("Measuring a step on this machine ...")
    chosen = stage.estimate(stage.measure(_load(None), os.environ), size, steps)
    typer.echo(
        f"Painting with a short side of up to {chosen.image_size} pixels in up to {chosen.steps} steps: "
        f"about {_minutes(chosen.seconds)} on this machine."
    )
    plan = stage.Demo(folder.absolute(), photo, style and style.absolute(), chosen)
    settings = stage.prepare(plan)
    outcome, painting = stage.run_demo(plan, settings, os.environ, _open_console(settings, console))
    if painting is None and outcome is Outcome.FINE:
        _end(EXIT_INTERRUPTED, "It was stopped before it was painted; the same command goes on with it.")
    if painting is None:
        _end(EXIT_PROBLEM, f"It could not be painted; {settings.outbox} says why.")
    if not painting.is_dir():
        _end(EXIT_PROBLEM, f"It was painted before, and {painting} was removed since; choose another --folder.")
    typer.echo(printable(f"The painting is in {painting}"))


def _minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} minute{'s' if minutes > 1 else ''}"
