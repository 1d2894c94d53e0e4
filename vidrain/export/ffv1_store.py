"""Layers as lossless FFV1 videos in MP4 with the times of the source: parts of a shard each, joined at the end.

Rain is stored as R + 2^(depth + 1) in two bits more, as `clean --rain` stores it.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from pathlib import Path
from threading import Lock
from weakref import finalize

import numpy as np

from vidrain.errors import InputError
from vidrain.export.names import Layer
from vidrain.export.space import Array, Samples
from vidrain.export.stores import Shard, Times, ToRead, ToWrite, array_named, shard_name
from vidrain.layers import pack, rain_layout, unpack
from vidrain.outputs import sync
from vidrain.types import ColorTags, Frame, PixelLayout, Planes, StaticHdr, VideoInfo
from vidrain.video.decode import Video, open_video
from vidrain.video.encode import VideoWriter
from vidrain.video.encoder import EncodeOptions, plan_encoder
from vidrain.video.join import join

_PARTS = ".parts"  # until they are joined
_RATE = Fraction(25)  # of the parts, whose frames have no times yet
_CODING = {"g": "1"}  # every frame a key frame: one is read by itself, for 2 % more bytes
_RGB, _FULL_RANGE = 0, 2  # ISO/IEC 23091-2 and FFmpeg's AVCOL_RANGE
_TO_PLANES = (1, 2, 0)  # channels of RGB as g, b, r


class Ffv1Writer:
    """`observed.mp4`, `background.mp4`, `rain.mp4`."""

    def __init__(self, due: ToWrite) -> None:
        self._due = due

    def write(self, shard: Shard) -> list[Path]:
        """A part of every layer."""
        return [self._write(layer, shard) for layer in _layers(self._due.arrays)]

    def finish(self, times: Times) -> None:
        """Join the parts of every layer; a layer that has none left was joined before."""
        due = list(zip(times.pts, times.durations, strict=True))
        parts = self._due.folder / _PARTS
        for layer in _layers(self._due.arrays):
            folder = parts / layer
            if not folder.exists():
                continue
            joining, final = parts / f"{layer}.mp4", _path(self._due.folder, layer)
            if not final.exists():  # else an interrupt came while its parts were removed
                join(sorted(folder.glob("*.mp4")), joining, times=due, time_base=times.time_base, tags=self._due.tags)
                sync(joining)  # its parts go next
                joining.replace(final)
            shutil.rmtree(folder)
        shutil.rmtree(parts, ignore_errors=True)

    def _write(self, layer: Layer, shard: Shard) -> Path:
        path = self._due.folder / _PARTS / layer / f"{shard_name(shard.first)}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        info = self._info(layer)
        plan = plan_encoder(info, path, EncodeOptions(codec="ffv1", options=_CODING))
        with VideoWriter(path, plan, info) as writer:
            for place, planes in enumerate(self._planes(layer, shard)):
                writer.write(planes, place, 1)
        return path

    def _planes(self, layer: Layer, shard: Shard) -> Iterator[Planes]:
        blocks = [shard.blocks[array.name] for array in self._due.arrays if array.layer == layer]
        depth = self._due.arrays[0].depth
        for place in range(len(shard.numbers)):
            parts = tuple(block[place] for block in blocks)
            if parts[0].ndim == 3:
                parts = tuple(np.ascontiguousarray(parts[0][..., channel]) for channel in _TO_PLANES)
            yield pack(parts, depth) if layer == "rain" else parts

    def _info(self, layer: Layer) -> VideoInfo:
        """Facts of a part: those of the source, in the layout and colours of what is stored."""
        info = self._due.info
        layout, color = info.layout, info.color
        if len(self._due.arrays[0].shape) == 3:
            layout = PixelLayout("gbrp", layout.depth)
            color = ColorTags(_RGB, _FULL_RANGE, color.primaries, color.transfer)
        if layer == "rain":
            layout = rain_layout(layout)
        plain = replace(info, layout=layout, color=color, hdr=StaticHdr(), chroma_siting=None, field_order=None)
        # not turned: as all formats have it, and as programs read it that turn by themselves
        return replace(plain, time_base=1 / _RATE, rate=_RATE, interlaced=False, display_matrix=None)


class Ffv1Reader:
    """Reads them. One file of every layer is held open for frames that are asked for one by one."""

    def __init__(self, held: ToRead) -> None:
        self._held = held
        self._videos: dict[Layer, Video] = {}
        self._open: dict[Layer, Callable[[int], Iterator[Frame]]] = {}
        self._files, self._owner, self._lock = ExitStack(), os.getpid(), Lock()
        finalize(self, self._files.close)
        # the planes of a layer are arrays of their own, mostly read one after the other
        self._planes = lru_cache(maxsize=len(_layers(held.arrays)))(self._decoded)

    def read(self, name: str, first: int, stop: int) -> Samples:
        """Decoded from the key frame at `first` on: every frame is one, in all but old exports."""
        array = array_named(self._held.arrays, name)
        return np.stack([self._samples(array, planes) for planes in self._planes(array.layer, first, stop)])

    def _decoded(self, layer: Layer, first: int, stop: int) -> list[Planes]:
        with self._lock:
            video = self._video(layer)
            following = self._one_by_one(layer, video) if stop - first == 1 else video.frames
            frames = list(islice(following(first), stop - first))
        if [frame.index for frame in frames] != list(range(first, stop)):
            raise InputError(f"{video.info.path}: not every frame can be decoded")
        return [frame.planes for frame in frames]

    def _video(self, layer: Layer) -> Video:
        if layer not in self._videos:
            video = open_video(_path(self._held.folder, layer))
            if len(video.index.pts) != len(self._held.numbers):
                frames = f"{len(video.index.pts)} of {len(self._held.numbers)} frames"
                raise InputError(f"{video.info.path}: holds {frames}")
            self._videos[layer] = video
        return self._videos[layer]

    def _one_by_one(self, layer: Layer, video: Video) -> Callable[[int], Iterator[Frame]]:
        if self._owner != os.getpid():  # a child has the files of its parent, at places that the parent moves
            self._open, self._owner = {}, os.getpid()
        if layer not in self._open:
            self._open[layer] = self._files.enter_context(video.held_open())
        return self._open[layer]

    def _samples(self, array: Array, planes: Planes) -> Samples:
        values = unpack(planes, array.depth) if array.layer == "rain" else planes
        if len(array.shape) == 3:
            green, blue, red = values
            return np.stack((red, green, blue), axis=-1)
        same = [other.name for other in self._held.arrays if other.layer == array.layer]
        return values[same.index(array.name)]


def _layers(arrays: Sequence[Array]) -> list[Layer]:
    return list(dict.fromkeys(array.layer for array in arrays))


def _path(folder: Path, layer: Layer) -> Path:
    return folder / f"{layer}.mp4"
