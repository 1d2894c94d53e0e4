"""Random access gives the frames asked for, and files where decord would not are refused."""

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.painted import read_index
from tools.make_samples import paint_index
from vidrain.errors import InputError, UsageError
from vidrain.video import clips
from vidrain.video.clips import open_clips
from vidrain.video.color import stored
from vidrain.video.decode import open_video

TICKS = 512
CLOSED = "keyint=12:min-keyint=12:bframes=3:b-adapt=0:scenecut=0:open-gop=0"
OPEN = CLOSED.replace("open-gop=0", "open-gop=1")


def painted_indices(pictures: npt.NDArray[np.uint8], path: Path) -> list[int]:
    """The index painted into each upright picture; green is near enough to luma where all is black or white."""
    matrix = open_video(path).info.display_matrix
    on_its_side = stored(torch.from_numpy(pictures).permute(0, 3, 1, 2), matrix).numpy()
    return [read_index(picture[1]) for picture in on_its_side]


def write_painted(path: Path, *, x264: str, frames: int = 48, start: int = 0) -> Path:
    """Texture that drifts under painted indices, 144x96, as H.264 in MP4 from PTS `start`."""
    texture = np.random.default_rng(5).uniform(0.2, 0.8, (12, 18)).repeat(8, 0).repeat(8, 1).astype(np.float32)
    options = {"avoid_negative_ts": "disabled"} if start < 0 else {}
    with av.open(str(path), "w", container_options=options) as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "fast", "crf": "18", "x264-params": x264})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 144, 96, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 25 * TICKS)
        stream.codec_context.thread_count = 1
        for index in range(frames):
            grey = np.roll(texture, 2 * index, axis=1)[..., None].repeat(3, axis=2)
            rgb = np.rint(paint_index(grey, index) * 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base, frame.duration = start + index * TICKS, stream.time_base, TICKS
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.library("decord")
@pytest.mark.parametrize("name", ["vfr.mp4", "rotated.mp4", "odd.mp4", "tenbit.mp4", "full_range.mp4", "cut.mkv"])
def test_any_order_gives_the_frames_asked_for(name: str, samples: Path) -> None:
    clip = open_clips(samples / name)
    assert len(clip) == len(open_video(samples / name).index.pts)
    order = np.random.default_rng(2).permutation(len(clip)).tolist()
    for batch in (order[:9], order[9:10], [order[0]] * 2, order):
        assert painted_indices(clip.read(batch), samples / name) == batch


def test_pictures_are_upright_and_in_colour(samples: Path) -> None:
    """The portrait sample is stored 256 wide and 192 high; its index lies top left as stored, so it is turned here."""
    pictures = open_clips(samples / "rotated.mp4").read([0, 3])
    assert pictures.shape == (2, 256, 192, 3)
    assert pictures.dtype == np.uint8
    with av.open(str(samples / "rotated.mp4")) as container:
        as_stored = next(container.decode(video=0)).to_ndarray(format="rgb24")
    as_shown = np.rot90(as_stored, -1).astype(int)  # a matrix of -90 makes players turn clockwise
    assert np.abs(pictures[0] - as_shown).mean() < 3
    assert np.abs(pictures[0] - as_shown[..., ::-1]).mean() > 6  # red and blue exchanged


def test_frames_are_those_of_the_sequential_decoder_in_a_key_frame_file(tmp_path: Path) -> None:
    path = write_painted(tmp_path / "closed.mp4", x264=CLOSED)
    order = np.random.default_rng(4).permutation(48).tolist()
    clip = open_clips(path)
    assert painted_indices(np.concatenate([clip.read([index]) for index in order]), path) == order


def test_nothing_and_everything_outside(samples: Path) -> None:
    clip = open_clips(samples / "odd.mp4")
    assert clip.read([]).shape == (0, 97, 131, 3)
    for index in (-1, 16):
        with pytest.raises(IndexError, match=f"holds frames 0 to 15, asked for {index}"):
            clip.read([0, index])


def test_open_groups_are_refused(tmp_path: Path) -> None:
    path = write_painted(tmp_path / "open.mp4", x264=OPEN)
    with pytest.raises(InputError, match=r"open\.mp4: its key frames are not where decord seeks them"):
        open_clips(path)


def test_open_groups_would_give_wrong_frames(tmp_path: Path) -> None:
    """Why they are refused: if decord learns to read them, the guard can go."""
    import decord

    path = write_painted(tmp_path / "open.mp4", x264=OPEN)
    reader = decord.VideoReader(str(path), num_threads=1)
    order = np.random.default_rng(1).permutation(48).tolist()
    got = painted_indices(np.concatenate([reader.get_batch([index]).asnumpy() for index in order]), path)
    assert got != order


def test_hidden_frames_are_refused(tmp_path: Path) -> None:
    """Frames before time zero are coded, and hidden by the edit list that the muxer writes."""
    path = write_painted(tmp_path / "edited.mp4", x264=CLOSED, start=-5 * TICKS)
    assert open_video(path).index.hidden == 5
    with pytest.raises(InputError, match=r"edited\.mp4: an edit list hides 5 coded frames"):
        open_clips(path)


@pytest.mark.parametrize("shift", [-1, 1, 7])
def test_other_pictures_than_pyavs_are_refused(shift: int, samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last guard, for faults that neither the count nor the key frames show: real frames, some off."""
    import decord

    class Shifted(decord.VideoReader):  # type: ignore[misc]
        def get_batch(self, indices: list[int]) -> object:
            return super().get_batch([(index + shift) % len(self) for index in indices])

    monkeypatch.setattr(decord, "VideoReader", Shifted)
    for seed in range(2):
        with pytest.raises(InputError, match=r"decord's frame .* differs from PyAV's"):
            open_clips(samples / "street_clean.mp4", seed=seed)


def test_damaged_pictures_are_refused(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Still nearer to their own frame than to its neighbours, so only the limit shows the fault."""
    import decord

    class Damaged(decord.VideoReader):  # type: ignore[misc]
        def get_batch(self, indices: list[int]) -> object:
            batch = super().get_batch(indices).asnumpy()
            batch[:, 100:200] = 128  # a lost slice, concealed with grey
            return decord.nd.array(batch)

    monkeypatch.setattr(decord, "VideoReader", Damaged)
    with pytest.raises(InputError, match="differs from PyAV's"):
        open_clips(samples / "street.mp4")


def test_neighbours_of_a_still_scene_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One grey level of noise between frames: far below the limit, so only the neighbours show the fault."""
    import decord

    path = tmp_path / "still.mkv"
    rng = np.random.default_rng(6)
    scene = rng.integers(40, 200, (64, 96, 3))
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv444p"
        for _ in range(6):
            noisy = (scene + rng.integers(-1, 2, scene.shape)).astype(np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, "rgb24").reformat(format="yuv444p")))
        out.mux(stream.encode(None))
    assert len(open_clips(path, checks=6)) == 6

    class Shifted(decord.VideoReader):  # type: ignore[misc]
        def get_batch(self, indices: list[int]) -> object:
            return super().get_batch([max(index - 1, 0) for index in indices])

    monkeypatch.setattr(decord, "VideoReader", Shifted)
    with pytest.raises(InputError, match="differs from PyAV's"):
        open_clips(path, checks=6)


def test_damaged_and_missing_files_are_input_errors(samples: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_clips(tmp_path / "none.mp4")
    whole = (samples / "street.mp4").read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) * 6 // 10])
    with pytest.raises(InputError, match=r"cut\.mp4: decord"):
        open_clips(cut)


def test_without_decord_the_message_says_what_to_do(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "decord", None)
    with pytest.raises(UsageError, match=r"needs decord.*pip install decord on x86-64.*no wheel for Arm") as caught:
        open_clips(samples / "odd.mp4")
    assert "\n" not in str(caught.value)


def test_decord_is_imported_late() -> None:
    """Importing the module must not need it: the rest of vidrain runs where decord has no wheel."""
    assert not hasattr(clips, "decord")


@pytest.mark.parametrize("name", ["real/yard.mp4", "clean/train/action_gpmf.mp4"])
def test_real_clips_open(name: str, footage: Path) -> None:
    clip = open_clips(footage / name)
    assert clip.read([len(clip) - 1, 0]).shape[0] == 2


def test_real_edit_list_is_refused(footage: Path) -> None:
    with pytest.raises(InputError, match="hides 9 coded frames"):
        open_clips(footage / "real/windscreen.mp4")
