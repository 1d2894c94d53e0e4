"""Pages are no larger than they may be, whatever they show."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import ffmpeg_says
from vidrain.align import AlignOptions
from vidrain.baseline import BaselineOptions
from vidrain.job import CleanOptions
from vidrain.viewer.preview import LONGEST_S, write_preview
from vidrain.viewer.report import write_report

pytestmark = pytest.mark.slow


NOISE = "testsrc2=s=640x480:r={},noise=alls=60:allf=t"
CODING = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-pix_fmt", "yuv420p")


@pytest.mark.timeout(1200)
def test_a_report_stays_below_20_megabytes_whatever_it_shows(tmp_path: Path) -> None:
    """Noise in the largest size that is shown, more frames than are: no encoder makes less of them by itself."""
    source, made = tmp_path / "in.mp4", tmp_path / "in.clean.mp4"
    ffmpeg_says.quietly("-f", "lavfi", "-i", NOISE.format(25), "-frames:v", "500", *CODING, "-crf", "15", source)
    ffmpeg_says.quietly("-i", source, "-fps_mode", "passthrough", *CODING, "-crf", "20", made)
    page = write_report(made)
    assert 10_000_000 < page.stat().st_size < 20_000_000


@pytest.mark.timeout(1200)
def test_the_longest_preview_stays_below_20_megabytes(tmp_path: Path) -> None:
    """A minute of it, at a rate that can be waited for; rates above are tried in tests/unit/test_proxy.py."""
    clip = tmp_path / "in.mp4"
    ffmpeg_says.quietly("-f", "lavfi", "-i", NOISE.format(4), "-frames:v", "250", *CODING, "-crf", "15", clip)
    quick = CleanOptions(baseline=BaselineOptions(radius=1), align=AlignOptions(preset="ultrafast", scale=0.25))
    page = write_preview(clip, seconds=LONGEST_S, options=quick).page
    assert 10_000_000 < page.stat().st_size < 20_000_000
