"""How many stages a size has, and how wide they are."""

import pytest

from kerasgen.models.stages import check_image_shape, num_stages, stage_filters


def test_stages_follow_the_size():
    sizes = {
        (8, 8, 1): 1,
        (16, 16, 1): 2,
        (28, 28, 1): 2,
        (32, 32, 1): 3,
        (64, 64, 3): 4,
        (48, 32, 3): 3,
        (36, 60, 4): 2,
    }
    assert {size: num_stages(size) for size in sizes} == sizes
    assert stage_filters(48, 3) == [48, 96, 192]
    assert stage_filters(16, 5) == [16, 32, 64, 128, 128]


@pytest.mark.parametrize(
    "shape, message",
    [
        ((30, 32, 3), "DCGAN.*near 30 that is 28 or 32"),
        ((4, 8, 3), "near 4 that is 8 or 12"),
        ((32, 32), "three whole numbers"),
        (32, "three whole numbers"),
        ((32.0, 32, 1), "three whole numbers"),
        ((32, 32, 5), "1 to 4 channels"),
    ],
)
def test_shapes_that_cannot_be(shape, message):
    with pytest.raises(ValueError, match=message):
        check_image_shape(shape, "DCGAN")
