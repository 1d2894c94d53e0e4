"""What a stream says of its pictures that PyAV does not show: where chroma lies, which field comes first.

The ffmpeg program prints both in its line of the stream; an encoder writes them when told by FFmpeg's own options.
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from vidrain.types import FieldOrder, VideoInfo
from vidrain.video.ffmpeg import stream_line

_SITES = ("left", "center", "topleft", "top", "bottomleft", "bottom")
_FIELDS: dict[str, FieldOrder] = {
    "top first": "top",
    "bottom first": "bottom",
    # FFmpeg's words for codes 9 and 14 of MP4 and Matroska, which mean woven fields, the earlier one named first
    "top coded first (swapped)": "top",
    "bottom coded first (swapped)": "bottom",
}
_WOVEN: dict[FieldOrder, str] = {"top": "tb", "bottom": "bt"}
_LEFT = "left"  # what H.264 and HEVC mean where nothing is said (H.264 section E.2.1)
_LEFT_BY_DEFAULT = ("libx264", "libx265")
_SITES_OF_AV1 = ("left", "topleft")  # AV1 section 6.4.2
_SITES_OF_MATROSKA = ("left", "topleft", "center", "top")  # elements ChromaSitingHorz and ChromaSitingVert
_INTERLACED_LINES = 4  # H.264 crops interlaced 4:2:0 in steps of so many lines


class Stated(NamedTuple):
    """Where 4:2:0 chroma lies, by FFmpeg's name, and which field is shown first; None where it is not said."""

    chroma_siting: str | None
    field_order: FieldOrder | None


def stated(path: Path, stream_index: int) -> Stated:
    """What the stream says; nothing where the ffmpeg program cannot tell."""
    # such as: Video: h264 (High), 1 reference frame (avc1 / 0x31637661), yuv420p(tv, bt709, top first, left), 64x48
    found = re.search(r", \w+\(((?:[^()]|\([^()]*\))*)\), \d+x\d+", stream_line(path, stream_index))
    words = found[1].split(", ") if found else []
    sites = [word for word in words if word in _SITES]
    orders = [_FIELDS[word] for word in words if word in _FIELDS]
    return Stated(sites[0] if sites else None, orders[0] if orders else None)


def kept(info: VideoInfo, encoder: str, container: str, pix_fmt: str) -> Stated:
    """What of it a file by `encoder` in `container` (FFmpeg's names) will say, where it has to be said at all."""
    is_420 = info.layout.family == "yuv420p" and pix_fmt.startswith("yuv420p")
    site = info.chroma_siting if is_420 and info.chroma_siting in _sites(encoder, container) else None
    order = info.field_order
    if encoder == "libx264" and info.height % _INTERLACED_LINES:
        order = None
    return Stated(site, order)


def _sites(encoder: str, container: str) -> Collection[str]:
    """Places of chroma that can be said, and mean something else than silence."""
    if encoder in _LEFT_BY_DEFAULT:
        return [site for site in _SITES if site != _LEFT]
    if container == "matroska":
        return _SITES_OF_MATROSKA
    return _SITES_OF_AV1 if encoder == "libsvtav1" else ()


def options_for(said: Stated, encoder: str) -> dict[str, str]:
    """Options by which an encoder writes it. x264 then codes fields, because its stream alone says which is first."""
    options = {"chroma_sample_location": said.chroma_siting} if said.chroma_siting else {}
    if said.field_order is not None:
        options["field_order"] = _WOVEN[said.field_order]
        if encoder == "libx264":
            # fields in more than one thread: x264 (core 165) gives other bytes with every run
            options["x264-params"] = f"{'tff' if said.field_order == 'top' else 'bff'}=1:threads=1"
    return options


def lost_site(info: VideoInfo, pix_fmt: str, said: Stated) -> str | None:
    """What is lost where a file of 4:2:0 cannot say where chroma lies, in a sentence."""
    if not pix_fmt.startswith("yuv420p") or info.chroma_siting in (None, _LEFT, said.chroma_siting):
        return None
    return f"where chroma lies ({info.chroma_siting}) cannot be said in this output: players will take it for left"
