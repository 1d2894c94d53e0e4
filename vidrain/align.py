"""Brings neighbouring frames onto the frame being cleaned: optical flow, warp, and how far the warp can be trusted.

Knows nothing of video files, shots or rain. The door to cv2 for motion (`shots.py` is the other one).

    aligner = Aligner(AlignOptions())
    picture = Picture(index=7, rgb=rgb, guide=guide_of(rgb, aligner.options))
    aligned = aligner.align(picture, [earlier, later])
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vidrain.types import Aligned

Guide = npt.NDArray[np.uint8]
Flow = npt.NDArray[np.float32]

_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
# DIS of OpenCV 5.0 raises an assertion below 12 pixels a side (every size from 2 to 39 tried, three presets); some margin.
_SMALLEST_FLOW_SIDE = 16
_LUMA = (0.299, 0.587, 0.114)  # BT.601; the guide only has to look alike in all frames, so any source matrix will do


@dataclass(frozen=True)
class AlignOptions:
    """How motion is measured.

    preset: DIS preset.
    scale: side of the guide picture over side of the frame.
    smallest_side: the scale is raised (at most to 1) until the shorter side of the guide has this many pixels.
    still_tolerance: grey levels; a place that differs by no more than this from EVERY neighbour at the same place
        stands still (burnt-in text, a logo, a still camera) and is not moved along with its surroundings. 0 = only equal.
    """

    preset: Literal["ultrafast", "fast", "medium"] = "fast"
    scale: float = 0.5
    smallest_side: int = 180
    still_tolerance: int = 3


class Picture(NamedTuple):
    """One frame ready for alignment: its number, [3, H, W] float32 RGB nominally in [0, 1], and `guide_of` it."""

    index: int
    rgb: Tensor
    guide: Guide


class _Motion(NamedTuple):
    """The flow of a pair of guides both ways, in guide pixels [h, w, 2]: `forth` from the lower index to the higher."""

    forth: Flow
    back: Flow


def guide_of(observed: Tensor, options: AlignOptions) -> Guide:
    """The luma picture that motion is measured on.

    observed: [3, H, W] float32 RGB nominally in [0, 1]. Returns [h, w] uint8, reduced by the options' scale.
    """
    red, green, blue = observed.numpy()
    luma = cv2.addWeighted(red, _LUMA[0] * 255, green, _LUMA[1] * 255, 0)
    luma = cv2.addWeighted(luma, 1, blue, _LUMA[2] * 255, 0)
    height, width = luma.shape
    scale = min(1.0, max(options.scale, options.smallest_side / min(height, width)))
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        luma = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(luma), 0, 255).astype(np.uint8)


class Aligner:
    """Warps witnesses onto a centre frame and remembers the flow of each pair of frames until both have been centres.

    Made for centres in rising order. Any other order gives the same result and only costs flows computed again.
    Not for use by two threads at a time (the DIS object keeps buffers).
    """

    def __init__(self, options: AlignOptions) -> None:
        self.options = options
        self._dis = cv2.DISOpticalFlow_create(_PRESETS[options.preset])
        self._motions: dict[tuple[int, int], _Motion] = {}

    def align(self, center: Picture, witnesses: Sequence[Picture]) -> Aligned:
        """Warp every witness onto `center`; with no witnesses the result has K = 0."""
        height, width = center.rgb.shape[1:]
        warped = torch.empty((len(witnesses), 3, height, width), dtype=torch.float32)
        error = torch.empty((len(witnesses), height, width), dtype=torch.float32)
        moving = self._moving(center.guide, [witness.guide for witness in witnesses])
        for k, witness in enumerate(witnesses):
            forth, back = self._flows(center, witness)
            mismatch = forward_backward_error(forth, back)
            picture, distrust = warp(witness.rgb, forth * moving[..., None], mismatch * moving)
            warped[k], error[k] = picture, distrust
        self._forget(center.index, max((witness.index for witness in witnesses), default=center.index))
        return Aligned(observed=center.rgb, witnesses=warped, error=error)

    def _moving(self, center: Guide, witnesses: Sequence[Guide]) -> npt.NDArray[np.float32]:
        """0 where the picture stands still against every witness, 1 elsewhere. [h, w]"""
        largest = np.zeros_like(center)
        for witness in witnesses:
            largest = np.maximum(largest, cv2.absdiff(center, witness))
        return (largest > self.options.still_tolerance).astype(np.float32)

    def _flows(self, center: Picture, witness: Picture) -> tuple[Flow, Flow]:
        """Flow from center to witness and from witness to center; each pair of frames is computed once."""
        low, high = (center, witness) if center.index < witness.index else (witness, center)
        key = (low.index, high.index)
        motion = self._motions.get(key)
        if motion is None:
            motion = _Motion(self._flow(low.guide, high.guide), self._flow(high.guide, low.guide))
            self._motions[key] = motion
        return (motion.forth, motion.back) if center is low else (motion.back, motion.forth)

    def _flow(self, start: Guide, end: Guide) -> Flow:
        """Where each pixel of `start` lies in `end`, as an offset. [h, w, 2] float32 in pixels"""
        if min(start.shape) < _SMALLEST_FLOW_SIDE:
            return np.zeros((*start.shape, 2), np.float32)
        flow: Flow = self._dis.calc(start, end, None)
        return flow

    def _forget(self, done: int, last: int) -> None:
        """Keep only pairs that a centre still to come within this window will ask for: bounded by radius * (radius + 1)."""
        self._motions = {pair: motion for pair, motion in self._motions.items() if done < pair[1] <= last}


def forward_backward_error(forth: Flow, back: Flow) -> npt.NDArray[np.float32]:
    """How far a pixel lands from where it began when it follows `forth` and then `back`. [h, w] in pixels"""
    returned = cv2.remap(back, forth + _grid(forth.shape[1], forth.shape[0]), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    missed = forth + returned
    return cv2.magnitude(np.ascontiguousarray(missed[..., 0]), np.ascontiguousarray(missed[..., 1]))


def warp(rgb: Tensor, flow: Flow, mismatch: npt.NDArray[np.float32]) -> tuple[Tensor, Tensor]:
    """Fetch `rgb` [3, H, W] along a flow given at any scale [h, w, 2], with its error [h, w], both in pixels of that scale.

    Returns the warped picture [3, H, W] and the error [H, W] in full-size pixels, +inf where the flow leaves the picture.
    """
    height, width = rgb.shape[1:]
    factor = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    if flow.shape[:2] != (height, width):
        flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR)
        mismatch = cv2.resize(mismatch, (width, height), interpolation=cv2.INTER_LINEAR)
    target = flow * factor + _grid(width, height)
    picture = np.ascontiguousarray(rgb.permute(1, 2, 0).numpy())  # [H, W, 3]: cv2 interleaves channels
    fetched = cv2.remap(picture, target, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    x, y = target[..., 0], target[..., 1]
    outside = (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)
    error = np.where(outside, np.float32(np.inf), mismatch * factor.max())
    return torch.from_numpy(fetched).permute(2, 0, 1), torch.from_numpy(error)


def _grid(width: int, height: int) -> Flow:
    """The position (x, y) of every pixel. [height, width, 2]"""
    grid = np.empty((height, width, 2), np.float32)
    grid[..., 0] = np.arange(width, dtype=np.float32)
    grid[..., 1] = np.arange(height, dtype=np.float32)[:, None]
    return grid
