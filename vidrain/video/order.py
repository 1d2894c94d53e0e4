"""Whether frames are shown in an order that decoding allows: arithmetic on times, in ticks, that knows no file.

A frame is decoded before it is shown, codecs move none farther than `FARTHEST` frames, and encoders have habits. What a
cut, a join or a held picture makes of them is allowed; what one wrong number makes of them is not.
"""

import numpy as np

from vidrain.video.boxes import Rows

FARTHEST = 17  # frames; H.264 and HEVC keep 16
_FEWEST = 7  # frames that show a habit of an encoder,
_SETTLED = 0.5  # and what part of all
_ROUNDED = 2  # ticks


def leaps(shown: Rows, longest: int) -> bool:
    """Whether some frames are shown farther from all others than any codec moves one; longest: step of decoding."""
    return bool(np.diff(np.sort(shown)).max(initial=0) > FARTHEST * max(longest, 1))


def without_held(shown: Rows, step: int) -> Rows:
    """`shown` (as decoded) without the last few frames if they come late: of a picture that is held until then.

    Decoding times run ahead of what is shown, so that no step of decoding is as long as the last picture is held.
    """
    order = np.sort(shown)
    gaps = np.diff(order[-FARTHEST:])
    late = np.flatnonzero(gaps > max(step, 1) * 3 / 2)
    return shown[shown <= order[-len(gaps) - 1 :][late[-1]]] if len(late) else shown


def follow_evenly(shown: Rows, step: int) -> bool:
    """Whether frames follow each other by `step`, but for those that a cut may have taken; shown: as decoded.

    A cut takes what is decoded last, and no frame is decoded after it is shown: the k-th frame that is missing came
    k-th behind the last sample, at the latest with the delay that the samples show or the first one states.
    """
    places = shown - shown.min()
    if len(shown) < 3:
        return True
    if step <= 0 or np.any(places % step) or len(np.unique(places)) < len(places):
        return False
    places //= step
    missing = np.setdiff1d(np.arange(min(int(places.max()), len(places) + FARTHEST) + 1), places)
    delay = max(int((np.arange(len(places)) - places).max()), int(shown.min()) // step)
    due = len(places) + np.arange(len(missing))
    return bool(np.all(missing + delay >= due)) and int(np.diff(np.sort(places)).max()) <= FARTHEST


def strays_among(decoded: Rows, shown: Rows, keys: Rows, until: float) -> int:
    """Frames that one turned bit has moved away from where a frame is due, or any number behind `until`.

    decoded, shown: times of each, in the order of decoding; keys: numbers of the key frames; until: time at which the
    edit list ends.

    Encoders take decoding times from the frames that were shown a few before, so that a frame whose time was moved
    leaves a decoding time alone. The first ones of each clip that was joined, from a key frame on, stand alone as well,
    and phones move one now and then, though not by a power of two, nor behind what the edit list shows.
    """
    usual = np.isin(decoded, shown)
    if usual.sum() < max(_FEWEST, _SETTLED * len(decoded)):
        return 0
    order = np.flatnonzero(usual)
    delay = int(np.median(order - np.searchsorted(np.sort(shown), decoded[order])))
    for key in keys[(keys >= 0) & (keys < len(usual))].tolist():
        usual[key : key + delay] = True
    if not np.all(usual) and (hidden := int((shown >= until).sum())):
        return hidden
    moved = np.abs(np.setdiff1d(shown, decoded)[:, None] - decoded[~usual])
    return int(np.any((moved & (moved - 1) == 0) & (moved > _ROUNDED), axis=0).sum())
