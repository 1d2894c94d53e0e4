"""Planes as pictures that an encoder takes, as an `EncoderPlan` says: pixel format, colour tags, order of fields."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation

from vidrain.types import Planes, VideoInfo
from vidrain.video.encoder import EncoderPlan

_ACCURATE = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)


class Pictures:
    """Makes pictures of planes of `info.layout`. info: facts of the source, with the layout of the planes written."""

    def __init__(self, plan: EncoderPlan, info: VideoInfo) -> None:
        self._plan, self._info = plan, info
        self._marked = _marker(info, plan) if plan.stated.field_order else None

    def of(self, planes: Planes, pts: int, duration: int) -> VideoFrame:
        """One frame, its times in ticks of `info.time_base`."""
        picture = self._picture(planes)
        picture.pts, picture.duration, picture.time_base = pts, duration, self._info.time_base
        return picture

    def _picture(self, planes: Planes) -> VideoFrame:
        info, plan = self._info, self._plan
        frame = VideoFrame(info.width, info.height, info.layout.name)
        for plane, samples in zip(frame.planes, planes, strict=True):
            rows = np.frombuffer(memoryview(plane), info.layout.dtype).reshape(plane.height, -1)
            rows[:, : plane.width] = samples
        frame.color_range = plan.color.range
        if plan.pix_fmt != info.layout.name:
            if info.layout.family == "gbrp":  # between YUV formats no matrix is needed, and FFmpeg refuses rare ones
                frame.colorspace = plan.color.matrix
            frame = frame.reformat(format=plan.pix_fmt, interpolation=_ACCURATE)
        frame.color_range, frame.colorspace = plan.color.range, plan.color.matrix
        frame.color_primaries, frame.color_trc = plan.color.primaries, plan.color.transfer
        return self._marked(frame) if self._marked else frame


def _marker(info: VideoInfo, plan: EncoderPlan) -> Callable[[VideoFrame], VideoFrame]:
    """Marks frames with the order of their fields, which PyAV only reads; a filter of FFmpeg writes it."""
    graph = Graph()
    form = VideoFormat(plan.pix_fmt)
    source = graph.add_buffer(width=info.width, height=info.height, format=form, time_base=info.time_base)
    field = graph.add("setfield", "tff" if plan.stated.field_order == "top" else "bff")
    source.link_to(field)
    field.link_to(graph.add("buffersink"))
    graph.configure()

    def marked(frame: VideoFrame) -> VideoFrame:
        graph.vpush(frame)  # through the graph, which has to outlive its filters
        return graph.vpull()

    return marked
