"""What a whole ffmpeg process does better than we could: comparison renders. The door to ffmpeg-python.

The program is the one inside the imageio-ffmpeg wheel, so none has to be installed.
"""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import ffmpeg
import imageio_ffmpeg

from vidrain.errors import OutputError
from vidrain.video.index import as_file

# A streak is a tenth of the range or less: three times brighter it is seen. Black stays at 16, ITU-R BT.601.
_THREE_TIMES = {"y": "clip(16+3*val,16,235)", "u": "128", "v": "128"}


def render_comparison(source: Path, clean: Path, *, kept: range, target: Path, container: str) -> None:
    """Write before | after | 3 x what was removed, side by side, upright, as H.264 at the times of the clean file.

    source: its frames `kept` are shown; clean: a finished file of just those frames. container: FFmpeg's name.
    Raises OutputError when ffmpeg fails; an interrupt ends it.
    """
    before = ffmpeg.input(as_file(source))["V:0"].filter("trim", start_frame=kept.start, end_frame=kept.stop)
    after = ffmpeg.input(as_file(clean))["V:0"]
    before, after = (_from_zero(picture).filter_multi_output("split") for picture in (before, after))
    removed = ffmpeg.filter([before[0], after[0]], "blend", all_mode="subtract").filter("lutyuv", **_THREE_TIMES)
    joined = ffmpeg.filter([before[1], after[1], removed], "hstack", inputs=3)
    even = joined.filter("pad", "ceil(iw/2)*2", "ceil(ih/2)*2")
    options = {"vcodec": "libx264", "preset": "veryfast", "crf": 18, "fps_mode": "passthrough"}
    _run(ffmpeg.output(even, as_file(target), format=container, **options), target)


def _from_zero(picture: Any) -> Any:
    return picture.filter("setpts", "PTS-STARTPTS").filter("format", "yuv420p")


def _run(graph: Any, target: Path) -> None:
    """Run ffmpeg to its end. Its words go to a file: a pipe that nobody reads would stop it when full."""
    quiet = graph.global_args("-nostdin", "-v", "error")
    command = ffmpeg.compile(quiet, cmd=imageio_ffmpeg.get_ffmpeg_exe(), overwrite_output=True)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as words:
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=words, check=False)
        if done.returncode:
            words.seek(0)
            said = words.readline().strip() or "it said nothing"
            raise OutputError(f"{target}: the comparison failed, ffmpeg ended with {done.returncode} ({said})")
