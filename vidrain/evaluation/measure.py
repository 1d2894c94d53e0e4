"""One clip, one method: figures of every scored frame, figures of the clip, and its worst frame as pictures.

Frames are streamed; held are two frames, those of the still-camera window, and small pictures of the worst frame.
"""

import math
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np

from vidrain.errors import InputError
from vidrain.evaluation.clips import Clip
from vidrain.evaluation.crops import Crops, crops_of
from vidrain.evaluation.methods import Backgrounds
from vidrain.evaluation.motion import Ways, motion_error, step_between, warp_error, ways_between
from vidrain.evaluation.physics import physics_of
from vidrain.evaluation.scores import Levels, Picture, levels_of, likeness, picture_of
from vidrain.evaluation.sets import Box, Found, Kind
from vidrain.evaluation.still import StillCamera, correlation
from vidrain.flow import Guide
from vidrain.missing import none_decoded
from vidrain.tables import Columns
from vidrain.types import Frame, Planes, VideoInfo

NAN = math.nan

# Of a frame; NaN where a set of its kind has no such figure. dry: 1 where O is the truth, bit for bit. `step_*` tell
# of the step to the next frame.
FRAME: Columns = {
    "psnr_y": "float",
    "ssim_y": "float",
    "psnr_rgb": "float",
    "ssim_rgb": "float",
    "changed": "float",
    "dry": "float",
    "overlay": "float",
    "step_error": "float",
    "step_error_reference": "float",
    "tof": "float",
    "f_phys": "float",
    "correlation": "float",
}
_MEANS = ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "changed", "tof", "f_phys", "correlation")

Row = dict[str, float]


@dataclass
class Measured:
    """What came out. frames: index -> figures of FRAME; clip: figures; worst: index and pictures, None without any."""

    frames: dict[int, Row] = field(default_factory=dict)
    clip: Row = field(default_factory=dict)
    worst: tuple[int, Crops] | None = None


@dataclass(frozen=True)
class Moment:
    """One frame as pictures [H, W, 3], and their luma. truth: None where there is none."""

    index: int
    observed: Picture
    background: Picture
    truth: Picture | None
    levels: tuple[Levels, Levels]  # of O and of B

    @property
    def reference(self) -> Picture:
        """What B is compared with: the truth, or O where there is none."""
        return self.observed if self.truth is None else self.truth


@dataclass(frozen=True)
class Wanted:
    """Indices that are computed: the scored ones, and where steps are measured those after them as well."""

    scored: range
    has_steps: bool

    def __contains__(self, index: object) -> bool:
        return index in self.scored or (self.has_steps and isinstance(index, int) and index - 1 in self.scored)

    def count(self, length: int) -> int:
        """How many of `length` frames are."""
        return sum(index in self for index in range(length))


def wanted_of(found: Found) -> Wanted:
    """What of a clip is computed."""
    return Wanted(found.scored, found.has_steps)


def measure(
    found: Found, sources: tuple[Clip, Clip | None], cleaned: Backgrounds, tick: Callable[[], None]
) -> Measured:
    """Measure one clip; `tick` is called after every computed frame.

    sources: what is observed, and the truth. Raises InputError where frames are missing or pictures do not fit.
    """
    result, wanted = Measured(), wanted_of(found)
    still = StillCamera() if found.is_still else None
    before: Moment | None = None
    for moment, frame, planes in _moments(found, sources, cleaned, wanted, still):
        follows = before is not None and before.index + 1 == moment.index and before.index in result.frames
        if before is not None and follows and found.has_steps:
            result.frames[before.index] |= step_figures(before, moment)
        if before is not None and before.index in result.frames:
            _keep_worst(result, before, found.kind)
        if moment.index in wanted.scored:
            row = dict.fromkeys(FRAME, NAN) | frame_figures(moment, found.kind)
            stored, infos = (frame.planes, planes), (sources[0].info, cleaned.info)
            row["overlay"] = largest_change(found.boxes, stored, infos, moment)
            result.frames[moment.index] = row
        before = moment
        tick()
    if before is None:
        raise none_decoded(f"{found.path}: none of its frames")
    if before.index in result.frames:
        _keep_worst(result, before, found.kind)
    result.clip = clip_figures(result.frames) | still_figures(still)
    return result


def _moments(
    found: Found,
    sources: tuple[Clip, Clip | None],
    cleaned: Backgrounds,
    wanted: Container[int],
    still: StillCamera | None,
) -> Iterator[tuple[Moment, Frame, Planes]]:
    """Wanted frames with all that belongs to them; `still` sees every frame of O."""
    source, truth = sources
    truths = iter(()) if truth is None else truth.chosen(wanted)
    for frame in _consecutive(found, source):
        is_wanted = frame.index in wanted
        if not is_wanted and still is None:
            continue
        observed = picture_of(frame.planes, source.info)
        levels = levels_of(observed)
        if not is_wanted:
            _look(still, frame.index, found, levels, None)
            continue
        index, planes = next(cleaned.frames, (-1, ()))
        other = None if truth is None else next(truths, None)
        if index != frame.index or (truth is not None and (other is None or other.index != frame.index)):
            raise InputError(f"{found.path}: frame {frame.index} has no counterpart; a file of the pair lost frames")
        pictures = [observed, picture_of(planes, cleaned.info)]
        if truth is not None and other is not None:
            pictures.append(picture_of(other.planes, truth.info))
        if len({picture.shape for picture in pictures}) > 1:
            sizes = " and ".join(f"{picture.shape[1]}x{picture.shape[0]}" for picture in pictures)
            raise InputError(f"{found.path}: pictures of {sizes}; they must be of one size")
        background = levels_of(pictures[1])
        _look(still, frame.index, found, levels, background if index in found.scored else None)
        target = pictures[2] if len(pictures) > 2 else None
        yield Moment(index, observed, pictures[1], target, (levels, background)), frame, planes


def _consecutive(found: Found, source: Clip) -> Iterator[Frame]:
    """All frames that count, and one behind them for the last step; InputError where one does not decode."""
    frames = source.frames()
    for index in range(min(source.length, (found.frames or source.length) + 1)):
        frame = next(frames, None)
        if frame is None or frame.index != index:
            raise InputError(f"{found.path}: frame {index} does not decode; measure on clips that are whole")
        yield frame


def _look(still: StillCamera | None, index: int, found: Found, observed: Levels, background: Levels | None) -> None:
    """Show a frame to the measure of still cameras; one behind the last that counts is context of a step alone."""
    if still is not None and (found.frames is None or index < found.frames):
        still.look(observed, background)


def frame_figures(moment: Moment, kind: Kind) -> Row:
    """Figures that need one frame alone."""
    changed = float((moment.observed != moment.background).any(-1).mean())
    if kind == "real":
        return {"changed": changed}
    found = likeness(moment.reference, moment.background)._asdict() | {"changed": changed}
    return found if kind == "clean" else found | {"dry": float(np.array_equal(moment.observed, moment.reference))}


def step_figures(now: Moment, later: Moment) -> Row:
    """Figures of the step from one frame to the next.

    Motion is never measured on rain: it is that of the truth, or where there is none that of B. The reference of the
    error is the truth, or O where there is none; that of the motion likewise.
    """
    has_truth = now.truth is not None and later.truth is not None
    moved = ways_between(_guide(now.levels[1]), _guide(later.levels[1]))
    reference = [levels_of(moment.reference) for moment in (now, later)]
    reference_ways = ways_between(*map(_guide, reference))
    ways = reference_ways if has_truth else moved
    rain = [moment.levels[0] - moment.levels[1] for moment in (now, later)]
    steps = [step_between(now.levels[layer], later.levels[layer], ways) for layer in (0, 1)]
    return {
        "step_error": _step_error(now.background, later.background, ways),
        "step_error_reference": _step_error(now.reference, later.reference, ways),
        "tof": motion_error(reference_ways.forth, moved.forth),
        "f_phys": physics_of(*rain, *steps).score,
        "correlation": correlation(*rain),
    }


def _step_error(now: Picture, later: Picture, ways: Ways) -> float:
    unit = np.float32(1 / 255)
    return warp_error(now * unit, later * unit, ways)


def _guide(levels: Levels) -> Guide:
    return np.rint(levels).astype(np.uint8)


def largest_change(
    boxes: tuple[Box, ...], planes: tuple[Planes, Planes], infos: tuple[VideoInfo, VideoInfo], moment: Moment
) -> float:
    """Largest |O - B| inside boxes; NaN without any.

    In stored codes, every sample that lies in a box in part counting, where both are stored alike and upright; else in
    codes of 8-bit RGB.
    """
    if not boxes:
        return NAN
    alike = infos[0].layout == infos[1].layout and infos[0].display_matrix is None and infos[1].display_matrix is None
    pairs = list(zip(*planes, strict=True)) if alike else [(moment.observed, moment.background)]
    height, width = moment.levels[0].shape
    most = 0
    for own, other in pairs:
        rows, columns = -(-height // own.shape[0]), -(-width // own.shape[1])  # pixels of a sample
        for box in boxes:
            place = (
                slice(box.top // rows, -(-(box.top + box.height) // rows)),
                slice(box.left // columns, -(-(box.left + box.width) // columns)),
            )
            if not own[place].size:
                raise InputError(f"overlay {' '.join(map(str, box))}: lies outside of the picture, {width}x{height}")
            most = max(most, int(np.abs(own[place].astype(np.int32) - other[place]).max()))
    return float(most)


def clip_figures(frames: Mapping[int, Row]) -> Row:
    """Means over the frames of a clip, its lowest and largest, and the ratio of its warping errors."""
    found = {name: _mean([row[name] for row in frames.values()]) for name in _MEANS}
    found["lowest_psnr_y"] = min((row["psnr_y"] for row in frames.values()), default=NAN)
    found["changed_frames"] = _mean([float(row["changed"] > 0) for row in frames.values()])
    dry = [row for row in frames.values() if row["dry"] == 1]
    found["dry_psnr_y"] = _mean([row["psnr_y"] for row in dry])
    found["wet_psnr_y"] = _mean([row["psnr_y"] for row in frames.values() if row["dry"] == 0]) if dry else NAN
    found["dry_changed"] = _mean([float(row["changed"] > 0) for row in dry])
    overlays = [row["overlay"] for row in frames.values() if not math.isnan(row["overlay"])]
    found["overlay"] = max(overlays, default=NAN)
    steps = [row for row in frames.values() if not math.isnan(row["step_error"] + row["step_error_reference"])]
    whole = math.fsum(row["step_error_reference"] for row in steps)
    found["warp_ratio"] = math.fsum(row["step_error"] for row in steps) / whole if whole > 0 else NAN
    return found | {"frames": len(frames)}


def still_figures(still: StillCamera | None) -> Row:
    """Figures of a still camera; NaN of another one."""
    if still is None:
        return dict.fromkeys(("excess_before", "excess", "excess_gone", "flicker"), NAN)
    seen = still.finish()
    return {
        "excess_before": seen.before,
        "excess": seen.after,
        "excess_gone": seen.gone if seen.before else NAN,
        "flicker": seen.flicker,
    }


def _mean(values: list[float]) -> float:
    """Over those that are numbers."""
    known = [value for value in values if not math.isnan(value)]
    return fmean(known) if known else NAN


def _keep_worst(result: Measured, moment: Moment, kind: Kind) -> None:
    """Keep pictures of a frame if none so far was worse."""
    badness = result.frames[moment.index]["f_phys" if kind == "real" else "psnr_y"]
    least = None if result.worst is None else result.frames[result.worst[0]]["f_phys" if kind == "real" else "psnr_y"]
    if least is None or badness < least or math.isnan(least):
        result.worst = moment.index, crops_of(moment.observed, moment.background, moment.truth)
