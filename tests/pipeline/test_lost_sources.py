"""Sources that go away while they are read: nothing is taken for the end of the file, and the same command goes on."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import pytest

import vidrain as package
from tests.pipeline.conftest import LENGTH, Vidrain
from tests.stopped import outputs
from vidrain.errors import InputError, SourceLost
from vidrain.events import Event, Progress, Resumed
from vidrain.segments import plan
from vidrain.segments.folder import folder_of
from vidrain.video import decode, index, lost, mux

pytestmark = [pytest.mark.fault(34)]

CODES = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENODEV, errno.ENXIO)
open_input = index.open_input


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "LONGEST", LENGTH)


@pytest.fixture
def clip(samples: Path, tmp_path: Path) -> Path:
    """28 frames, five segments."""
    copied = tmp_path / "clip.mp4"
    copied.write_bytes((samples / "full_range.mp4").read_bytes())
    return copied


class Failing:
    """An open file whose packets end with what FFmpeg raises where a read fails."""

    def __init__(self, container: Any, code: int, packets: int) -> None:
        self._container, self._code, self._left = container, code, packets

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def demux(self, *streams: Any) -> Iterator[Any]:
        for packet in self._container.demux(*streams):
            if not self._left:
                av.error.err_check(-self._code, self._container.name)
            self._left -= 1
            yield packet


def fail(monkeypatch: pytest.MonkeyPatch, where: ModuleType, code: int, packets: int, is_away: bool = True) -> None:
    """Whatever that module opens gives so many packets and no more. is_away: nor can the file be read otherwise."""

    @contextmanager
    def failing(path: Path) -> Iterator[Any]:
        with open_input(path) as container:
            yield Failing(container, code, packets)

    monkeypatch.setattr(where, "open_input", failing)
    if is_away:
        monkeypatch.setattr(lost, "is_readable", lambda *_: False)


@pytest.mark.proves("clean", "exit 3")
@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
def test_a_read_that_fails_is_not_the_end_of_the_file(
    code: int, clip: Path, out: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is finished stays, and the next run makes the file of one that met nothing."""
    package.clean(clip, out)
    due = out.read_bytes()
    out.unlink()
    with monkeypatch.context() as patch:
        fail(patch, decode, code, 24)
        ran = vidrain("clean", clip, "-o", out, "--preset", "balanced")
    assert (ran.code, "went away while it was read" in ran.err, "frames are kept in" in ran.err) == (3, True, True)
    assert list(out.parent.iterdir()) == [folder_of(out)]
    told: list[Event] = []
    package.clean(clip, out, on_event=told.append)
    assert [event.frames >= LENGTH for event in told if isinstance(event, Resumed)] == [True]
    assert outputs(out.parent) == {out.name: due}


@pytest.mark.parametrize("where", [index, mux], ids=["index", "copy"])
def test_nor_where_the_file_is_indexed_and_its_sound_copied(
    where: ModuleType, clip: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(monkeypatch, where, errno.EIO, 5)
    with pytest.raises(SourceLost, match="went away while it was read"):
        package.clean(clip, out)
    assert not out.exists()


def test_a_failure_in_a_file_that_can_be_read_is_its_end(
    clip: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFmpeg has the same code for data that end too early."""
    fail(monkeypatch, decode, errno.EIO, 20, is_away=False)
    assert package.clean(clip, out).status == "partial"


def test_nor_where_the_head_of_the_file_cannot_be_read(clip: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg calls an MP4 invalid whose index lies where the disk fails."""

    def failing(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    clip.write_bytes(b"no video" * 1000)
    with pytest.raises(InputError, match="is no video file"):
        package.clean(clip, out)
    monkeypatch.setattr(index, "examine", failing)
    monkeypatch.setattr(lost, "is_readable", lambda *_: False)
    with pytest.raises(SourceLost, match="went away while it was read"):
        package.clean(clip, out)


def test_what_cannot_be_read_is_told_from_what_can(tmp_path: Path) -> None:
    """The first page of the memory of a process is one that no process has."""
    whole = tmp_path / "whole"
    whole.write_bytes(bytes(3_000_000))
    assert lost.is_readable(whole, 0)
    assert lost.is_readable(whole, 5_000_000)
    assert not lost.is_readable(tmp_path / "gone", 0)
    assert not lost.is_readable(Path("/proc/self/mem"), 0)


def rename(path: Path) -> None:
    path.rename(path.with_name("away.mp4"))


def unmount(path: Path) -> None:
    """The folder of a card, when it is pulled out."""
    path.parent.rename(path.parent.with_name("away"))


@pytest.mark.parametrize("vanish", [rename, unmount])
def test_a_source_that_is_gone_costs_no_finished_segment(vanish: Callable[[Path], None], clip: Path, out: Path) -> None:
    card = clip.parent / "card"
    card.mkdir()
    clip = clip.rename(card / "clip.mp4")
    before = clip.read_bytes()

    def meddle(event: Event) -> None:
        if isinstance(event, Progress) and event.frames == 14:
            vanish(clip)

    with pytest.raises(SourceLost, match=r"clip\.mp4: went away while it was read"):
        package.clean(clip, out, on_event=meddle)
    assert len(list(folder_of(out).glob("0-*.json"))) == 5, "the file was open: all of it came"
    if vanish is rename:
        clip.with_name("away.mp4").rename(clip)
    else:
        card.with_name("away").rename(card)
    told: list[Event] = []
    package.clean(clip, out, on_event=told.append)
    assert [event for event in told if isinstance(event, Resumed)] == [Resumed(frames=28, total=28)]
    assert clip.read_bytes() == before


def test_another_source_in_its_place_is_no_lost_one(clip: Path, out: Path) -> None:
    def meddle(event: Event) -> None:
        if isinstance(event, Progress) and event.frames == 14:
            rename(clip)
            clip.write_bytes(b"another")

    with pytest.raises(InputError, match="changed while it was read; nothing was kept") as raised:
        package.clean(clip, out, on_event=meddle)
    assert not isinstance(raised.value, SourceLost)
    assert list(out.parent.iterdir()) == []
