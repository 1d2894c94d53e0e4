"""A short run of the fuzzer: a fixed seed and number of cases, none of which may fail."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.fault(5, 6, 7, 8, 9, 10, 11, 33)
@pytest.mark.timeout(900)
def test_no_damaged_file_gets_away_with_silence(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tools.fuzz",
        "--minutes",
        "12",
        "--cases",
        "150",
        "--keep",
        str(tmp_path / "kept"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^150 cases in ", done.stdout, re.M)


def test_a_run_that_should_fail_is_seen(tmp_path: Path) -> None:
    """The judge is not blind: each way to fail, told from a run that was made up."""
    from dataclasses import replace
    from fractions import Fraction

    from tools.fuzz import Ended, Shown, judged

    step = Fraction(1, 25)
    whole = Shown(12, Fraction(11, 25), step, (20, 3))
    fine = Ended(0, "", ("out.mp4",), frozenset(), whole, 1.0)
    assert judged(fine, whole) == ""
    assert judged(replace(fine, shown=replace(whole, seconds=Fraction(11, 25) + step * 9 / 10)), whole) == ""
    assert judged(replace(fine, left_out=frozenset({1}), shown=replace(whole, packets=(3,))), whole) == ""
    for changes, said in (
        ({"code": None}, "hangs"),
        ({"code": -11}, "killed by signal 11"),
        ({"code": 1, "err": "Traceback (most recent call last)\nboom\n"}, "traceback"),
        ({"code": 5, "err": "vidrain: no\n"}, "exit code 5"),
        ({"code": 3, "err": "vidrain: a\nvidrain: b\n", "left": ()}, "2 lines of error"),
        ({"code": 3, "err": "vidrain: a\n"}, "leaves"),
        ({"left": (".out.mp4.partial.mp4", "out.mp4")}, "leaves"),
        ({"err": "[h264] noise\n"}, "lines of error"),
        ({"shown": replace(whole, frames=11)}, "silent"),
        ({"shown": replace(whole, seconds=Fraction(10, 25))}, "silent"),
        ({"shown": replace(whole, packets=(19, 3))}, "silent"),
        ({"shown": replace(whole, packets=(20,))}, "silent"),
        ({"shown": replace(whole, packets=(20,)), "left_out": frozenset({1})}, "silent"),
        ({"shown": replace(whole, packets=(2,)), "left_out": frozenset({1})}, "silent"),
        ({"shown": None}, "silent"),
    ):
        assert said in judged(replace(fine, **changes), whole)  # type: ignore[arg-type]
    assert judged(replace(fine, code=4, shown=Shown(3, Fraction(1), step, ())), whole) == ""


def test_another_whole_file_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    """An edit list that hides sound may be an editor's; no excuse for other bytes, nor for an output that lost more."""
    from dataclasses import replace

    from tools.fuzz import _excuse, originals, run

    (clip,) = (clip for clip in originals(tmp_path) if clip.name == "mp4")
    place = clip.data.rindex(b"elst") + 4 + 8  # how long the sound lasts
    hurt = bytearray(clip.data)
    hurt[place : place + 4] = (int.from_bytes(hurt[place : place + 4], "big") * 9 // 10).to_bytes(4, "big")
    source = tmp_path / "hurt.mp4"
    source.write_bytes(hurt)
    ended = run(source, tmp_path / "out")
    assert ended.code == 0
    assert ended.shown is not None
    assert ended.shown.packets[0] < clip.shown.packets[0]
    assert _excuse(clip, bytes(hurt), source, ended) == "states other times"
    fewer = replace(ended, shown=replace(ended.shown, frames=ended.shown.frames - 1))
    assert _excuse(clip, bytes(hurt), source, fewer) == ""
    hurt[clip.data.rindex(b"full_range")] ^= 4  # a letter of the title, which moves nothing
    assert _excuse(clip, bytes(hurt), source, ended) == "states other times"
    hurt[clip.data.index(b"stsz") + 4 + 12] ^= 1  # no time
    assert _excuse(clip, bytes(hurt), source, ended) == ""


def test_another_clock_is_another_whole_file(tmp_path: Path) -> None:
    """One scale holds for all times of a WebM: nothing in a file without checksums contradicts it."""
    from dataclasses import replace

    from tools.fuzz import _excuse, originals, run

    (clip,) = (clip for clip in originals(tmp_path) if clip.name == "webm-vp9")
    hurt = bytearray(clip.data)
    hurt[clip.data.index(b"\x2a\xd7\xb1") + 4] ^= 0x40  # TimestampScale: 1,000,000 becomes 5,194,304
    source = tmp_path / "hurt.webm"
    source.write_bytes(hurt)
    ended = run(source, tmp_path / "out")
    assert ended.code == 0
    assert ended.shown is not None
    assert ended.shown.seconds > 5 * clip.shown.seconds
    assert _excuse(clip, bytes(hurt), source, ended) == "states other times"
    fewer = replace(ended, shown=replace(ended.shown, frames=ended.shown.frames - 1))
    assert _excuse(clip, bytes(hurt), source, fewer) == ""


def test_times_that_ran_backwards_are_no_silence_where_they_are_named(tmp_path: Path) -> None:
    from dataclasses import replace

    from tools.fuzz import _excuse, judged, originals, run

    (clip,) = (clip for clip in originals(tmp_path) if clip.name == "mp4-fragments")
    hurt = bytearray(clip.data)
    hurt[clip.data.rindex(b"traf") - 6] ^= 8  # before the run of sound, the last frame: shown later than the next
    source = tmp_path / "hurt.mp4"
    source.write_bytes(hurt)
    ended = run(source, tmp_path / "out")
    assert (ended.code, ended.moved) == (0, True)
    assert judged(ended, clip.shown).startswith("silent")
    assert _excuse(clip, bytes(hurt), source, ended) == "times ran backwards, which was said"
    assert ended.shown is not None
    fewer = replace(ended, shown=replace(ended.shown, packets=(1,)))
    assert _excuse(clip, bytes(hurt), source, fewer) == ""
    assert _excuse(clip, bytes(hurt), source, replace(ended, moved=False)) != "times ran backwards, which was said"
