"""A small benchmark: clips of two kinds of rain and of none, the sets that name them, and what was written of them."""

import json
import shutil
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import yaml

FRAMES = 14
SIZE = (160, 112)
PAIRS = {"kind": "pairs", "rainy": ["paired/*_rainy.mp4"], "truth": ["paired/*_clean.mp4"], "steps": "false"}
SETS: dict[str, Any] = {
    "pairs": PAIRS,
    "walkers": {"kind": "pairs", "rainy": ["paired/*/rain"], "truth": ["paired/*/gt"]},
    "harm": {"kind": "clean", "clips": ["clean/*"], "overlays": ["cat 8 8 30 20"]},
    "real": {"kind": "real", "clips": ["real/*"], "still": ["yard"], "every": "1", "frames": "4"},
}
FAST = "baseline baseline.radius=1 align.preset=ultrafast"


@pytest.fixture(scope="module")
def clips(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered pair, a folder of two gray pictures, a video without rain, one with."""
    folder = tmp_path_factory.mktemp("clips")
    for name in ("paired", "clean", "real"):
        (folder / name).mkdir()
    cut_out(samples / "street.mp4", folder / "paired" / "road_rainy.mp4")
    cut_out(samples / "street_clean.mp4", folder / "paired" / "road_clean.mp4")
    for kind, source in (("rain", "street"), ("gt", "street_clean")):
        (folder / "paired" / "walker" / kind).mkdir(parents=True)
        with av.open(str(samples / f"{source}.mp4")) as container:
            for index, frame in zip(range(2), container.decode(video=0), strict=False):
                path = folder / "paired" / "walker" / kind / f"{index:03d}.png"
                cv2.imwrite(str(path), frame.to_ndarray()[:100, :120])
    shutil.copy(folder / "paired" / "road_clean.mp4", folder / "clean" / "cat.mp4")
    shutil.copy(folder / "paired" / "road_rainy.mp4", folder / "real" / "yard.mp4")
    return folder


@pytest.fixture
def data(clips: Path, tmp_path: Path) -> Path:
    """The same, to be changed by a test, and the configuration that names it."""
    shutil.copytree(clips, tmp_path / "data")
    (tmp_path / "eval.yaml").write_text(yaml.safe_dump({"sets": SETS, "data": str(tmp_path / "data")}))
    return tmp_path / "data"


def cut_out(source: Path, target: Path) -> None:
    """The middle of the first frames, without loss, so that measuring takes seconds."""
    with av.open(str(source)) as container, av.open(str(target), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        (stream.width, stream.height), stream.pix_fmt = SIZE, "yuv420p"
        context = stream.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1, 1
        for index, frame in zip(range(FRAMES), container.decode(video=0), strict=False):
            whole = frame.to_ndarray()  # [480, 480]: luma over both chroma planes, each as rows of two lines
            chroma = whole[320:].reshape(2, 160, 240)
            planes = (whole[104:216, 160:320], *chroma[:, 52:108, 80:160])
            small = av.VideoFrame(*SIZE, "yuv420p")
            for samples, plane in zip(planes, small.planes, strict=True):
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
                rows[:, : plane.width] = samples
            small.pts = index
            out.mux(stream.encode(small))
        out.mux(stream.encode(None))


def results(folder: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(set, clip, method) -> figures."""
    found = json.loads((folder / "results.json").read_text())
    return {(row["set"], row["clip"], row["method"]): row["figures"] for row in found["rows"]}


def kept(folder: Path) -> dict[str, int]:
    """Rows and when they were written."""
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in (folder / "rows").rglob("*.json")}
