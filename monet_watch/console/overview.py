"""The view of an overview, in whatever room there is: counts, what is painted, what comes next, what waits and why."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text

from monet_watch.console.fitting import Block, Page, named, packed, shortened
from monet_watch.console.running import running_blocks
from monet_watch.console.workers import worker_blocks
from monet_watch.ledger import Job, JobState, Overview
from monet_watch.printable import printable
from monet_watch.wording import duration, number, time_of_day

__all__ = ["render_overview"]

_ASCII_SIGNS = str.maketrans("→·×…━─▁▂▃▄▅▆▇█", ">-x~=-_.-~=+*#")
_SURELY_HIGH = 24  # lines in which there is room for empty ones
_COLOURS = ("256", "truecolor")  # in which pixels look like a picture


def render_overview(
    overview: Overview, *, now: float, inbox: Path | None = None, outbox: Path | None = None, height: int | None = None
) -> RenderableType:
    """Return what `rich` can print: the counts, what is painted, what comes next, what waits and why, the results.

    ``now`` is in seconds since the epoch. It takes the width that it is given, and at most ``height`` lines (None: as
    many as it needs): the least important lines are dropped first, the running paintings and problems last.
    """
    return _View(overview, now, inbox, outbox, height)


@dataclass(frozen=True, slots=True)
class _Section:
    """A title and its blocks. ``total`` counts the blocks that there would be; ``weight`` says what is dropped last."""

    title: str
    weight: int
    total: int
    blocks: Sequence[Block]

    def lines(self, count: int) -> Block:
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

    def lines(self, console: Console, width: int) -> Block:
        wrap = _Wrap(console, width, limit=None if self.height is None else 2)
        head = [*self._title(width), *_counts(self.overview, width, self.now), *_remarks(self.overview, wrap)]
        head += [*self._troubled(wrap), *self._watched(wrap)]
        sections = self._sections(console, width)
        airy = self._airy
        counts = _fitting(sections, None if self.height is None else self.height - len(head), gap=int(airy))
        shown = [head, *(each.lines(count) for each, count in zip(sections, counts, strict=True) if count)]
        if not airy:
            return [line for part in shown for line in part][: self.height]
        return [line for part in shown for line in (*part, Text())][:-1]

    def _title(self, width: int) -> Block:
        if self.inbox is None or self.outbox is None:
            return []
        name, arrow = "monet-watch  ", " → "
        inbox, outbox = printable(str(self.inbox)), printable(str(self.outbox))
        room = max(2, width - len(name) - len(arrow))
        first = max(room // 2, room - cell_len(outbox))
        inbox = shortened(inbox, first)
        return [Text.assemble((name, "bold"), inbox, arrow, shortened(outbox, room - cell_len(inbox)))]

    def _watched(self, wrap: "_Wrap") -> Block:
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

    def _troubled(self, wrap: "_Wrap") -> Block:
        """What keeps paintings waiting until it passes."""
        return wrap(self.overview.trouble, "bold red", indent=0) if self.overview.trouble else []

    def _sections(self, console: Console, width: int) -> list[_Section]:
        wrap = _Wrap(console, width, limit=None if self.height is None else 1 + self._airy)
        view, counts = self.overview, self.overview.counts
        page = Page(width, self.height, self.now, _has_colours(console))
        parts = (
            ("Painting", 4, JobState.RUNNING, running_blocks(view.running, view.outlook, view.sketches, page)),
            ("Workers", 0, None, worker_blocks(view.workers, page)),
            ("Next", 0, JobState.QUEUED, [[named(job.path, width)] for job in view.queued]),
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


def _has_colours(console: Console) -> bool:
    """Whether half a cell can be shown in a colour of its own."""
    plain = console.no_color or console.legacy_windows or not console.encoding.startswith("utf")
    return console.color_system in _COLOURS and not plain


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


def _counts(overview: Overview, width: int, now: float) -> Block:
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
        parts.append(Text(f"all done in ~{duration(left)}, at {time_of_day(now + left, now)}"))
    return packed(parts, " · ", width) or [Text("No photos yet: whatever is dropped into the inbox is painted.")]


def _remarks(overview: Overview, wrap: "_Wrap") -> Block:
    """Why nothing is painted, if somebody wanted it so, and why the config's file is not in force."""
    texts = filter(None, (overview.resting, overview.config_fault))
    return [line for text in texts for line in wrap(text, "yellow", indent=0)]


@dataclass(frozen=True, slots=True)
class _Wrap:
    """Breaks sentences into lines of ``width``, at most ``limit`` of them."""

    console: Console
    width: int
    limit: int | None

    def __call__(self, text: str, style: str, indent: int = 4) -> Block:
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


def _held_up(job: Job, wrap: _Wrap, style: str) -> Block:
    """A photo that is not painted: which, why, and what to do."""
    reason = wrap(job.reason, style) if job.reason else []
    remedy = wrap(job.remedy, "") if job.remedy else []
    return [named(job.path, wrap.width), *reason, *remedy]


def _put_off(job: Job, wrap: _Wrap, now: float) -> Block:
    """A photo that something keeps from being painted until it passes: which, when it is tried again, and why."""
    when = f"At {time_of_day(job.retry_at, now)}. " if job.retry_at is not None else ""
    return [named(job.path, wrap.width), *wrap(f"{when}{job.reason}", "yellow")]


def _done_line(job: Job, now: float, width: int) -> Text:
    """When, which, and how it went."""
    at = time_of_day(job.finished_at, now) if job.finished_at is not None else ""
    facts = [f"loss {number(job.loss)}"] if job.loss is not None else []
    if job.seconds_taken is not None:
        facts.append(f"in {duration(job.seconds_taken)}")
    tail = "  " + " · ".join(facts) if facts and width >= 40 else ""
    line = named(job.path, width - 10 - cell_len(tail), indent=0)
    return Text.assemble("  ", (f"{at:<8}", "dim"), line, (tail, "dim"))
