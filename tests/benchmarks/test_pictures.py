"""Photos and styles come in the pairs that were asked for, at the size that was asked for."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.pictures import PHOTOS, all_pairs, pairs_of, photo, square, style_files


@pytest.fixture
def styles(make_picture, tmp_path):
    path = tmp_path / "shapes.png"
    Image.fromarray(make_picture(90, 120)).save(path)
    return style_files([path])


def test_every_photo_is_there():
    for name in PHOTOS:
        picture = photo(name)
        assert picture.dtype == np.uint8
        assert picture.shape[2] == 3
        assert min(picture.shape[:2]) >= 300


def test_a_square_is_the_middle_of_a_picture():
    picture = np.zeros((40, 100, 3), np.uint8)
    picture[:, 30:70] = 200
    np.testing.assert_array_equal(square(picture, 40), np.full((40, 40, 3), 200, np.uint8))
    assert square(picture, 60).shape == (60, 60, 3)


def test_photos_alone_get_the_styles_in_rotation_and_others_what_they_name(styles):
    names = [pair.name for pair in pairs_of(["china", "coffee", "flower", "china+water-garden"], styles, 64)]
    assert names == ["china+shapes", "coffee+water-garden", "flower+shapes", "china+water-garden"]


def test_a_style_is_reduced_to_the_photo_s_size_and_not_enlarged(styles):
    assert pairs_of(["china"], styles, 64)[0].style.shape[0] == 64
    assert pairs_of(["china"], styles, 128)[0].style.shape[:2] == (90, 120)


def test_all_pairs_are_every_photo_with_every_style(styles):
    assert len(all_pairs(("china", "coffee", "rocket"), styles, 32)) == 6


def test_a_style_that_is_not_there_is_told(styles):
    with pytest.raises(SystemExit, match="no style 'monet'"):
        pairs_of(["china+monet"], styles, 64)
