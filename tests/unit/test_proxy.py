"""Small copies for pages: as large as they may be, and no larger, whatever they show."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from vidrain.video.decode import open_video
from vidrain.viewer.page import VIDEO_BYTES
from vidrain.viewer.preview import MOST_FRAMES
from vidrain.viewer.proxy import HIGHEST, WIDEST, proxy

PAGE_BYTES = 20_000_000
LENGTHENED = 4 / 3  # by base64
ROW_BYTES = 70  # of a frame in the data of a page


@pytest.mark.parametrize("frames", [480, MOST_FRAMES])
def test_noise_is_no_larger_than_a_page_has_room_for(frames: int, samples: Path, tmp_path: Path) -> None:
    """Of a sixteenth of the largest picture, and of the room: pure noise, as no encoder can make it smaller."""
    width, height, share, few = WIDEST // 4, HIGHEST // 4, 16, 300
    info = replace(open_video(samples / "street.mp4").info, width=width, height=height, time_base=Fraction(1, 120))
    budget = VIDEO_BYTES // frames // share
    dice = torch.Generator().manual_seed(0)
    with proxy(tmp_path / "small.mp4", info, first_pts=0, bytes_per_frame=budget) as writer:
        for place in range(few):
            before, after = (torch.rand((3, height, width), generator=dice) for _ in range(2))
            writer.write(before, after, place, 1)
    video = (tmp_path / "small.mp4").stat().st_size * share * frames / few
    assert video > 0.9 * VIDEO_BYTES
    assert video * LENGTHENED + ROW_BYTES * frames < PAGE_BYTES
