"""Where a flow leads out of a picture: known along its sides alone, and the same at every size."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_align import apart, slow_warp
from vidrain import align


@given(
    st.integers(16, 60),
    st.integers(16, 60),
    st.integers(16, 150),
    st.integers(16, 150),
    st.sampled_from([0.0, 1.0, 7.0, 80.0]),
    st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_rims_are_those_of_the_nearest_pixels(
    height: int, width: int, rows: int, columns: int, reach: float, seed: int
) -> None:
    """Of a larger picture, and of a smaller one, every pixel by itself; and nothing is taken for a rim that is none."""
    rng = np.random.default_rng(seed)
    flow = (reach * rng.uniform(-1, 1, 2) + rng.uniform(-1, 1, (height, width, 2))).astype(np.float32)
    _, outside = slow_warp(np.zeros((1, height, width), np.float32), flow)
    found, own = np.zeros((rows, columns), np.bool_), np.zeros((height, width), np.bool_)
    for rim in align._rims(apart(flow)):
        assert rim.outside.any()
        own[rim.rows, rim.columns] |= rim.outside.view(np.bool_)
        grown = align._grown(rim, (height, width), (rows, columns))
        found[grown.rows, grown.columns] |= grown.outside.view(np.bool_)
    np.testing.assert_array_equal(own, outside)
    due = [[outside[y * height // rows, x * width // columns] for x in range(columns)] for y in range(rows)]
    np.testing.assert_array_equal(found, due)
