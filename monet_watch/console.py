"""What people at a terminal see, and the lines in the journal.

Three ways to be told the same story: a live view, plain lines, and JSON lines. None of them ever raises or holds up
the daemon because whoever reads has gone. File names come from strangers: whatever is shown went through `printable`,
and no text is ever read as markup.
"""

import contextlib
import json
import math
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from monet_watch.ledger import Job, JobState, Outlook, Overview, WatchState
from monet_watch.notices import Level, Notice
from monet_watch.printable import printable
from monet_watch.wording import duration, number, rate, time_of_day, utc

__all__ = [
    "ConsoleKind",
    "ConsoleView",
    "JsonConsole",
    "LiveConsole",
    "PlainConsole",
    "Unrepeated",
    "is_journal",
    "open_console",
    "overview_json",
    "render_overview",
]

ConsoleKind = Literal["auto", "live", "plain", "json"]
"""How to show: ``auto`` is ``live`` at a terminal, ``plain`` elsewhere."""

_RANKS: Mapping[Level, int] = {Level.DEBUG: 0, Level.INFO: 1, Level.WARNING: 2, Level.ERROR: 3}
_PRIORITIES: Mapping[Level, int] = {Level.DEBUG: 7, Level.INFO: 6, Level.WARNING: 4, Level.ERROR: 3}  # of sd-daemon(3)
_LEVEL_STYLES: Mapping[Level, str] = {Level.WARNING: "yellow", Level.ERROR: "bold red"}

_ASCII_SIGNS = str.maketrans("→·×…━─", ">-x~=-")
_SURELY_WIDE = 90  # columns in which a painting's name and its progress stand on one line
_SURELY_HIGH = 24  # lines in which there is room for empty ones
_SHORTEST_BAR = 10
_REDRAW_SECONDS = 0.25
_LEAVE_SECONDS = 2.0  # a terminal stopped by Ctrl-S must not keep the daemon from ending
_PROGRESS_SECONDS = 10.0
_KEPT_LINES = 5
_UNREPEATED_SECONDS = 60.0
_MOST_REMEMBERED = 10_000  # lines of the last minute: a bulk of photos has more, each of them another


class ConsoleView(Protocol):
    """A `Listener` that is also a context manager: it shows only between enter and exit; never raises, never blocks."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...

    def __call__(self, notice: Notice) -> None:
        """Tell of one event."""

    def tell_from(self, level: Level) -> None:
        """From this moment on, tell what matters at least so much."""

    def update(self, overview: Overview) -> None:
        """Show how everything stands; a view that tells events only does nothing."""


# ---- the view of an overview ----------------------------------------------------------------------------------------


def render_overview(
    overview: Overview, *, now: float, inbox: Path | None = None, outbox: Path | None = None, height: int | None = None
) -> RenderableType:
    """Return what `rich` can print: the counts, what is painted, what comes next, what waits and why, the results.

    ``now`` is in seconds since the epoch. It takes the width that it is given, and at most ``height`` lines (None: as
    many as it needs): the least important lines are dropped first, the running paintings and problems last.
    """
    return _View(overview, now, inbox, outbox, height)


_Block = list[Text]
"""The lines of one job, which are shown together or not at all."""


@dataclass(frozen=True, slots=True)
class _Section:
    """A title and its blocks. ``total`` counts the blocks that there would be; ``weight`` says what is dropped last."""

    title: str
    weight: int
    total: int
    blocks: Sequence[_Block]

    def lines(self, count: int) -> _Block:
        """Return the title and the first ``count`` blocks."""
        of_all = f", {count} of {self.total}" if count < self.total else ""
        title = Text(f"{self.title}{of_all}", style="bold")
        return [title, *(line for block in self.blocks[:count] for line in block)]


@dataclass(frozen=True, slots=True)
class _View:
    overview: Overview
    now: float
    inbox: Path | None
    outbox: Path | None
    height: int | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.lines(console, options.max_width):
            line.truncate(options.max_width, overflow="crop")
            line.no_wrap, line.end = True, ""
            segments = console.render(line, options)
            yield from _encodable(segments, console.encoding) if options.ascii_only else segments
            yield Segment.line()

    @property
    def _airy(self) -> bool:
        return self.height is None or self.height >= _SURELY_HIGH

    def lines(self, console: Console, width: int) -> _Block:
        head = [*self._title(width), *_counts(self.overview, width), *_remarks(self.overview, width)]
        wrap = _Wrap(console, width, limit=None if self.height is None else 2)
        head += [*self._troubled(wrap), *self._watched(wrap)]
        sections = self._sections(console, width)
        airy = self._airy
        counts = _fitting(sections, None if self.height is None else self.height - len(head), gap=int(airy))
        shown = [head, *(each.lines(count) for each, count in zip(sections, counts, strict=True) if count)]
        if not airy:
            return [line for part in shown for line in part][: self.height]
        return [line for part in shown for line in (*part, Text())][:-1]

    def _title(self, width: int) -> _Block:
        if self.inbox is None or self.outbox is None:
            return []
        name, arrow = "monet-watch  ", " → "
        inbox, outbox = printable(str(self.inbox)), printable(str(self.outbox))
        room = max(2, width - len(name) - len(arrow))
        first = max(room // 2, room - cell_len(outbox))
        inbox = _shortened(inbox, first)
        return [Text.assemble((name, "bold"), inbox, arrow, _shortened(outbox, room - cell_len(inbox)))]

    def _watched(self, wrap: "_Wrap") -> _Block:
        """How the inbox is watched, and whatever keeps it from that; on a live view the latter alone."""
        watch = self.overview.watch
        if watch is None or not (watch.mode or watch.trouble):
            return []
        if watch.trouble:
            return wrap(watch.trouble, "bold red", indent=0)
        if self.height is not None:
            return []
        at = watch.scanned_at
        looked = f"looked through at {time_of_day(at, self.now)}" if at is not None else "being looked through"
        again = watch.restarted_at
        restarted = f" Started again at {time_of_day(again, self.now)}: {watch.restarted_for}." if again else ""
        lines = wrap(f"Watched by {watch.mode}; {looked}.{restarted}", "dim", indent=0)
        return lines + (wrap(watch.reason, "yellow", indent=0) if watch.limited else [])

    def _troubled(self, wrap: "_Wrap") -> _Block:
        """What keeps paintings waiting until it passes."""
        return wrap(self.overview.trouble, "bold red", indent=0) if self.overview.trouble else []

    def _sections(self, console: Console, width: int) -> list[_Section]:
        wrap = _Wrap(console, width, limit=None if self.height is None else 1 + self._airy)
        view, counts = self.overview, self.overview.counts
        parts = (
            ("Painting", 4, JobState.RUNNING, _running_blocks(view.running, view.outlook, width)),
            ("Next", 0, JobState.QUEUED, [[_name(job.path, width)] for job in view.queued]),
            ("Tried again", 2, None, [_put_off(job, wrap, self.now) for job in view.put_off]),
            ("Waiting", 2, JobState.WAITING, [_held_up(job, wrap, "yellow") for job in view.waiting]),
            ("Problems", 3, JobState.PROBLEM, [_held_up(job, wrap, "red") for job in view.problems]),
            ("Done", 1, JobState.DONE, [[_done_line(job, self.now, width)] for job in view.done]),
        )
        return [
            _Section(title, weight, max(counts.get(state, 0) if state else 0, len(blocks)), blocks)
            for title, weight, state, blocks in parts
        ]


def _encodable(segments: Iterable[Segment], encoding: str) -> Iterable[Segment]:
    """Replace what a terminal of this encoding can't show, so that no line grows longer than it was."""
    for each in segments:
        text = each.text.translate(_ASCII_SIGNS).encode(encoding, "replace").decode(encoding)
        yield Segment(text, each.style, each.control)


def _fitting(sections: Sequence[_Section], room: int | None, gap: int) -> list[int]:
    """Return how many blocks of each section fit into ``room`` lines, a title and ``gap`` empty lines for each section.

    The paintings under way come first; then one block of each section, so that none is silent; then a few; then all.
    """
    if room is None:
        return [len(each.blocks) for each in sections]
    counts = [0] * len(sections)
    by_weight = sorted(range(len(sections)), key=lambda index: -sections[index].weight)
    wishes = [(by_weight[0], math.inf), *((index, wish) for wish in (1, 3, math.inf) for index in by_weight)]
    for index, wish in wishes:
        blocks = sections[index].blocks
        while counts[index] < min(wish, len(blocks)):
            cost = len(blocks[counts[index]]) + (0 if counts[index] else 1 + gap)
            if cost > room:
                break
            room -= cost
            counts[index] += 1
    return counts


def _counts(overview: Overview, width: int) -> _Block:
    """How many there are of each, on one line if they fit."""
    words = (
        (JobState.RUNNING, "painting", "bold"),
        (JobState.QUEUED, "queued", ""),
        (JobState.WAITING, "waiting", "yellow"),
        (JobState.DONE, "done", "green"),
        (JobState.PROBLEM, "problem", "bold red"),
    )
    numbers = [(overview.counts.get(state, 0), word, style) for state, word, style in words]
    parts = [Text(f"{n} {word}{'s' * (word == 'problem' and n > 1)}", style=style) for n, word, style in numbers if n]
    left = overview.outlook.all_seconds
    if left is not None and any(overview.counts.get(state) for state in (JobState.RUNNING, JobState.QUEUED)):
        parts.append(Text(f"all done in ~{duration(left)}"))
    return _packed(parts, " · ", width) or [Text("No photos yet: whatever is dropped into the inbox is painted.")]


def _remarks(overview: Overview, width: int) -> _Block:
    """Why nothing is painted, if somebody wanted it so, and why the config's file is not in force."""
    texts = filter(None, (overview.resting, overview.config_fault))
    return [Text(_shortened(printable(text), width), style="yellow") for text in texts]


def _packed(parts: Iterable[Text], separator: str, width: int) -> _Block:
    """Join the parts, beginning another line where one does not fit."""
    lines: _Block = []
    for part in parts:
        if lines and lines[-1].cell_len + len(separator) + part.cell_len <= width:
            lines[-1] = Text.assemble(lines[-1], separator, part)
        else:
            lines.append(part)
    return lines


def _shortened(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` cells: its middle is left out, for both ends of a path tell something."""
    if cell_len(text) <= width:
        return text
    if width < 8:
        return set_cell_size(text, max(0, width))
    head = (width - 1) // 3
    tail = text
    while cell_len(tail) > width - 1 - head:
        tail = tail[1:]
    return f"{set_cell_size(text, head).rstrip()}…{tail}"


def _name(path: object, width: int, indent: int = 2) -> Text:
    return Text(" " * indent + _shortened(printable(str(path)), width - indent))


@dataclass(frozen=True, slots=True)
class _Wrap:
    """Breaks sentences into lines of ``width``, at most ``limit`` of them."""

    console: Console
    width: int
    limit: int | None

    def __call__(self, text: str, style: str, indent: int = 4) -> _Block:
        room = max(8, self.width - indent)
        lines = list(Text(printable(text), style=style).wrap(self.console, room))
        for line in lines:
            line.rstrip()
        if self.limit is not None and len(lines) > self.limit:
            rest = Text(" ").join(lines[self.limit - 1 :])
            rest.truncate(room, overflow="ellipsis")
            lines = [*lines[: self.limit - 1], rest]
        for line in lines:
            line.pad_left(indent)
        return lines


def _held_up(job: Job, wrap: _Wrap, style: str) -> _Block:
    """A photo that is not painted: which, why, and what to do."""
    reason = wrap(job.reason, style) if job.reason else []
    remedy = wrap(job.remedy, "") if job.remedy else []
    return [_name(job.path, wrap.width), *reason, *remedy]


def _put_off(job: Job, wrap: _Wrap, now: float) -> _Block:
    """A photo that something keeps from being painted until it passes: which, when it is tried again, and why."""
    when = f"At {time_of_day(job.retry_at, now)}. " if job.retry_at is not None else ""
    return [_name(job.path, wrap.width), *wrap(f"{when}{job.reason}", "yellow")]


def _done_line(job: Job, now: float, width: int) -> Text:
    """When, which, and how it went."""
    at = time_of_day(job.finished_at, now) if job.finished_at is not None else ""
    facts = [f"loss {number(job.loss)}"] if job.loss is not None else []
    if job.started_at is not None and job.finished_at is not None:
        facts.append(f"in {duration(max(0.0, job.finished_at - job.started_at))}")
    tail = "  " + " · ".join(facts) if facts and width >= 40 else ""
    line = _name(job.path, width - 10 - cell_len(tail), indent=0)
    return Text.assemble("  ", (f"{at:<8}", "dim"), line, (tail, "dim"))


def _running_blocks(jobs: Sequence[Job], outlook: Outlook, width: int) -> list[_Block]:
    """Each painting's name and progress, on one line if the terminal is wide, else on two."""
    if width < _SURELY_WIDE:
        names = [_name_and_worker(job, width) for job in jobs]
        lines = _progress(jobs, outlook, width - 2, with_worker=False)
        return [[name, line] for name, line in zip(names, lines, strict=True)]
    paths = [_shortened(printable(str(job.path)), width * 2 // 5) for job in jobs]
    column = max(map(cell_len, paths), default=0)
    bars = _progress(jobs, outlook, width - 4 - column, with_worker=True)
    return [[Text.assemble("  ", set_cell_size(path, column), bar)] for path, bar in zip(paths, bars, strict=True)]


def _name_and_worker(job: Job, width: int) -> Text:
    worker = f"  on {printable(job.worker)}" if job.worker and width >= 40 else ""
    return Text.assemble(_name(job.path, width - cell_len(worker)), (worker, "dim"))


def _progress(jobs: Sequence[Job], outlook: Outlook, width: int, *, with_worker: bool) -> list[Text]:
    """Bars of one length, and beside them as many columns of numbers as there is room for."""
    columns = [each for each in _columns(jobs, outlook) if with_worker or each.weight > 0]
    while len(columns) > 1 and sum(each.width + 2 for each in columns) + _SHORTEST_BAR > width:
        columns.remove(min(columns, key=lambda each: each.weight))
    bar = max(3, width - sum(each.width + 2 for each in columns))
    cells = ["".join(f"  {each.padded(row)}" for each in columns) for row in range(len(jobs))]
    return [Text.assemble("  ", _bar(job, outlook, bar), row) for job, row in zip(jobs, cells, strict=True)]


@dataclass(frozen=True, slots=True)
class _Column:
    """One kind of number of every painting under way. ``weight`` says what is dropped last."""

    weight: int
    cells: tuple[str, ...]
    least: int = 0  # so that bars don't jump while numbers change
    right: bool = False

    @property
    def width(self) -> int:
        return max(self.least, *map(cell_len, self.cells), 0)

    def padded(self, row: int) -> str:
        spaces = " " * (self.width - cell_len(self.cells[row]))
        return spaces + self.cells[row] if self.right else self.cells[row] + spaces


def _columns(jobs: Sequence[Job], outlook: Outlook) -> list[_Column]:
    return [
        _Column(4, tuple(f"{job.step}/{job.steps}" for job in jobs), right=True),
        _Column(2, tuple("" if job.loss is None else f"loss {number(job.loss)}" for job in jobs), least=10),
        _Column(1, tuple("" if not job.seconds_per_step else rate(job.seconds_per_step) for job in jobs), least=12),
        _Column(3, tuple(_left(job, outlook) for job in jobs), least=11, right=True),
        _Column(0, tuple(job.worker and f"on {printable(job.worker)}" for job in jobs)),
    ]


def _left(job: Job, outlook: Outlook) -> str:
    if not job.step:
        return "starting"
    seconds = outlook.remaining_seconds.get(job.id)
    return "" if seconds is None else f"~{duration(seconds)} left"


def _bar(job: Job, outlook: Outlook, width: int) -> Text:
    last = max(outlook.expected_steps.get(job.id, job.steps), job.step, 1)
    share = job.step / last
    done = max(0, min(width, round(share * width)))
    return Text.assemble(("━" * done, "green"), ("─" * (width - done), "dim"))


# ---- the same for programs ------------------------------------------------------------------------------------------


def overview_json(overview: Overview) -> dict[str, Any]:
    """Return the overview as plain data for ``json.dumps(..., allow_nan=False)``.

    - ``resting``: why nothing is painted at present, and when that ends; None while painting goes on
    - ``watch``: how the inbox is watched, None if it is not: ``mode`` and ``reason``, ``limited`` (the system grants
      less than it should), ``trouble`` (why it cannot be watched, or None), ``scanned_at`` (when everything was looked
      through last), ``restarted_at`` and ``restarted_for`` (when and why the watch was last made anew, or None)
    - ``config_fault``: why the config's file, as it is, is not in force; None while it is
    - ``trouble``: what keeps paintings waiting, or a device from being used, until it passes; None where nothing does
    - ``counts``: number of jobs by state: ``waiting``, ``queued``, ``running``, ``done``, ``problem``
    - ``remaining_seconds``: about how long all that is queued and being painted takes; None while nobody knows
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
        "config_fault": overview.config_fault or None,
        "counts": {state.value: overview.counts.get(state, 0) for state in JobState},
        "remaining_seconds": _finite(overview.outlook.all_seconds),
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


def _which(job: Job) -> dict[str, Any]:
    return {"photo": str(job.path), "job": job.id}


def _running_facts(job: Job, outlook: Outlook) -> dict[str, Any]:
    return {
        **_which(job),
        "step": job.step,
        "steps": job.steps,
        "loss": _finite(job.loss),
        "seconds_per_step": _finite(job.seconds_per_step),
        "expected_steps": outlook.expected_steps.get(job.id),
        "remaining_seconds": _finite(outlook.remaining_seconds.get(job.id)),
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
    took = None if job.started_at is None or job.finished_at is None else job.finished_at - job.started_at
    return {
        **_which(job),
        "folder": None if job.folder is None else str(job.folder),
        "identity": job.identity,
        "loss": _finite(job.loss),
        "steps": job.step or job.steps,
        "seconds": _finite(took),
        "finished_at": _utc_or_none(job.finished_at),
        "width": job.width,
        "height": job.height,
    }


def _utc_or_none(at: float | None) -> str | None:
    return None if at is None else utc(at)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


# ---- live -----------------------------------------------------------------------------------------------------------


class LiveConsole:
    """The overview, redrawn in place a few times a second; notices of at least WARNING stand as lines above it.

    A thread of its own draws, so that a slow terminal never holds up the daemon: `update` and a notice only leave
    word. Where ``console`` is no terminal, or one that can't move its cursor, notices from ``level`` up are printed as
    lines and the overview once, at the end.
    """

    def __init__(
        self,
        console: Console,
        inbox: Path,
        outbox: Path,
        *,
        level: Level = Level.INFO,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._console = console
        self._inbox, self._outbox, self._clock = inbox, outbox, clock
        self.tell_from(level)
        self._overview: Overview | None = None
        self._seen: tuple[Overview | None, ConsoleDimensions] | None = None
        self._lines: deque[Text] = deque(maxlen=1000)
        self._kept: deque[Text] = deque(maxlen=_KEPT_LINES)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._draw_until_over, name="console", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join(_LEAVE_SECONDS)

    def __call__(self, notice: Notice) -> None:
        """Print the notice above the view, if it matters enough."""
        if _RANKS[notice.level] >= self._rank:
            self._lines.append(_notice_line(notice, self._clock()))

    def tell_from(self, level: Level) -> None:
        """Print notices from ``level`` up; above a view that moves, none below WARNING."""
        self._rank = max(_RANKS[level], _RANKS[Level.WARNING]) if self._console.is_interactive else _RANKS[level]

    def update(self, overview: Overview) -> None:
        """Show ``overview`` with the next redraw."""
        self._overview = overview

    def _draw_until_over(self) -> None:
        # A terminal that went away ends the view and nothing else; rich leaves by SystemExit when a pipe breaks.
        with contextlib.suppress(OSError, ValueError, SystemExit):
            screen = _Screen(self._console, self._view)
            try:
                while not self._over.wait(_REDRAW_SECONDS):
                    self._draw(screen)
                self._draw(screen)
            finally:
                screen.close()

    def _draw(self, screen: "_Screen") -> None:
        lines, seen = self._new_lines(), (self._overview, self._console.size)
        if lines or seen != self._seen:
            screen.draw(lines, self._kept)
        self._seen = seen

    def _new_lines(self) -> list[Text]:
        lines = []
        while self._lines:
            lines.append(self._lines.popleft())
        self._kept.extend(lines)
        return lines

    def _view(self) -> RenderableType:
        if self._overview is None:
            return Text("monet-watch  starting")
        height = self._console.height - 1 if self._console.is_interactive else None
        return render_overview(self._overview, now=self._clock(), inbox=self._inbox, outbox=self._outbox, height=height)


class _Screen:
    """A terminal with a view at its foot that is drawn again and again, and lines that scroll away above it."""

    def __init__(self, console: Console, view: Callable[[], RenderableType]) -> None:
        self._console, self._view = console, view
        self._width = console.width
        self._live = self._begin()

    def _begin(self) -> Live:
        live = Live(console=self._console, get_renderable=self._view, auto_refresh=False, vertical_overflow="crop")
        live.start()
        return live

    def draw(self, lines: Iterable[Text], kept: Iterable[Text]) -> None:
        """Print ``lines`` and draw the view; ``kept`` are the last lines, which a cleared screen shows again."""
        width = self._console.width
        with self._console:  # one write, so that nothing flickers
            if width < self._width and self._console.is_interactive:
                self._start_over()
                lines = kept
            for line in lines:
                self._console.print(line)
            self._live.refresh()
        self._width = width

    def _start_over(self) -> None:
        """Clear the screen: a narrower terminal has broken the view's lines, and where they lie is not known."""
        self._live.stop()
        self._console.clear()
        self._live = self._begin()

    def close(self) -> None:
        """Leave the view as it stands, and the cursor below it."""
        self._live.stop()


def _notice_line(notice: Notice, at: float) -> Text:
    when = f"{datetime.fromtimestamp(at):%H:%M:%S} "
    return Text.assemble((when, "dim"), (f"{notice.level.value}: ", _LEVEL_STYLES.get(notice.level, "")), _told(notice))


# ---- lines ----------------------------------------------------------------------------------------------------------


def _told(notice: Notice) -> str:
    """The notice as one line: the photo, unless the sentence begins with it, the job, and the sentence."""
    job = "" if notice.job is None else f" (job {notice.job})"
    if notice.photo in ("", "."):
        return printable(f"{notice.text}{job}")
    if notice.text.startswith(notice.photo):
        return printable(f"{notice.photo}{job}{notice.text.removeprefix(notice.photo)}")
    return printable(f"{notice.photo}{job}: {notice.text}")


class _Lines:
    """Writes lines, each flushed. Once nobody reads any more, it writes nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._broken = False

    def write(self, line: str) -> None:
        if self._broken:
            return
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            self._stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            self._broken = True
            self._divert()
        except (OSError, ValueError):  # a full disk may have room again for the next line
            pass

    def _divert(self) -> None:
        """Send what is left in the stream's buffer nowhere, or Python complains about it when it ends."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


class PlainConsole:
    """One line per event. ``priorities``: with sd-daemon(3) prefixes for the journal, which has a clock of its own.

    Steps are told at DEBUG only; pictures of progress at INFO, but of one photo not more often than every ten seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        level: Level = Level.INFO,
        priorities: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._lines = _Lines(stream)
        self._rank, self._priorities, self._clock = _RANKS[level], priorities, clock
        self._progress: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def __call__(self, notice: Notice) -> None:
        """Write the notice's line, if it matters enough."""
        now = self._clock()
        level = self._level(notice, now)
        if _RANKS[level] < self._rank:
            return
        if self._priorities:
            self._lines.write(f"<{_PRIORITIES[level]}>{_told(notice)}")
            return
        loud = f"{level.value}: " if _RANKS[level] >= _RANKS[Level.WARNING] else ""
        self._lines.write(f"{datetime.fromtimestamp(now):%Y-%m-%d %H:%M:%S} {loud}{_told(notice)}")

    def tell_from(self, level: Level) -> None:
        """Write notices from ``level`` up."""
        self._rank = _RANKS[level]

    def update(self, overview: Overview) -> None:
        """Do nothing: events tell it all."""

    def _level(self, notice: Notice, now: float) -> Level:
        if notice.event not in ("step", "snapshot"):
            self._progress.pop(notice.photo, None)
            return notice.level
        if _RANKS[notice.level] >= _RANKS[Level.WARNING]:
            return notice.level
        if notice.event == "step" or now - self._progress.get(notice.photo, -math.inf) < _PROGRESS_SECONDS:
            return Level.DEBUG
        self._progress[notice.photo] = now
        return Level.INFO


class JsonConsole:
    """One JSON object per event and line, in ASCII.

    Keys: ``time`` (ISO 8601, UTC), ``level``, ``event``, ``photo``, ``job`` (its number, or null), ``text`` and
    ``details`` (an object). ``priorities``: with sd-daemon(3) prefixes, which the journal takes off again.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        level: Level = Level.INFO,
        priorities: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._lines = _Lines(stream)
        self._rank, self._priorities, self._clock = _RANKS[level], priorities, clock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def __call__(self, notice: Notice) -> None:
        """Write the notice's object, if it matters enough."""
        if _RANKS[notice.level] < self._rank:
            return
        details = {key: _plain_value(value) for key, value in notice.details.items()}
        line = {
            "time": utc(self._clock()),
            "level": notice.level.value,
            "event": notice.event,
            "photo": notice.photo,
            "job": notice.job,
            "text": notice.text,
            "details": details,
        }
        self._lines.write(f"{self._prefix(notice.level)}{json.dumps(line)}")

    def _prefix(self, level: Level) -> str:
        return f"<{_PRIORITIES[level]}>" if self._priorities else ""

    def tell_from(self, level: Level) -> None:
        """Write notices from ``level`` up."""
        self._rank = _RANKS[level]

    def update(self, overview: Overview) -> None:
        """Do nothing: events tell it all."""


def _plain_value(value: object) -> str | int | float | bool | None:
    """JSON knows neither infinity nor "not a number"; and a detail of another kind must not cost the line."""
    if isinstance(value, float):
        return _finite(value)
    return value if value is None or isinstance(value, str | int) else str(value)


# ---- once a minute --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Told:
    """What was told ``at`` a time, and ``held`` back since then, at ``last`` for the last time."""

    notice: Notice
    at: float
    last: float
    held: int = 0


class Unrepeated:
    """Passes notices on to ``view``, but none that says the same as one of the last minute.

    Those are counted, and the count is told with the first notice or overview after the minute, or at the end. At
    ``level`` DEBUG all are passed on: whoever asks for that wants to know everything. ``clock`` is monotonic, in
    seconds.
    """

    def __init__(
        self, view: ConsoleView, level: Level = Level.INFO, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._view = view
        self._holds_back = level is not Level.DEBUG
        self._clock = clock
        self._told: OrderedDict[object, _Told] = OrderedDict()  # the one told first comes first

    def __enter__(self) -> Self:
        self._view.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._tell_counts()
        self._view.__exit__(*exc)

    def __call__(self, notice: Notice) -> None:
        """Pass the notice on, or count it."""
        now = self._clock()
        self._let_go(now)
        key = (notice.event, notice.photo, notice.job, notice.level, notice.text)
        if key in self._told and self._holds_back:
            self._told[key].held += 1
            self._told[key].last = now
            return
        self._told[key] = _Told(notice, now, now)
        self._view(notice)

    def tell_from(self, level: Level) -> None:
        """Pass it on."""
        self._tell_counts()
        self._holds_back = level is not Level.DEBUG
        self._view.tell_from(level)

    def update(self, overview: Overview) -> None:
        """Pass the overview on, and the counts that are due."""
        self._let_go(self._clock())
        self._view.update(overview)

    def _let_go(self, now: float) -> None:
        """Forget what was told a minute ago, or is too much, and tell the counts of what was said again since."""
        while self._told:
            key, oldest = next(iter(self._told.items()))
            if now - oldest.at < _UNREPEATED_SECONDS and len(self._told) < _MOST_REMEMBERED:
                return
            del self._told[key]
            if self._tell_count(oldest):
                self._told[key] = _Told(oldest.notice, now, now)

    def _tell_counts(self) -> None:
        for each in self._told.values():
            self._tell_count(each)
            each.held = 0

    def _tell_count(self, told: _Told) -> bool:
        if not told.held:
            return False
        times = f"{told.held} time{'s' * (told.held > 1)}"
        text = f"{told.notice.text} ({times} more within {max(1, math.ceil(told.last - told.at))} s)"
        details = {**told.notice.details, "repeated": told.held}
        self._view(replace(told.notice, text=text, details=details))
        return True


# ---- which one ------------------------------------------------------------------------------------------------------


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether ``stream`` goes straight to systemd's journal (``$JOURNAL_STREAM`` names its device and inode)."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def open_console(
    kind: ConsoleKind,
    level: Level = Level.INFO,
    *,
    stream: TextIO,
    inbox: Path,
    outbox: Path,
    priorities: bool = False,
) -> ConsoleView:
    """Return the view of this ``kind`` on ``stream``; plain lines where a live one is not possible.

    ``priorities`` says that the stream is the journal (`is_journal`). No line is told more than once a minute (see
    `Unrepeated`).
    """
    return Unrepeated(_view_of_kind(kind, level, stream, inbox, outbox, priorities), level)


def _view_of_kind(
    kind: ConsoleKind, level: Level, stream: TextIO, inbox: Path, outbox: Path, priorities: bool
) -> ConsoleView:
    if kind == "json":
        return JsonConsole(stream, level=level, priorities=priorities)
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    if kind == "plain" or priorities or not (_is_terminal(stream) and console.is_interactive):
        return PlainConsole(stream, level=level, priorities=priorities)
    with contextlib.suppress(AttributeError, ValueError):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]
    return LiveConsole(console, inbox, outbox, level=level)


def _is_terminal(stream: TextIO) -> bool:
    """Ask the stream itself: rich takes a file for a terminal where ``FORCE_COLOR`` is set."""
    try:
        return stream.isatty()
    except ValueError:
        return False
