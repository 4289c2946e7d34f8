"""A house in which something has happened, for whoever reads its record: two paintings of one photo, and a problem."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.rehearsal import LIMIT_BYTES, Rehearsal

__all__ = ["painted_house"]


@contextmanager
def painted_house(folder: Path) -> Iterator[Rehearsal]:
    """``trip/a.jpg`` is painted in ``trip/a`` with 4 steps and, after the settings have changed, beside it with 3.

    ``b.jpg`` is painted in ``b``; ``trip/huge.jpg`` is a problem; ``bad/c.jpg`` waits for its settings.
    """
    with Rehearsal(folder) as house:
        house.drop("trip/a.jpg")
        house.drop("b.jpg", b"another photo")
        house.drop("trip/huge.jpg", b"x" * (LIMIT_BYTES + 1))
        house.drop("bad/style.yaml", b"stepz: 3\n")
        house.drop("bad/c.jpg")
        house.rest()
        house.drop("trip/style.yaml", b"steps: 3\n")
        house.advance(3600)
        house.rest()
        yield house
