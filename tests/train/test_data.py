"""Windows to train on: what follows from the number of the step alone, and what never gets into a window."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.test_clips import OPEN, write_painted
from vidrain.baseline import Baseline, BaselineOptions
from vidrain.decompose import decompose
from vidrain.errors import InputError, UsageError
from vidrain.events import Notice
from vidrain.fixed import floats
from vidrain.model.gate import CONFIGS, Gate
from vidrain.model.planes import error_at
from vidrain.train.data import Batch, Cut, DataOptions, Windows
from vidrain.train.footage import _InOrder, clips_at, open_footage
from vidrain.train.window import error_of, layers_of, seen_from
from vidrain.types import Aligned
from vidrain.video.color import conversion_for, to_luma, upright
from vidrain.video.decode import open_video
from vidrain.weights import pass_before

CUT = Cut(radius=2, patch=48, batch=3, first="baseline")
SMALL = {"crop": 80, "readings": 4, "crops_per_reading": 2, "refresh": 2}


def windows(*rainy: Path, seed: int = 0, clean: tuple[Path, ...] = (), cut: Cut = CUT, **options: object) -> Windows:
    named = DataOptions(rainy=tuple(map(str, rainy)), clean=tuple(map(str, clean)), **(SMALL | options))  # type: ignore[arg-type]
    return Windows(named, cut, seed=seed, tell=lambda notice: None)


def equal(first: Batch, second: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first[:8], second[:8], strict=True))


def test_shapes_and_ranges(samples: Path) -> None:
    batch = windows(samples / "rotated.mp4").batch(0)
    assert [tuple(part.shape) for part in batch[:8]] == [
        (3, 1, 48, 48),
        (3, 4, 1, 48, 48),
        (3, 4, 48, 48),
        (3, 1, 48, 48),
        (3, 1, 48, 48),
        (3, 1, 48, 48),
        (3,),
        (3,),
    ]
    assert not (batch.is_clean | batch.is_told).any()
    assert torch.equal(batch.truth, batch.observed)  # nothing better is known
    assert not batch.known.any()
    assert batch.rain.min() >= 0
    assert (batch.rain <= batch.observed + 1e-6).all()
    assert -0.1 < float(batch.observed.min()) < float(batch.observed.max()) < 1.1
    # the witnesses are of the same place and of other times
    off = (batch.witnesses - batch.observed[:, None]).abs().flatten(2).mean(2)
    assert 0 < float(off.min()) < float(off.max()) < 0.1


@pytest.mark.library("decord")
@pytest.mark.parametrize("lines", [480, 720])
def test_what_decord_reads_is_about_the_luma_of_a_video_without_a_tag(lines: int, tmp_path: Path) -> None:
    """Of which it takes the colours for BT.601, of whatever size it is: so its RGB is weighed by that."""
    import av

    path, random = tmp_path / "untagged.mkv", np.random.default_rng(2)
    low, high = np.array([[60], [110], [110]]), np.array([[200], [146], [146]])  # of colours that RGB has room for
    shown = random.integers(low[..., None], high[..., None], (3, lines // 40, 32)).repeat(40, 1).repeat(40, 2)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=30)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 1280, lines, "yuv444p"
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(shown.astype(np.uint8), format="yuv444p")))
        out.mux(stream.encode(None))
    info, clip = open_video(path).info, open_footage(path, lambda notice: pytest.fail(notice.message))
    assert info.color.matrix == 2
    (found,) = clip.read([1])
    due = to_luma(tuple(shown.astype(np.uint8)), conversion_for(info))
    assert float((found - due).abs().max() * 255) < 3


def write_moving(path: Path, streaks: int = 0) -> Path:
    """A picture that moves to the right by two pixels a frame, and streaks of rain elsewhere in every frame."""
    import av

    random = np.random.default_rng(5)
    scene = random.integers(40, 160, (12, 40, 1)).repeat(8, 0).repeat(8, 1).repeat(3, 2)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=30)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv444p"
        for index in range(20):
            shown = scene[:, 100 - 2 * index : 228 - 2 * index].astype(np.uint8)
            for row, column in random.integers((0, 0), (76, 126), (streaks, 2)):
                shown[row : row + 20, column : column + 2] += 40
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(shown), format="rgb24")))
        out.mux(stream.encode(None))
    return path


def test_a_neighbour_comes_as_filmed_with_rain_of_its_own(tmp_path: Path) -> None:
    """Witnesses are dried, so a second view on one of them would have no rain to find; and the frame is dry for it."""
    path = write_moving(tmp_path / "rain.mkv", streaks=10)
    asked = windows(path, strides=(1,), cut=Cut(radius=2, patch=64, batch=12, first="baseline", views=2))
    batch = asked.batch(0)
    assert batch.neighbour is not None
    assert len(set(batch.neighbour.number.tolist())) > 1
    turned, net = seen_from(batch.window, batch.neighbour), Gate(CONFIGS["gate-s"]).requires_grad_(False)
    own, other = layers_of(net, batch.window), layers_of(net, turned)
    assert own.rain.mean() > 0.003
    assert 0.7 < float(other.rain.mean() / own.rain.mean()) < 1.4
    wet, also = (layers.rain.amax(1) > 0.05 for layers in (own, other))
    assert (wet & also).sum() < 0.2 * also.sum()  # each frame has its own
    aligned = error_of(batch.window, batch.neighbour)[:, None] < 1
    assert ((own.background - other.background).abs() * aligned).mean() < 0.01  # of one scene
    rows, number = torch.arange(len(turned.observed)), batch.neighbour.number
    left = (turned.witnesses[rows, number] - own.background).abs().amax(1)
    assert left[wet].mean() < 0.3 * own.rain.amax(1)[wet].mean()
    # drying only darkens, and each moves as the witness that it is, to the last bit
    for filmed, dried in ((turned.observed, batch.witnesses[rows, number]), (batch.observed, batch.neighbour.dried)):
        assert (filmed - dried).min() > -1e-5
    alone = windows(path, strides=(1,), cut=Cut(radius=2, patch=64, batch=12, first="baseline")).batch(0)
    assert alone.neighbour is None
    assert equal(alone, batch)


def test_witnesses_are_dried_only_for_gates_that_see_them_so(tmp_path: Path) -> None:
    path = write_moving(tmp_path / "rain.mkv", streaks=10)
    filmed, dried = (
        windows(path, strides=(1,), cut=Cut(radius=2, patch=64, batch=12, first=first)).batch(0)
        for first in (None, "baseline")
    )
    assert torch.equal(filmed.observed, dried.observed)
    amount = filmed.rain.mean()
    assert amount > 0.003
    assert 0.6 < float((filmed.witnesses - dried.witnesses).mean() / amount) < 1.2


@pytest.mark.parametrize("first", [None, "baseline", "gate-s"])
def test_a_window_is_what_a_model_is_shown_where_a_video_is_cleaned(first: str | None, samples: Path) -> None:
    """Its witnesses dried by the same pass before, and followed as finely."""
    path = samples / "rotated.mp4"
    video = open_video(path)
    clip = _InOrder(path, 30.0, video)
    asked = windows(path, strides=(1,), cut=replace(CUT, first=first))
    observed, witnesses, error, *_ = asked._somewhere(clip, torch.Generator().manual_seed(1), 0, "rainy")
    shown: list[Aligned] = []

    class Looking(Baseline):
        wants_error = True  # type: ignore[assignment]
        first: Any = pass_before(asked._cut.first)

        def __call__(self, aligned: Aligned) -> torch.Tensor:
            shown.append(aligned)
            return torch.zeros(aligned.observed.shape)

    list(decompose(video.frames(), video.info, Looking(BaselineOptions())))
    due = next(aligned for aligned in shown if torch.equal(floats(aligned.observed), observed))
    assert torch.equal(witnesses, floats(due.witnesses))
    assert torch.equal(error, error_at(due, observed.shape))


def test_the_window_beside_is_of_the_frame_before_at_the_same_place(tmp_path: Path) -> None:
    """Of a picture that moves, seen without following it."""
    write_moving(tmp_path / "moving.mkv")
    cut = Cut(radius=2, patch=64, batch=3, first="baseline", views=3)
    asked = windows(tmp_path / "moving.mkv", strides=(1,), cut=cut)
    batch = asked.batch(0)
    assert batch.beside is not None
    assert [part.shape for part in batch.beside] == [part.shape for part in batch.window]
    now, before = batch.observed[..., 8:-8, 8:-8], batch.beside.observed
    moved = torch.stack([(now - before[..., 8:-8, 8 + x : 56 + x]).abs().amax((1, 2, 3)) for x in (-2, 0, 2)])
    assert (moved.argmin(0) != 1).all()  # to the left where a window is mirrored
    assert moved.amin(0).max() < 0.02
    assert (batch.beside.witnesses - before[:, None]).abs().mean() < 0.03  # its own coordinates
    plain = windows(
        tmp_path / "moving.mkv", strides=(1,), cut=Cut(radius=2, patch=64, batch=3, first="baseline")
    ).batch(0)
    assert plain.beside is None
    assert equal(plain, batch)
    assert equal(asked.batch(7), windows(tmp_path / "moving.mkv", strides=(1,), cut=cut).batch(7))


def test_a_batch_follows_from_the_step_alone(samples: Path) -> None:
    asked = windows(samples / "rotated.mp4")
    in_order = list(asked.batches(range(12)))
    assert equal(windows(samples / "rotated.mp4").batch(11), in_order[11])
    assert equal(asked.batch(2), in_order[2])
    assert not equal(in_order[0], in_order[1])
    assert not equal(windows(samples / "rotated.mp4", seed=1).batch(0), in_order[0])


def test_memory_is_bounded_and_readings_are_renewed(samples: Path) -> None:
    asked = windows(samples / "rotated.mp4")
    seen = set()
    for batch in asked.batches(range(40)):
        seen.add(round(float(batch.observed.mean()), 4))
        held = asked._readings
        assert len(held) <= 4
        assert all(len(reading.crops) == 2 for reading in held.values())
        parts = [part for reading in held.values() for crop in reading.crops for part in crop]
        assert all(part.shape[-2:] == (80, 80) for part in parts)
        # no crop is a view that keeps its whole picture alive
        assert all(part.untyped_storage().nbytes() == part.numel() * 4 for part in parts)
    assert max(reading.generation for reading in asked._readings.values()) >= 4
    assert len(seen) > 30


def test_clean_clips_have_their_share(samples: Path) -> None:
    asked = windows(samples / "rotated.mp4", clean=(samples / "street_clean.mp4",), clean_share=0.25, readings=8)
    flags = torch.cat([asked.batch(step).is_clean for step in range(40)])
    assert 0.1 < float(flags.float().mean()) < 0.4


def test_no_window_reaches_across_a_cut(samples: Path) -> None:
    """The two shots are of other colours; a witness from the other one would be far off."""
    asked = windows(samples / "cut.mkv", strides=(1,), readings=12)
    for batch in asked.batches(range(8)):
        means = batch.witnesses.mean((3, 4)) - batch.observed.mean((2, 3))[:, None]
        assert float(means.abs().max()) < 0.1


def test_repeated_frames_are_witnesses_once(tmp_path: Path) -> None:
    """Every frame twice: the witnesses must still be four different ones, and none the observed frame again."""
    path = write_repeats(tmp_path / "repeats.mkv")
    asked = windows(path, strides=(1,), cut=Cut(radius=2, patch=48, batch=1, first="baseline"))
    for step in range(6):
        batch = asked.batch(step)
        parts = [batch.observed[0], *batch.witnesses[0]]
        apart = [(a - b).abs().mean() for i, a in enumerate(parts) for b in parts[:i]]
        assert min(apart) > 0.01


def write_repeats(path: Path) -> Path:
    import av

    random = np.random.default_rng(3)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv444p"
        scene = random.integers(20, 170, (8, 12, 1)).repeat(8, 0).repeat(8, 1)
        for index in range(40):
            if index % 2 == 0:
                drops = (random.random((64, 96, 1)) < 0.2) * 60
            frame = av.VideoFrame.from_ndarray((scene + drops).repeat(3, 2).astype(np.uint8), "rgb24")
            out.mux(stream.encode(frame.reformat(format="yuv444p")))
        out.mux(stream.encode(None))
    return path


def test_strides_take_frames_farther_apart(tmp_path: Path) -> None:
    """The texture drifts by two pixels a frame; unaligned, witnesses of a larger stride would be farther away."""
    path = write_painted(tmp_path / "drift.mp4", x264="keyint=12:scenecut=0:open-gop=0", frames=48)
    near = windows(path, strides=(1,)).batch(0)
    far = windows(path, strides=(6,)).batch(0)
    assert not torch.equal(near.witnesses, far.witnesses)


def test_files_that_decord_misreads_are_read_in_order(tmp_path: Path) -> None:
    path = write_painted(tmp_path / "open.mp4", x264=OPEN)
    heard: list[Notice] = []
    clip = open_footage(path, heard.append)
    assert [notice.code for notice in heard] == ["slow"]
    assert "open groups" in heard[0].message
    plain = open_footage(
        write_painted(tmp_path / "closed.mp4", x264=OPEN.replace("open-gop=1", "open-gop=0")), heard.append
    )
    assert len(heard) == 1
    assert (len(clip), clip.rate) == (len(plain), 25.0)
    for a, b in zip(clip.read([0, 13, 30]), plain.read([0, 13, 30]), strict=True):
        assert a.shape == b.shape
        assert float((a - b).abs().mean()) < 0.02


@pytest.mark.parametrize("name", ["rotated.mp4", "rotated.mp4", "full_range.mp4", "tenbit.mp4"])
def test_luma_through_decord_is_that_of_the_planes(name: str, samples: Path) -> None:
    """Upright, and to the rounding of RGB in 8 bits."""
    video = open_video(samples / name)
    conversion = conversion_for(video.info)
    due = {
        frame.index: upright(to_luma(frame.planes, conversion), video.info.display_matrix) for frame in video.frames()
    }
    for picture, index in zip(open_footage(samples / name, lambda notice: None).read([0, 7]), (0, 7), strict=True):
        assert picture.shape == due[index].shape
        assert picture.is_contiguous()
        assert float((picture - due[index].clamp(0, 1)).abs().mean()) < 0.01


def test_without_decord_clips_are_read_in_order(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "decord", None)
    heard: list[Notice] = []
    clip = open_footage(samples / "rotated.mp4", heard.append)
    assert "needs decord" in heard[0].message
    assert clip.read([2, 5])[0].shape == (1, 256, 192)  # upright


def test_folders_stand_for_their_videos(tmp_path: Path, samples: Path) -> None:
    for name in ("b.mp4", "a.MOV", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    found = clips_at([str(tmp_path), str(samples / "odd.mp4")])
    assert [path.name for path in found] == ["a.MOV", "b.mp4", "odd.mp4"]
    (tmp_path / "empty").mkdir()
    for place, said in [("empty", "holds no videos"), ("none", "no such file or folder")]:
        with pytest.raises(InputError, match=said):
            clips_at([str(tmp_path / place)])


def test_clips_that_will_not_do(tmp_path: Path, samples: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.rainy: names no videos"):
        windows()
    with pytest.raises(InputError, match=r"odd.mp4: its pictures are smaller than the patch of 128"):
        windows(samples / "odd.mp4", cut=Cut(radius=2, patch=128, batch=1, first="baseline")).batch(0)
    short = write_painted(tmp_path / "short.mp4", x264="keyint=12", frames=4)
    with pytest.raises(InputError, match=r"short.mp4: no 5 different frames in a row"):
        windows(short).batch(0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"strides": ()}, r"data.strides=\[\]"),
        ({"strides": (1, 0)}, r"data.strides=\[1, 0\]: allowed: one or more, each at least 1"),
        ({"crop": 0}, "data.crop=0"),
        ({"refresh": 0}, "data.refresh=0"),
        ({"clean_share": 1.1}, "data.clean_share=1.1 rendered_share=0.5 settled_share=0 dry_share=0: allowed: from 0"),
        ({"dry_share": 0.2}, "data.dry_share=0.2: needs data.clean, which names no videos"),
        (
            {"rendered_share": 1.1},
            "data.clean_share=0.5 rendered_share=1.1 settled_share=0 dry_share=0: allowed: from 0, together at most 1",
        ),
    ],
)
def test_options_out_of_bounds(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        DataOptions(**wrong)  # type: ignore[arg-type]


def test_shares_may_fill_the_whole() -> None:
    """0.6 + 0.3 + 0.1 is a little more than 1 in binary."""
    found = DataOptions(clean=("a.mp4",), clean_share=0.6, settled_share=0.3, dry_share=0.1)
    assert (found.clean_share, found.settled_share, found.dry_share) == (0.6, 0.3, 0.1)
