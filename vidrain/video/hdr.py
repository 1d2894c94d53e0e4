"""High dynamic range: what is said beside the pictures, carried into the new file, or named.

The signal itself needs no care here: rain is taken off the stored codes and the tags are copied, so nothing is
tone-mapped. Knows nothing of files or encoders but the names of their options.
"""

import struct
from collections.abc import Mapping
from fractions import Fraction

from vidrain.errors import InputError
from vidrain.types import ColorTags, StaticHdr, VideoInfo

PQ, HLG = 16, 18  # transfer characteristics, Rec. ITU-T H.273 table 3
_NAMES = {PQ: "PQ", HLG: "HLG"}
_UNSPECIFIED = 2
_IPT = 15  # matrix of SMPTE ST 2128: only with its Dolby Vision data does it become a picture
_RPU_OF_HEVC = b"\x19"
_DOLBY_VISION = {"DOVI_METADATA", "DOVI_RPU_BUFFER"}
_CHANGING = {
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DYNAMIC_HDR_VIVID": "HDR Vivid",
    "AMBIENT_VIEWING_ENVIRONMENT": "ambient viewing environment",
    **dict.fromkeys(_DOLBY_VISION, "Dolby Vision"),
}
_CHROMATICITY, _LUMINANCE = 50_000, 10_000  # steps in which HEVC and H.264 count (Rec. ITU-T H.265 section D.3.28)
# AV1 counts chromaticity in 1/65536 and luminance in 1/256 and 1/16384 (section 6.7.4): what may be off after rounding.
_TOLERANCES = (Fraction(1, _CHROMATICITY),) * 8 + (Fraction(1, _LUMINANCE), Fraction(1, 100))


def static_hdr(side_data: Mapping[str, bytes]) -> StaticHdr:
    """Static HDR data from the side data of a decoded frame, by FFmpeg's names of the kinds."""
    mastering, light = None, None
    if (data := side_data.get("MASTERING_DISPLAY_METADATA")) is not None:
        # AVMasteringDisplayMetadata: ten fractions, then whether the colours and the luminances are known
        *parts, has_primaries, has_luminance = struct.unpack("=22i", data)
        if has_primaries and has_luminance and all(parts[1::2]):
            mastering = tuple(Fraction(*pair) for pair in zip(parts[::2], parts[1::2], strict=True))
    if (data := side_data.get("CONTENT_LIGHT_LEVEL")) is not None:
        brightest, mean = struct.unpack("=2I", data)
        light = (brightest, mean) if brightest or mean else None  # both 0: not known (section D.3.35)
    return StaticHdr(mastering, light)


def is_half_a_picture(side_data: Mapping[str, bytes], color: ColorTags) -> bool:
    """Whether this is Dolby Vision without a layer that stands alone, as profile 5: it stores IPT, whatever is tagged.

    side_data: of a decoded frame. Without their data such pictures are shown green and violet.
    """
    if not _DOLBY_VISION.intersection(side_data):
        return color.matrix == _IPT
    rpu = side_data.get("DOVI_RPU_BUFFER", b"")
    # ETSI TS 103 572 section 5.1: a prefix of 8 bits, type 6, format 11, then the profile of the data in 4
    is_profile_0 = rpu[:1] == _RPU_OF_HEVC and int.from_bytes(rpu[1:4], "big") >> 3 & 15 == 0
    return is_profile_0 or color.matrix == _IPT or _UNSPECIFIED in (color.matrix, color.transfer)


def hdr_options(encoder: str, hdr: StaticHdr) -> dict[str, str] | None:
    """Options by which `encoder` writes `hdr` into the stream; None if it cannot."""
    if hdr == StaticHdr():
        return {}
    if encoder == "libx265":
        parts = [f"master-display={_in_steps(hdr.mastering)}"] if hdr.mastering else []
        parts += [f"max-cll={hdr.light[0]},{hdr.light[1]}"] if hdr.light else []
        return {"x265-params": ":".join([*parts, "hdr10=1", "repeat-headers=1"])}
    if encoder == "libx264":
        parts = [f"mastering-display={_in_steps(hdr.mastering)}"] if hdr.mastering else []
        parts += [f"cll={hdr.light[0]},{hdr.light[1]}"] if hdr.light else []
        return {"x264-params": ":".join(parts)}
    if encoder == "libsvtav1":
        parts = [f"mastering-display={_in_decimals(hdr.mastering)}"] if hdr.mastering else []
        parts += [f"content-light={hdr.light[0]},{hdr.light[1]}"] if hdr.light else []
        return {"svtav1-params": ":".join(parts)}
    return None


def _in_steps(mastering: tuple[Fraction, ...]) -> str:
    """As x264 and x265 take it: whole steps, green first."""
    x_y, (darkest, brightest) = [round(part * _CHROMATICITY) for part in mastering[:8]], mastering[8:]
    red, green, blue, white = (f"({x},{y})" for x, y in zip(x_y[::2], x_y[1::2], strict=True))
    return f"G{green}B{blue}R{red}WP{white}L({round(brightest * _LUMINANCE)},{round(darkest * _LUMINANCE)})"


def _in_decimals(mastering: tuple[Fraction, ...]) -> str:
    """As SVT-AV1 takes it."""
    values = [f"{float(part):.7f}" for part in mastering]
    red, green, blue, white = (f"({x},{y})" for x, y in zip(values[:8:2], values[1:8:2], strict=True))
    return f"G{green}B{blue}R{red}WP{white}L({values[9]},{values[8]})"


def is_same(found: StaticHdr, wanted: StaticHdr) -> bool:
    """Whether all that `wanted` states stands in `found`, but for the rounding of a codec."""
    if wanted.light not in (None, found.light):
        return False
    if wanted.mastering is None:
        return True
    if found.mastering is None:
        return False
    triples = zip(found.mastering, wanted.mastering, _TOLERANCES, strict=True)
    return all(abs(got - want) <= allowed for got, want, allowed in triples)


def remarks(info: VideoInfo, written: StaticHdr) -> list[str]:
    """What a user should know of cleaning HDR video, in sentences; `written`: what the new file will state."""
    found = []
    if (name := _NAMES.get(info.color.transfer)) is not None:
        found.append(
            f"the video is HDR ({name}): rain is looked for by measures made for SDR and taken off the stored signal; "
            "nothing is tone-mapped, the tags stay"
        )
    lost = {_CHANGING[kind] for kind in info.side_data if kind in _CHANGING}
    if written.mastering is None and "MASTERING_DISPLAY_METADATA" in info.side_data:  # perhaps stated in part
        lost.add("mastering display")
    if written.light is None and info.hdr.light is not None:
        lost.add("content light level")
    if lost:
        found.append(f"HDR data beside the picture is not carried: {', '.join(sorted(lost))}; keep the source")
    return found


def refuse_unwatchable(info: VideoInfo) -> None:
    """InputError for pictures that mean nothing without the data that is lost on the way."""
    if info.is_half_a_picture:
        raise InputError(
            f"{info.path}: is Dolby Vision whose colours mean nothing without its own data (as profile 5), and that "
            "data cannot be carried; allowed: HDR10, HLG, Dolby Vision above one of them; convert it to HDR10 first"
        )
