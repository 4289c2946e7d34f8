"""A contact sheet shows every photo beside its painting, with its name, on pages that can be printed."""

import io
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from monet_watch.outbox import contact_sheet
from monet_watch.outbox.contact_sheet import Head, Pair, draw_sheet

A4 = 297 / 210
DIGEST = "ab" * 32
HEAD = Head("trip", "2 paintings")
RED, GREEN, BLUE, GOLD, FRAME = (200, 0, 0), (0, 160, 0), (0, 0, 220), (230, 180, 0), (0xEE, 0xEE, 0xEE)


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (300, 200)) -> Callable[[], Image.Image]:
    return lambda: Image.new("RGB", size, colour)


def pair(photo=None, painting=None, name: str = "IMG.jpg", size: tuple[int, int] = (300, 200)) -> Pair:
    return Pair(name, "", *size, photo or (lambda: None), painting or (lambda: None))


def drawn(pairs: Sequence[Pair], head: Head = HEAD) -> list[np.ndarray]:
    return [np.asarray(Image.open(io.BytesIO(page)).convert("RGB")) for page in draw_sheet(head, pairs, DIGEST)]


def places(page: np.ndarray, colour: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The rows and the columns of the pixels of ``colour``."""
    return np.nonzero((np.abs(page.astype(np.int16) - np.array(colour, np.int16)) <= 6).all(axis=2))


def test_a_painting_lies_to_the_right_of_its_photo_at_the_same_height_and_in_the_same_size():
    page = drawn([pair(plain(RED), plain(GREEN)), pair(plain(BLUE), plain(GOLD))])[0]
    for photo, painting in ((RED, GREEN), (BLUE, GOLD)):
        (rows, columns), (other_rows, other_columns) = places(page, photo), places(page, painting)
        assert rows.min() == pytest.approx(other_rows.min(), abs=2)
        assert rows.max() == pytest.approx(other_rows.max(), abs=2)
        assert columns.max() < other_columns.min() < columns.max() + 30
        assert np.ptp(columns) == pytest.approx(np.ptp(other_columns), abs=2)
        assert np.ptp(columns) / np.ptp(rows) == pytest.approx(300 / 200, rel=0.02)


def test_a_picture_that_cannot_be_opened_leaves_an_empty_frame_and_the_others_are_there():
    page = drawn([pair(None, plain(GREEN)), pair(plain(BLUE), plain(GOLD))])[0]
    assert all(len(places(page, colour)[0]) > 10_000 for colour in (GREEN, BLUE, GOLD, FRAME))


SIZES = st.tuples(st.integers(1, 5000), st.integers(1, 5000))


@settings(max_examples=60, deadline=None)
@given(st.lists(SIZES, min_size=2, max_size=120))
@example([(1, 5000)] * 40)
@example([(768, 512)] * 240)
def test_every_pair_is_on_one_page_apart_from_the_others_and_no_page_is_larger_than_a4(sizes):
    pairs = [pair(size=size) for size in sizes]
    grid, pages = contact_sheet._laid_out(pairs)
    assert Counter(id(place.pair) for page in pages for place in page) == Counter(map(id, pairs))
    assert grid.width <= 2400
    for page in pages:
        taken: list[tuple[int, int, int, int]] = []
        for place in page:
            right = place.left + 2 * place.width + 10
            bottom = place.bottom + contact_sheet._words_height([place.pair])
            assert place.left >= 0 and right <= grid.width and bottom <= 2400 * A4
            box = (place.left, place.bottom - place.height, right, bottom)
            assert not any(overlap(box, other) for other in taken)
            taken.append(box)


def overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.mark.parametrize("letter", ["W", "i", "睡", "$_^{\\"])
def test_a_long_name_ends_before_the_next_column_and_within_the_page(letter):
    tall = [pair(name=letter * 200, size=(300, 450)) for _ in range(12)]
    is_paper = (drawn(tall, Head(letter * 300, letter * 300))[0] > 250).all(axis=2)
    assert is_paper[:, -85:].all(), "nothing in the right margin"
    used = "".join("." if free else "#" for free in is_paper[220:].all(axis=0))
    assert len([part for part in used.strip(".").split("." * 40) if part]) >= 2, "columns apart from each other"


@settings(max_examples=8, deadline=None)
@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
@example("line\nbreak \x1b[31m \u202e $x^", "\udcff <script>")
def test_whatever_the_names_hold_it_is_drawn(one, other):
    assert len(drawn([pair(name=one), pair(name=other)], Head(one, other))) == 1


def test_a_line_break_in_a_name_is_told_and_makes_no_other_line():
    whole, broken = (drawn([pair(name=name), pair()])[0] for name in ("line\\nbreak", "line\nbreak"))
    assert (whole == broken).all()
