"""A montage shows pictures as they are, pixel for pixel."""

import numpy as np

from benchmarks.montage import Plate, _detail, mounted


def test_pictures_stand_side_by_side_unchanged_with_room_for_captions(make_picture):
    first, second = make_picture(40, 60, 1), make_picture(50, 30, 2)
    sheet = np.array(mounted([Plate(first, "first"), Plate(second, "second")]))

    np.testing.assert_array_equal(sheet[8:48, 8:68], first)
    np.testing.assert_array_equal(sheet[8:58, 76:106], second)
    assert sheet.shape[1] == 114
    assert (sheet[66:] < 128).any(), "no caption"


def test_a_detail_is_the_part_asked_for_with_every_pixel_enlarged(make_picture):
    picture = make_picture(40, 60)
    found = _detail(picture, (10, 5, 20, 8), 3)

    assert found.shape == (24, 60, 3)
    np.testing.assert_array_equal(found[1::3, 1::3], picture[5:13, 10:30])
