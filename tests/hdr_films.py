"""Makes HDR films with FFmpeg's own program: PQ and HLG, HDR10+, Dolby Vision. Knows nothing of vidrain.

What no encoder here writes, HDR10+ and Dolby Vision data, is put as NAL units before each picture of an HEVC stream.
"""

from __future__ import annotations

import zlib
from pathlib import Path

from tests import ffmpeg_says

# Display P3 D65, 0.005 to 1000 cd/m2, as x265 and x264 take it.
MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
LIGHT = "1000,400"
PQ = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
HLG = "colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc"
STATIC = f"master-display={MASTERING}:max-cll={LIGHT}:hdr10=1:repeat-headers=1"
STATIC_OF_X264 = f"mastering-display={MASTERING}:cll={LIGHT}"
_PICTURES = range(22)  # NAL unit types of coded slices, Rec. ITU-T H.265 table 7-1
_SEI, _UNSPEC62 = 39, 62


def film(
    target: Path, params: str, *, codec: str = "libx265", pix_fmt: str = "yuv420p10le", more: tuple[str, ...] = ()
) -> Path:
    """Six moving frames of 128x96, encoded with `params` (x265-params or x264-params)."""
    key = "-x265-params" if codec == "libx265" else "-x264-params"
    quiet = "log-level=none:bframes=0:" if codec == "libx265" else ""
    source = ("-f", "lavfi", "-i", "testsrc2=s=128x96:r=25", "-frames:v", "6", "-pix_fmt", pix_fmt)
    tag = ("-tag:v", "hvc1") if codec == "libx265" and target.suffix == ".mp4" else ()
    ffmpeg_says.quietly(*source, "-c:v", codec, "-crf", "12", key, quiet + params, *tag, *more, target)
    return target


def with_nal_units(source: Path, target: Path, kind: int, payload: bytes) -> Path:
    """A copy of an HEVC film with a NAL unit of `kind` in front of each picture (SEI), or behind it (all others)."""
    bare, joined = target.with_suffix(".bare.hevc"), target.with_suffix(".joined.hevc")
    ffmpeg_says.quietly("-i", source, "-c", "copy", "-bsf:v", "hevc_mp4toannexb", bare)
    unit = bytes([kind << 1, 1]) + _escaped(payload)
    parts = []
    for nal in bare.read_bytes().replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]:
        is_picture = (nal[0] >> 1) & 63 in _PICTURES
        parts += [unit, nal] if is_picture and kind == _SEI else [nal, unit] if is_picture else [nal]
    joined.write_bytes(b"".join(b"\0\0\0\1" + part for part in parts))
    ffmpeg_says.quietly("-r", "25", "-i", joined, "-c", "copy", "-tag:v", "hvc1", target)
    bare.unlink()
    joined.unlink()
    return target


def with_hdr10_plus(source: Path, target: Path) -> Path:
    """HDR10+ of SMPTE ST 2094-40 in an SEI message of Rec. ITU-T T.35."""
    bits = _Bits()
    for value, width in ((0xB5, 8), (0x3C, 16), (1, 16), (4, 8), (1, 8)):  # USA, Samsung, its application 4
        bits.put(value, width)
    for value, width in ((1, 2), (400, 27), (0, 1)):  # one window, the display aimed at, no peaks of it
        bits.put(value, width)
    for value, width in ((10_000, 17), (10_000, 17), (10_000, 17), (2_000, 17), (1, 4), (99, 7), (9_000, 17), (0, 10)):
        bits.put(value, width)
    for value, width in ((0, 1), (0, 1), (0, 1)):  # no peaks of the master, no curve, no saturation
        bits.put(value, width)
    message = bits.closed()
    return with_nal_units(source, target, _SEI, bytes([4, len(message)]) + message + b"\x80")


def with_dolby_vision(source: Path, target: Path, *, profile: int) -> Path:
    """Dolby Vision data (ETSI TS 103 572) that changes nothing; profile 5 says full range, 8 limited."""
    bits = _Bits()
    bits.put(2, 6)  # rpu_type
    bits.put(18, 11)  # rpu_format
    bits.put(0 if profile == 5 else 1, 4)  # vdr_rpu_profile
    bits.put(0, 4)  # vdr_rpu_level
    bits.put(1, 1)  # vdr_seq_info_present_flag
    bits.put(0, 1)  # chroma_resampling_explicit_filter_flag
    bits.put(0, 2)  # coefficient_data_type: fixed point
    bits.exp(23)  # coefficient_log2_denom
    bits.put(1, 2)  # vdr_rpu_normalized_idc
    bits.put(profile == 5, 1)  # bl_video_full_range_flag
    for depth in (10, 10, 12):  # of base layer, enhancement layer and display
        bits.exp(depth - 8)
    for value, width in ((0, 1), (0, 3), (0, 1), (1, 1)):  # nothing is resampled, there is no residual
        bits.put(value, width)
    bits.put(0, 1)  # vdr_dm_metadata_present_flag
    bits.put(0, 1)  # use_prev_vdr_rpu_flag
    for value in (0, 0, 0):  # vdr_rpu_id, mapping_color_space, mapping_chroma_format_idc
        bits.exp(value)
    for _ in range(3):
        bits.exp(0)  # two pivots
        bits.put(0, 10)
        bits.put(1023, 10)
    bits.exp(0)  # num_x_partitions_minus1
    bits.exp(0)
    for _ in range(3):
        bits.exp(0)  # mapping_idc: a polynomial
        bits.exp(0)  # of order 1
        bits.put(0, 1)  # linear_interp_flag
        for whole in (0, 1):  # 0 + 1 x
            bits.signed_exp(whole)
            bits.put(0, 23)
    data = bits.closed()
    checksum = _crc32(data).to_bytes(4, "big")
    return with_nal_units(source, target, _UNSPEC62, bytes([0x19]) + data + checksum + b"\x80")


def _crc32(data: bytes) -> int:
    """CRC-32/MPEG-2: that of zlib with the bits the other way round, and not inverted."""
    reversed_bits = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
    return int(f"{zlib.crc32(reversed_bits) ^ 0xFFFFFFFF:032b}"[::-1], 2)


def _escaped(payload: bytes) -> bytes:
    """With the bytes that keep a payload from looking like a start code."""
    out = bytearray()
    for byte in payload:
        if byte <= 3 and out[-2:] == b"\0\0":
            out.append(3)
        out.append(byte)
    return bytes(out)


class _Bits:
    """Writes bits, most significant first."""

    def __init__(self) -> None:
        self._text = ""

    def put(self, value: int, width: int) -> None:
        self._text += f"{int(value):0{width}b}"

    def exp(self, value: int) -> None:
        """Exp-Golomb, H.265 section 9.2."""
        digits = f"{value + 1:b}"
        self._text += "0" * (len(digits) - 1) + digits

    def signed_exp(self, value: int) -> None:
        self.exp(2 * value - 1 if value > 0 else -2 * value)

    def closed(self) -> bytes:
        """Whole bytes, filled up with zeros."""
        text = self._text + "0" * (-len(self._text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")
