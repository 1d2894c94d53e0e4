"""Whether the clocks of an MP4 fit its edit lists: with a wrong one, tracks look trimmed to almost nothing.

The length of an edit counts in ticks of the movie (mvhd), what it shows in ticks of the track (mdhd). A clock is called
wrong only if another, which stands in the file or is one turned bit away, lets an edit end with its media to the tick:
an editor's trim does not.
"""

from collections.abc import Iterator
from typing import BinaryIO

from vidrain.types import Damage
from vidrain.video.boxes import child, read_at
from vidrain.video.sample_tables import Track

_USUAL = (600, 1000, 90_000)  # time scales of movies: QuickTime, most others, Android
_BITS = 32
_ABOUT = 0.15  # of a track: by so much are edit lists of uneven frames off, and below it a scale that fits is chance


def wrong_clocks(file: BinaryIO, size: int, tracks: list[Track]) -> Iterator[Damage]:
    """A clock of the movie, or of one track, with which an edit hides media, while with another all of it is shown."""
    shown = [track for track in tracks if track.kind != "other" and track.duration and _edit_s(track, 1)]
    if not shown or not (movie := shown[0].movie_scale):
        return
    off = [track for track in shown if _off(track, movie, track.timescale) > _ABOUT]
    if len(off) == len(shown):
        usual = {*_USUAL, *(track.timescale for track in shown)}
        for scale in set() if movie in usual else _turned(movie) | usual:  # 60 % of 1000 are 600, by chance
            fits = [_is_exact(track, scale, track.timescale) for track in shown]
            if any(fits) and all(_off(track, scale, track.timescale) <= _ABOUT for track in shown):
                yield Damage.anywhere(
                    f"the head of the movie (mvhd) states {movie} ticks a second, its edits fit {scale}"
                )
                break
        return
    for track in shown:
        yield from _wrong_track(file, size, track, is_off=track in off)


def _wrong_track(file: BinaryIO, size: int, track: Track, *, is_off: bool) -> Iterator[Damage]:
    """One track beside others that are shown whole."""
    if _is_exact(track, track.movie_scale, track.timescale):
        return
    rate = _sampling_rate(file, size, track)
    for scale in ({rate} if rate else set()) | (_turned(track.timescale) if is_off else set()):
        if _is_exact(track, track.movie_scale, scale):
            stated = f"its head (mdhd) states {track.timescale} ticks a second"
            yield Damage.anywhere(f"{stated}, the edit list of its {track.kind} fits {scale}")
            return


def _turned(scale: int) -> set[int]:
    return {scale ^ 1 << bit for bit in range(_BITS)} - {0}


def _edit_s(track: Track, movie_scale: int) -> float:
    """Seconds that the only edit with media lasts; 0 where there are none or several."""
    lengths = [length for length, time in track.edits if time >= 0]
    return lengths[0] / movie_scale if len(lengths) == 1 else 0.0


def _off(track: Track, movie_scale: int, timescale: int) -> float:
    """By what part of its media the edit is shorter or longer."""
    return abs(_edit_s(track, movie_scale) * timescale / track.duration - 1)


def _is_exact(track: Track, movie_scale: int, timescale: int) -> bool:
    """Whether the edit, to the tick, is as long as the media, or as what is left of it from where the edit begins."""
    seconds, tick = _edit_s(track, movie_scale), 1 / movie_scale + 1 / timescale
    wholes = (track.duration, track.duration - track.shown_from)
    return any(abs(seconds - whole / timescale) <= tick for whole in wholes)


def _sampling_rate(file: BinaryIO, size: int, track: Track) -> int:
    """Of sound, in Hz, by the first description of its samples; 0 where there is none."""
    stsd = child(file, track.stbl, b"stsd", size=size) if track.kind == "audio" else None
    return 0 if stsd is None else int.from_bytes(read_at(file, stsd.body + 40, 2), "big")
