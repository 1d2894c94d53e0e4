"""Where the pixels of one picture lie in another: optical flow by DIS, and what can be read along it.

A flow is sought on a grid coarser than its pictures, and followed on from picture to picture there. Knows nothing of
frames, windows or rain. The door to cv2 for motion; all but `Search`, which keeps buffers, is pure.

    search = Search("fast")
    first, second = search.grid(start), search.grid(end)
    forth, back = search.between(first, second), search.between(second, first)     # [h / 4, w / 4, 2], in their pixels
    offsets_of(forth, start.shape), error_between(forth, back, start.shape)  # [h, w] each, in pixels of start
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeVar, cast

import cv2
import numpy as np
import numpy.typing as npt

Guide = npt.NDArray[np.uint8]
Flow = npt.NDArray[np.float32]
Grey = npt.NDArray[np.float32]
Samples = TypeVar("Samples", npt.NDArray[np.uint8], npt.NDArray[np.uint16], npt.NDArray[np.float32])

FlowPreset = Literal["ultrafast", "quick", "fast", "fine", "medium"]


class Offsets(NamedTuple):
    """How far across and how far down from each pixel of a picture it lies in another one. [h, w] each, in pixels

    Apart, because OpenCV grows and follows them in three quarters of the time.
    """

    across: Grey
    down: Grey


# What else `quick`, `fast` and `fine` are stands in `Search` and in `align`.
_PRESETS: dict[FlowPreset, int] = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "quick": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "fine": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
# Of each search; OpenCV's own are 16 and 5, in half as much time again. Within 0.1 dB on clips of rendered rain.
_STEPS, _REFINEMENTS = 8, 2
# DIS of OpenCV 5.0 raises an assertion below 12 pixels a side (sizes 2 to 39, three presets); some margin.
_SMALLEST_FLOW_SIDE = 16
# Below 32 it also ends the process where the other side is three times as long or more (96 to 4096; from 32 on none
# did, up to 16384 pixels long; the same on the grid, where the finest scale is always the first).
_SAFE_FLOW_SIDE = 32
_ROUNDS = 3  # of `inverted`; of measured flows more change no picture by 0.01 dB
# Pixels of a guide for each place that a flow is sought at, along each side: as DIS itself would reduce it.
_SPACINGS: dict[FlowPreset, int] = {"ultrafast": 4, "quick": 4, "fast": 4, "fine": 2, "medium": 2}
_ALONG = cv2.INTER_LINEAR | cv2.WARP_RELATIVE_MAP  # maps say how far, not where: nobody adds the place itself


class Search:
    """DIS by a preset. Not for use by two threads at a time (it keeps buffers)."""

    def __init__(self, preset: FlowPreset) -> None:
        self._spacing = _SPACINGS[preset]
        self._dis = cv2.DISOpticalFlow.create(_PRESETS[preset])
        if preset in ("quick", "fast", "fine"):
            self._dis.setGradientDescentIterations(_STEPS)
        if preset in ("quick", "fast"):
            self._dis.setVariationalRefinementIterations(_REFINEMENTS)
        self._dis.setFinestScale(0)  # of what it is given, which is smaller by its spacing already

    def grid(self, guide: Guide) -> Guide:
        """What is searched of a guide [h, w]: a pixel for each place that a flow is sought at. [h / 4, w / 4]

        A closer grid of small pictures, and for the presets `fine` and `medium`.
        """
        spacing = self._spacing
        while spacing > 1 and min(guide.shape) < spacing * _SAFE_FLOW_SIDE:
            spacing //= 2
        height, width = guide.shape
        return cast(Guide, cv2.resize(guide, (width // spacing, height // spacing), interpolation=cv2.INTER_AREA))

    def between(self, start: Guide, end: Guide, guess: Flow | None = None) -> Flow:
        """Where each place of `start` lies in `end`, as an offset, sought from a guess on.

        start, end: `grid` of two guides, [h, w]. [h, w, 2] in their pixels; below 16 a side nothing is measured, and
        the flow is 0.
        """
        return _measured(self._dis, start, end, guess)


def flow_between(start: Guide, end: Guide) -> Flow:
    """Where each pixel of `start` lies in `end`, as an offset [h, w, 2] in pixels, by the most careful preset.

    start, end: [h, w] uint8; below 16 pixels a side nothing is measured, and the flow is 0.
    """
    search = Search("medium")
    return cast(Flow, cv2.merge(offsets_of(search.between(search.grid(start), search.grid(end)), start.shape)))


def _measured(dis: cv2.DISOpticalFlow, start: Guide, end: Guide, guess: Flow | None) -> Flow:
    """The flow of two grids [h, w], sought from a guess on; 0 where they are too small. [h, w, 2] in pixels"""
    height, width = start.shape
    if min(height, width) < _SMALLEST_FLOW_SIDE:
        return np.zeros((height, width, 2), np.float32)
    down, right = max(_SAFE_FLOW_SIDE - height, 0), max(_SAFE_FLOW_SIDE - width, 0)
    first, second = (
        cv2.copyMakeBorder(guide, 0, down, 0, right, cv2.BORDER_REPLICATE) if down or right else guide
        for guide in (start, end)
    )
    flow = np.zeros((*first.shape, 2), np.float32)
    if guess is not None:
        flow[:height, :width] = guess
    dis.calc(first, second, flow)
    return np.ascontiguousarray(flow[:height, :width])


def offsets_of(flow: Flow, size: Sequence[int]) -> Offsets:
    """What a flow [h, w, 2] says of each pixel of a picture of `size`, (rows, columns), in pixels of that."""
    return resized(Offsets(*cast(Sequence[Grey], cv2.split(flow))), size)


def resized(offsets: Offsets, size: Sequence[int]) -> Offsets:
    """Offsets of a picture of another `size`, (rows, columns), in pixels of that; those of its own size themselves."""
    height, width = offsets.across.shape
    if tuple(size) == (height, width):
        return offsets
    times = np.float32(size[1] / width), np.float32(size[0] / height)
    whole = (
        cast(Grey, cv2.resize(part * by, (size[1], size[0]), interpolation=cv2.INTER_LINEAR))
        for part, by in zip(offsets, times, strict=True)
    )
    return Offsets(*whole)


def error_between(forth: Flow, back: Flow, size: Sequence[int]) -> Grey:
    """`forward_backward_error` of two flows, of a picture of `size`, (rows, columns), in pixels of that."""
    height, width = forth.shape[:2]
    error = forward_backward_error(forth, back) * np.float32(max(size[0] / height, size[1] / width))
    return cast(Grey, cv2.resize(error, (size[1], size[0]), interpolation=cv2.INTER_LINEAR))


def forward_backward_error(forth: Flow, back: Flow) -> Grey:
    """How far a pixel lands from where it began when it follows `forth` and then `back`. [h, w] in pixels"""
    there, again = (Offsets(*cast(Sequence[Grey], cv2.split(flow))) for flow in (forth, back))
    across, down = (first + fetched(then, there) for first, then in zip(there, again, strict=True))
    across *= across
    down *= down
    across += down
    return cast(Grey, np.sqrt(across, out=across))  # cv2.magnitude depends on where arrays lie in memory


def fetched(picture: Samples, along: Offsets | Flow, into: Samples | None = None) -> Samples:
    """`picture` [h, w] or [h, w, C] read so far from each of its pixels, by linear interpolation; its rim goes on."""
    across, down = along if isinstance(along, Offsets) else (along, None)
    further: Any = down  # the stubs of cv2 know no map of both
    read = cv2.remap(picture, across, further, _ALONG, dst=into, borderMode=cv2.BORDER_REPLICATE)
    return cast(Samples, read)


def inverted(flow: Flow) -> Flow:
    """The way back along a flow [h, w, 2]: an offset that, followed from where the flow led, leads to where it began.

    In a tenth of the time of a search. Where the flow leads two places to one, or none to it, it is one that lies near.
    Source: Chen et al., "A simple fixed-point approach to invert a deformation field", Medical Physics 35, 2008.
    """
    back: Flow = np.negative(flow)
    for _ in range(_ROUNDS):
        back = fetched(flow, back)
        np.negative(back, out=back)
    return back


def composed(first: Flow, then: Flow) -> Flow:
    """Where both flows [h, w, 2] lead, one after the other."""
    return cast(Flow, cv2.add(first, fetched(then, first)))
