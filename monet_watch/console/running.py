"""The paintings under way: what each looks like, how far it is, how its loss falls, and when it will be done."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.color import Color
from rich.style import Style
from rich.text import Text

from monet_watch.console.fitting import Block, Page, named, packed, shortened
from monet_watch.ledger import Job, Outlook
from monet_watch.printable import printable
from monet_watch.sketch import Sketch
from monet_watch.sparkline import sparkline
from monet_watch.wording import duration, number, rate, time_of_day

__all__ = ["running_blocks"]

_SURELY_WIDE = 90  # columns in which a painting's name and its progress stand on one line
_SHORTEST_BAR = 10
_LONGEST_CURVE = 60
_ENOUGH_LINES = 12  # for a line about how the loss falls
_ENOUGH_FOR_A_PICTURE = 18
_MOST_WITH_CURVES = 4  # paintings at a time
_MOST_WITH_PICTURES = 2
_PICTURE_ROWS = ((40, 12), (22, 8), (0, 6))  # at so many lines or more, the picture has so many
_LEAST_BESIDE_PICTURE = 36  # columns


def running_blocks(jobs: Sequence[Job], outlook: Outlook, sketches: Mapping[int, Sketch], page: Page) -> list[Block]:
    """Return what is shown of each painting: its picture, where there is room and colour for it, and how it goes."""
    has_room = page.height is None or page.height >= _ENOUGH_LINES
    plain = _plain_blocks(jobs, outlook, page.width)
    if not has_room or len(jobs) > _MOST_WITH_CURVES:
        return plain
    shown = sketches if _shows_pictures(page) and len(jobs) <= _MOST_WITH_PICTURES else {}
    blocks = zip(jobs, plain, strict=True)
    return [
        _with_picture(job, outlook, shown[job.id], page)
        if job.id in shown and _fits(shown[job.id], page)
        else [*block, *_fall(job, outlook, page)]
        for job, block in blocks
    ]


# ---- with a picture -------------------------------------------------------------------------------------------------


def _with_picture(job: Job, outlook: Outlook, sketch: Sketch, page: Page) -> Block:
    columns = _columns_of(sketch, page)
    width = page.width - columns - 4
    rows = list(_picture(sketch.scaled(columns, 2 * _rows(page))))
    beside = _beside(job, outlook, width, page.now)[: len(rows)]
    beside += [Text()] * (len(rows) - len(beside))
    return [Text.assemble("  ", row, "  ", line) for row, line in zip(rows, beside, strict=True)]


def _shows_pictures(page: Page) -> bool:
    return page.has_colours and (page.height is None or page.height >= _ENOUGH_FOR_A_PICTURE)


def _fits(sketch: Sketch, page: Page) -> bool:
    return _columns_of(sketch, page) + _LEAST_BESIDE_PICTURE <= page.width


def _rows(page: Page) -> int:
    """How many lines the picture has."""
    lines = _PICTURE_ROWS[1][0] if page.height is None else page.height
    return next(rows for least, rows in _PICTURE_ROWS if lines >= least)


def _columns_of(sketch: Sketch, page: Page) -> int:
    """How wide the picture is, if it is as high as there are rows for it: half a cell is about a square."""
    return max(2, min(page.width // 3, round(2 * _rows(page) * sketch.width / sketch.height)))


def _picture(sketch: Sketch) -> Iterator[Text]:
    """Lines of two rows of pixels each: the upper one as the letter's colour, the lower as the ground's."""
    for row in range(0, sketch.height, 2):
        line = Text()
        for column in range(sketch.width):
            upper, lower = (Color.from_rgb(*sketch.pixel(column, each)) for each in (row, row + 1))
            line.append("▀", Style(color=upper, bgcolor=lower))
        yield line


def _beside(job: Job, outlook: Outlook, width: int, now: float) -> Block:
    """What is told beside the picture, the most important first."""
    facts = [f"step {job.step}/{job.steps}", "" if job.loss is None else f"loss {number(job.loss)}"]
    facts.append(rate(job.seconds_per_step) if job.seconds_per_step else "")
    line = sparkline(outlook.curves.get(job.id, ()), min(width, _LONGEST_CURVE))
    size = f"{job.width} × {job.height} pixels" if job.width and job.height else ""
    return [
        _name_and_worker(job, width, indent=0),
        _bar(job, outlook, min(width, _LONGEST_CURVE)),
        *packed((Text(fact) for fact in facts if fact), " · ", width)[:1],
        Text(_end(job, outlook, now)),
        *([Text(line, style="cyan")] if line else []),
        Text(size, style="dim"),
    ]


def _end(job: Job, outlook: Outlook, now: float) -> str:
    seconds = outlook.remaining_seconds.get(job.id)
    left = _left(job, outlook)
    return left if seconds is None or not job.step else f"{left}, done at {time_of_day(now + seconds, now)}"


# ---- without --------------------------------------------------------------------------------------------------------


def _fall(job: Job, outlook: Outlook, page: Page) -> Block:
    """How the loss falls, and when the painting is done; nothing before there is a curve."""
    line = sparkline(outlook.curves.get(job.id, ()), min(_LONGEST_CURVE, page.width // 2 - 2))
    seconds = outlook.remaining_seconds.get(job.id)
    at = "" if seconds is None else f"  done at {time_of_day(page.now + seconds, page.now)}"
    return [Text.assemble("  ", (line, "cyan"), at)] if line else []


def _plain_blocks(jobs: Sequence[Job], outlook: Outlook, width: int) -> list[Block]:
    """Each painting's name and progress, on one line if the terminal is wide, else on two."""
    if width < _SURELY_WIDE:
        names = [_name_and_worker(job, width) for job in jobs]
        lines = _progress(jobs, outlook, width - 2, with_worker=False)
        return [[name, line] for name, line in zip(names, lines, strict=True)]
    paths = [shortened(printable(str(job.path)), width * 2 // 5) for job in jobs]
    column = max(map(cell_len, paths), default=0)
    bars = _progress(jobs, outlook, width - 4 - column, with_worker=True)
    return [[Text.assemble("  ", set_cell_size(path, column), bar)] for path, bar in zip(paths, bars, strict=True)]


def _name_and_worker(job: Job, width: int, indent: int = 2) -> Text:
    worker = f"  on {printable(job.worker)}" if job.worker and width >= 40 else ""
    return Text.assemble(named(job.path, width - cell_len(worker), indent), (worker, "dim"))


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
