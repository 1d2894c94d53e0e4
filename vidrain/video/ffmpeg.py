"""What a whole ffmpeg process does better than we could: comparison renders, and what it prints of a stream.

The door to ffmpeg-python.

The program is the one inside the imageio-ffmpeg wheel, so none has to be installed.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ffmpeg
import imageio_ffmpeg

from vidrain.errors import OutputError
from vidrain.types import ColorTags
from vidrain.video.index import as_file

_PATIENCE_S = 30  # for one line; a program that hangs is none
_LAST_WORDS_S = 1.0  # for a program that fails to say why
# A streak is a tenth of the range or less: three times brighter it is seen. Black stays at 16, ITU-R BT.601.
_THREE_TIMES = {"y": "clip(16+3*val,16,235)", "u": "128", "v": "128"}


@contextmanager
def comparison(source: Path, clean: Path, *, kept: range, tracks: tuple[int, int], color: ColorTags) -> Iterator[int]:
    """Render before | after | 3 x what was removed, side by side and upright, as H.264 in MP4: frame i at time i.

    Yields the descriptor of a pipe that it comes through: nothing of it lies anywhere, and who renders ends when nobody
    reads any more, as after a kill. source: its frames `kept` are shown; clean: a finished file of just those frames;
    tracks: which video of each, covers not counted; color: the tags of both, without which HDR would look washed out.
    Frames are paired by their number, because a container may round their times. Raises OutputError when ffmpeg fails.
    """
    before = ffmpeg.input(as_file(source))[f"V:{tracks[0]}"].filter("trim", start_frame=kept.start, end_frame=kept.stop)
    after = ffmpeg.input(as_file(clean))[f"V:{tracks[1]}"]
    before, after = (_numbered(picture).filter_multi_output("split") for picture in (before, after))
    removed = ffmpeg.filter([before[0], after[0]], "blend", all_mode="subtract", shortest=1)
    shown = [before[1], after[1], removed.filter("lutyuv", **_THREE_TIMES)]
    joined = ffmpeg.filter(shown, "hstack", inputs=3, shortest=1).filter("pad", "ceil(iw/2)*2", "ceil(ih/2)*2")
    joined = joined.filter("setparams", color_primaries=color.primaries, color_trc=color.transfer)
    # without B-frames the packets lie in the order of the frames, and can be given their times
    options = {"vcodec": "libx264", "preset": "veryfast", "crf": 18, "bf": 0, "fps_mode": "passthrough"}
    pieces = {"format": "mp4", "movflags": "empty_moov+default_base_moof+frag_every_frame"}  # a pipe has no way back
    with _running(ffmpeg.output(joined, "pipe:1", enc_time_base="1/25", **options, **pieces)) as pipe:
        yield pipe


def _numbered(picture: Any) -> Any:
    return picture.filter("settb", "1/25").filter("setpts", "N").filter("format", "yuv420p")


def program() -> str:
    """Path and version of the ffmpeg program; OutputError if there is none that runs."""
    try:
        path = imageio_ffmpeg.get_ffmpeg_exe()
        done = subprocess.run([path, "-version"], capture_output=True, check=True, timeout=_PATIENCE_S)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        raise OutputError(f"the ffmpeg program does not run ({error}); install imageio-ffmpeg anew") from error
    return f"{done.stdout.decode(errors='replace').split()[2]} at {path}"


def stream_line(path: Path, stream_index: int) -> str:
    """The line in which the program describes a stream, in full; empty where it does not say."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-v", "verbose", "-i", as_file(path)]
    try:
        # without an output it ends with an error as soon as it has described the file
        done = subprocess.run(command, capture_output=True, check=False, timeout=_PATIENCE_S)
    except (OSError, subprocess.SubprocessError):
        return ""
    lines = done.stderr.decode(errors="replace").splitlines()
    return next((line for line in lines if re.match(rf" *Stream #0:{stream_index}\b.*: Video: ", line)), "")


@contextmanager
def _running(graph: Any) -> Iterator[int]:
    """ffmpeg at work, and the descriptor of what it writes; it is over in the end. OutputError, if it failed.

    Its words go to a file: a pipe that nobody reads would stop it when full.
    """
    quiet = graph.global_args("-nostdin", "-v", "error")
    command = ffmpeg.compile(quiet, cmd=imageio_ffmpeg.get_ffmpeg_exe())
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as words,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=words) as process,
    ):
        assert process.stdout is not None
        try:
            yield process.stdout.fileno()
            process.wait()
        except Exception:  # of who reads, which is ours, or because nothing more came: then ffmpeg says why
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LAST_WORDS_S)
            if not process.returncode:
                raise
        finally:
            process.kill()
        if process.returncode:
            words.seek(0)
            said = words.readline().strip() or "it said nothing"
            raise OutputError(f"the comparison failed, ffmpeg ended with {process.returncode} ({said}); drop --compare")
