"""How long paintings will take: reckoned from what others took on the same device, and from how one goes so far.

Pure functions over records. A painting takes so many steps at each of its sizes, and something before the first step
and after the last one:

- How long a step takes follows from how much work it is, which grows with the pixels (`_work`), and from how long the
  same work took on this device: in paintings by a recipe whose steps are the same, most of all those of about that
  size; where there are none, in all others. A painting under way counts as one of them, the more so the further it is.
- A recipe that ends when further steps no longer pay (``least_gain``) takes as many as its paintings of about that size
  have taken on the average. When it does so in a painting under way is foretold from its own losses: what ten steps
  gain falls about as a power of the number of steps.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from monet_watch.engine.levels import Level, levels
from monet_watch.ledger import StepTaken
from monet_watch.recipes import Recipe

__all__ = ["Awaiting", "Estimator", "Painted", "Underway", "sizes_of", "until_all_is_done"]

# What is expected until paintings tell better, as if two had told it already: one alone may be out of the common.
_PRESUMED = 2
_USUAL_ASPECT = 1.4  # between that of phones, 4:3, and that of cameras, 3:2
_USUAL_STEPS = 80  # at 512 × 768 pixels, of a recipe that ends by itself
_STEPS_BY_PIXELS = -0.06  # the power of the pixels by which there are more of them in a smaller picture
_STEPS_AFTER_COARSE_ONES = 0.65  # so many of them are left where a painting begins small
_ALIKE = 0.35  # how far apart two sizes may lie, as the logarithm of their pixels, so as to tell much of each other
_STEPS_ALIKE = 1.0  # likewise, for the number of steps, which hardly follows the size
_PATIENCE_STEPS = 10  # over which least_gain is measured
_OWN_STEPS = 10  # after so many, a painting's own pace tells as much as all others
_FEWEST_GAINS = 8  # that say how they fall
_FIT_STEPS = 20  # the latest ones, by which that is said

# Measured on a processor, in fp32, as so many pixels of a step that compares Gram matrices and lets the deepest layer
# rest: what a step takes however small the picture is, and how much more a pixel takes where that layer never rests.
_FIXED_OF_GRAM, _FIXED_OF_GAUSSIAN = 800, 18_000
_WITHOUT_REST = 1.35

# What changes neither how long a step takes nor how many there are.
_IDLE_KEYS = {"recipe", "image_size", "enlarge", "enlarge_style", "style_scale", "seed", "save_every"}


@dataclass(frozen=True, slots=True)
class Painted:
    """A painting of ``width`` × ``height`` pixels that is finished, after ``last_step``.

    ``paces`` tells of each size that it went through: how many pixels, how many steps were measured there, and how many
    seconds these took together. ``other_seconds`` is what all else took.
    """

    device: str
    recipe: Recipe
    width: int
    height: int
    last_step: int
    paces: tuple[tuple[int, int, float], ...]
    other_seconds: float


@dataclass(frozen=True, slots=True)
class Underway:
    """A painting under way. ``steps`` are those that were taken, or the most of them that tell how it goes.

    ``size`` is (width, height), None while the photo is being opened.
    """

    device: str
    recipe: Recipe
    size: tuple[int, int] | None
    steps: tuple[StepTaken, ...] = ()

    @property
    def taken(self) -> int:
        """How many steps have been taken."""
        return self.steps[-1].number if self.steps else 0


@dataclass(frozen=True, slots=True)
class Awaiting:
    """So many photos that wait to be painted by this recipe."""

    recipe: Recipe
    count: int


def sizes_of(recipe: Recipe, width: int, height: int) -> list[tuple[int, int]]:
    """Return the sizes that a painting of ``width`` × ``height`` pixels goes through, each its last step and pixels."""
    return [(level.last, level.width * level.height) for level in _levels(recipe, width, height)]


class Estimator:
    """Reckons from what was ``painted``, the latest last, and from what is ``underway``."""

    def __init__(self, painted: Sequence[Painted], underway: Sequence[Underway] = ()) -> None:
        self._painted = painted
        self._lengths = list(map(_length, painted))
        self._rates = [rate for each in painted for rate in _rates(each)]
        self._rates += [rate for sitting in underway for rate in _own_rate(sitting)]

    def remaining_seconds(self, sitting: Underway) -> float | None:
        """Return the seconds until it is done; None while nothing is known of its device."""
        size = sitting.size or self._usual_size(sitting.recipe)
        total = self._other_seconds(sitting.device) * (0.5 if sitting.steps else 1.0)
        for level, count in _ahead(_levels(sitting.recipe, *size), sitting.taken, self._last_step(sitting, size)):
            rate = self._rate(sitting, level.width * level.height)
            if rate is None:
                return None
            total += count * rate * _work(sitting.recipe, level.width * level.height)
        return total

    def seconds(self, device: str, recipe: Recipe) -> float | None:
        """Return what a painting by ``recipe`` takes on ``device``, of a photo that nobody has opened yet."""
        return self.remaining_seconds(Underway(device, recipe, None))

    def expected_steps(self, sitting: Underway) -> int:
        """Return after how many steps it will be done, as far as can be told."""
        return round(self._last_step(sitting, sitting.size or self._usual_size(sitting.recipe)))

    # How long a step takes.

    def _rate(self, sitting: Underway, pixels: int) -> float | None:
        """The seconds that a unit of work takes, at a size of so many pixels."""
        kind, here = _kind(sitting.recipe), [rate for rate in self._rates if rate.device == sitting.device]
        alike = [rate for rate in here if rate.kind == kind]
        if not here:
            return None
        known = _mean_by_size([(rate.pixels, rate.seconds) for rate in alike or here], pixels, _ALIKE)
        own = [rate.seconds for rate in _own_rate(sitting)]
        if not own:
            return known
        weight = len(sitting.steps) / _OWN_STEPS
        return (known + weight * own[0]) / (1 + weight)

    def _other_seconds(self, device: str) -> float:
        """What passes before the first step and after the last one."""
        seconds = [each.other_seconds for each in self._painted if each.device == device]
        return sum(seconds) / len(seconds) if seconds else 0.0

    # How many steps.

    def _last_step(self, sitting: Underway, size: tuple[int, int]) -> float:
        recipe, passed = sitting.recipe, _coarse_steps(sitting.recipe, size)
        if not recipe.least_gain:
            return recipe.steps
        usual = passed + self._usual_steps(recipe, size[0] * size[1])
        ends_at = _blended(sitting.steps, passed, usual, recipe.least_gain)
        return min(recipe.steps, max(ends_at, sitting.taken + 1))

    def _usual_steps(self, recipe: Recipe, pixels: int) -> float:
        """How many steps its paintings take at the full size."""
        kind = _kind(recipe)
        seen = [(length.pixels, length.steps) for length in self._lengths if length.kind == kind]
        return _mean_by_size([*seen, *_PRESUMED * [(pixels, _presumed_steps(recipe, pixels))]], pixels, _STEPS_ALIKE)

    def _usual_size(self, recipe: Recipe) -> tuple[int, int]:
        """The size of a painting by ``recipe``, of a photo as wide as those that were painted."""
        aspects = [max(each.width, each.height) / min(each.width, each.height) for each in self._painted]
        aspect = (sum(aspects) + _PRESUMED * _USUAL_ASPECT) / (len(aspects) + _PRESUMED)
        return round(recipe.image_size * aspect), recipe.image_size


def until_all_is_done(
    estimator: Estimator, underway: Sequence[Underway], awaiting: Iterable[Awaiting], idle: Sequence[str] = ()
) -> float | None:
    """Return the seconds until nothing is left; None where a device's pace is not known.

    Who paints now, and the workers on the devices that are ``idle``, go on with what waits. Each takes the next photo
    when it is done with one, so that all end at about the same time: half a painting later, where there are several,
    than if photos could be cut into pieces.
    """
    groups = [each for each in awaiting if each.count]
    ready = [*((each.device, estimator.remaining_seconds(each)) for each in underway), *((each, 0.0) for each in idle)]
    workers = [(seconds, _all_of(estimator, device, groups)) for device, seconds in ready]
    known = [(first, alone) for first, alone in workers if first is not None and alone is not None]
    if len(known) < len(workers) or (groups and not workers):
        return None
    longest = max((first for first, _ in known), default=0.0)
    return max(longest, _shared(known, sum(each.count for each in groups))) if groups else longest


def _all_of(estimator: Estimator, device: str, groups: Sequence[Awaiting]) -> float | None:
    """What ``device`` would take for all that waits, alone."""
    seconds = [(each.count, estimator.seconds(device, each.recipe)) for each in groups]
    known = [count * each for count, each in seconds if each is not None]
    return sum(known) if len(known) == len(seconds) else None


def _shared(workers: Sequence[tuple[float, float]], photos: int) -> float:
    """When the work is done, if each worker is ready after so many seconds and would take so many for it, alone."""
    at = done = speed = 0.0
    for ready, alone in sorted(workers):
        if done + speed * (ready - at) >= 1.0:
            break
        done, at = done + speed * (ready - at), ready
        speed += 1.0 / max(alone, 1e-9)
    unevenness = 0.0 if len(workers) == 1 else 0.5 * len(workers) / (speed * photos)
    return at + (1.0 - done) / speed + unevenness


# ---- how long a step takes ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rate:
    """How many ``seconds`` a unit of work took, in steps of this ``kind``, at a size of so many pixels."""

    device: str
    kind: str
    pixels: int
    seconds: float


def _rates(painted: Painted) -> Iterator[_Rate]:
    for pixels, steps, seconds in painted.paces:
        yield _Rate(painted.device, _kind(painted.recipe), pixels, seconds / (steps * _work(painted.recipe, pixels)))


def _own_rate(sitting: Underway) -> Iterator[_Rate]:
    """The pace of a painting under way, at the size that it has reached: none before its second step there.

    The first one is not like the others: what they all need is made ready in it.
    """
    if sitting.size is None or not sitting.steps:
        return
    sizes = _levels(sitting.recipe, *sitting.size)
    level = next((each for each in sizes if sitting.taken <= each.last), sizes[-1])
    before = max((each.last for each in sizes if each.last < level.last), default=0)
    seconds = [step.seconds for step in sitting.steps if step.number > before + 1][-2 * _OWN_STEPS :]
    if seconds:
        pixels = level.width * level.height
        per_step = sum(seconds) / len(seconds)
        yield _Rate(sitting.device, _kind(sitting.recipe), pixels, per_step / _work(sitting.recipe, pixels))


def _work(recipe: Recipe, pixels: int) -> float:
    """How much work a step is, in pixels of a step that compares Gram matrices and lets the deepest layer rest."""
    if recipe.style_statistic == "gaussian":
        return pixels + _FIXED_OF_GAUSSIAN
    return pixels * (1.0 if recipe.rest_below else _WITHOUT_REST) + _FIXED_OF_GRAM


@lru_cache(maxsize=256)
def _kind(recipe: Recipe) -> str:
    """What two recipes have in common whose steps are the same work, and end for the same reason."""
    return recipe.model_dump_json(exclude=_IDLE_KEYS)


def _mean_by_size(seen: Sequence[tuple[float, float]], pixels: float, width: float) -> float:
    """The mean of values, each seen at a size of so many pixels, those at the most alike sizes counting most."""
    apart = [abs(math.log(size / pixels)) / width for size, _ in seen]
    weights = [math.exp(min(apart) - each) for each in apart]  # the nearest counts, however far it is
    return sum(w * value for w, (_, value) in zip(weights, seen, strict=True)) / sum(weights)


# ---- how many steps there are ---------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _levels(recipe: Recipe, width: int, height: int) -> tuple[Level, ...]:
    return levels(recipe, width, height)


def _coarse_steps(recipe: Recipe, size: tuple[int, int]) -> int:
    """After how many steps a painting has reached its full size."""
    return max((level.last for level in _levels(recipe, *size) if level.scale < 1.0), default=0)


@dataclass(frozen=True, slots=True)
class _Length:
    """How many ``steps`` a painting of this ``kind`` took at its full size, of so many pixels."""

    kind: str
    pixels: int
    steps: int


def _length(painted: Painted) -> _Length:
    steps = painted.last_step - _coarse_steps(painted.recipe, (painted.width, painted.height))
    return _Length(_kind(painted.recipe), painted.width * painted.height, steps)


def _presumed_steps(recipe: Recipe, pixels: int) -> float:
    share = _STEPS_AFTER_COARSE_ONES if recipe.coarsest else 1.0
    return float(_USUAL_STEPS * share * (pixels / (512 * 768)) ** _STEPS_BY_PIXELS)


def _ahead(sizes: Sequence[Level], after: float, upto: float) -> Iterator[tuple[Level, float]]:
    """Each size, and how many of the steps ``after`` one ``upto`` another are taken at it."""
    before = 0
    for level in sizes:
        count = min(upto, level.last) - max(after, before)
        before = level.last
        if count > 0:
            yield level, count


def _blended(steps: Sequence[StepTaken], passed: int, usual: float, least_gain: float) -> float:
    """When a painting ends: as others do, and the more it has gone itself, as its losses foretell."""
    foretold = _foretold([step for step in steps if step.number > passed], passed, least_gain)
    if foretold is None:
        return usual
    gone = min(1.0, (steps[-1].number - passed) / max(1.0, foretold - passed))
    return usual + gone**2 * (foretold - usual)  # early losses foretell an end that is too early


def _foretold(steps: Sequence[StepTaken], passed: int, least_gain: float) -> float | None:
    """After which step ten of them will have gained less than ``least_gain``; None where the losses don't tell yet."""
    points = _gains(steps, passed)[-_FIT_STEPS:]
    if len(points) < _FEWEST_GAINS:
        return None
    slope, height = _line(points)
    return passed + math.exp((math.log(least_gain) - height) / slope) if slope < 0 else None


def _gains(steps: Sequence[StepTaken], passed: int) -> list[tuple[float, float]]:
    """The logarithms of a step's number and of what the ten steps before have gained, as a share of the loss."""
    lowest, found, seen = math.inf, [], dict[int, float]()
    for step in steps:
        lowest = min(lowest, step.loss)
        seen[step.number] = lowest
        before = seen.get(step.number - _PATIENCE_STEPS)
        if before is not None and before > lowest > 0:
            found.append((math.log(step.number - passed), math.log((before - lowest) / lowest)))
    return found


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Slope, and height at 0, of the straight line that is nearest to the points, by least squares."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
    return slope, mean_y - slope * mean_x
