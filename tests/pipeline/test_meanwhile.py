"""What happens to source and target while a job runs: the result is kept whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import vidrain as package
from tests.broken import cut, index_in_front
from vidrain import pipeline
from vidrain.errors import InputError, OutputError
from vidrain.events import Event, Progress
from vidrain.job import Job
from vidrain.segments.folder import folder_of
from vidrain.video.decode import Video
from vidrain.video.verify import Expected, Verified

pytestmark = [pytest.mark.fault(28)]


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def touch(path: Path) -> None:
    os.utime(path, ns=(0, 10**9))


def rewrite(path: Path) -> None:
    """Another video of the same size under the same time."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-100:] = data[-100:][::-1]
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("change", [grow, touch, rewrite])
def test_source_that_changes_meanwhile(change: Callable[[Path], None], source: Path, out: Path) -> None:
    def meddle(event: Event) -> None:
        if isinstance(event, Progress) and event.frames == 2:
            change(source)

    with pytest.raises(InputError, match="nothing was kept") as raised:
        package.clean(source, out, on_event=meddle)
    assert str(raised.value).count("\n") == 0
    assert list(out.parent.iterdir()) == []


def test_source_that_changes_while_the_job_is_planned(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one that is still being copied from the card."""
    plan = pipeline.plan_job

    def late(video: Video, output: Path | None, options: package.CleanOptions) -> Job:
        grow(source)
        return plan(video, output, options)

    monkeypatch.setattr(pipeline, "plan_job", late)
    with pytest.raises(InputError, match="nothing was kept"):
        package.clean(source, out)
    assert list(out.parent.iterdir()) == []


def test_target_that_appears_meanwhile_is_kept(source: Path, out: Path) -> None:
    """Neither output gets its name then: they belong together. What was made stays, for another name or --force."""
    rain = out.with_name("rain.mp4")

    def meddle(event: Event) -> None:
        if isinstance(event, Progress) and event.frames == 2:
            rain.write_bytes(b"precious")

    with pytest.raises(OutputError, match="appeared while this ran"):
        package.clean(source, out, options=package.CleanOptions(rain=rain), on_event=meddle)
    assert sorted(out.parent.iterdir()) == [folder_of(out), rain]
    assert rain.read_bytes() == b"precious"


def test_a_folder_that_vanishes(source: Path, out: Path) -> None:
    """As when the stick is pulled out."""

    def meddle(event: Event) -> None:
        if isinstance(event, Progress) and event.frames == 2:
            shutil.rmtree(out.parent)

    with pytest.raises(OutputError) as raised:
        package.clean(source, out, on_event=meddle)
    assert "\n" not in str(raised.value)
    assert not out.parent.exists()


def halve(path: Path) -> None:
    """As where a share takes all that is written, and says later that there was no room."""
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("change", [remove, halve])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_finished_file_that_is_lost_is_not_the_fault_of_a_damaged_source(
    suffix: str, change: Callable[[Path], None], source: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = pipeline.verify

    def late(path: Path, expected: Expected) -> Verified:
        change(path)
        return check(path, expected)

    whole = index_in_front(source, source.with_name("front.mp4"))
    short = cut(whole, source.with_name("short.mp4"), whole.stat().st_size * 9 // 10)
    monkeypatch.setattr(pipeline, "verify", late)
    with pytest.raises(OutputError, match=r"cannot be read back|is not whole"):
        package.clean(short, out.with_suffix(f".{suffix}"))
    assert list(out.parent.iterdir()) == []


def test_a_folder_that_takes_no_file(source: Path, out: Path) -> None:
    """Root may write into any folder, so another user tries where root runs the tests."""
    out.parent.chmod(0o555)
    user = os.geteuid()
    for folder in (out.parent.parent, *out.parent.parent.parents):
        if folder.stat().st_uid == user and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o055)
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(OutputError, match="cannot be written there"):
            package.clean(source, out)
    finally:
        os.seteuid(user)
        out.parent.chmod(0o755)
    assert list(out.parent.iterdir()) == []
