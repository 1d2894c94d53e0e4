"""Puts an inspection into words: what `inspect` prints, for people and as JSON.

Both come from the same dictionary, so they cannot disagree. Finds nothing out by itself.
"""

from collections.abc import Iterator
from fractions import Fraction
from math import atan2, degrees
from typing import Any

import numpy as np

from vidrain.inspection import Inspection, Rain
from vidrain.provenance import TAG
from vidrain.types import FrameIndex, VideoInfo
from vidrain.video.access import Access
from vidrain.video.index import Source

# Rec. ITU-T H.273, tables 2 to 4, by the names that FFmpeg has for them.
_PRIMARIES = {
    1: "bt709",
    2: None,
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    11: "smpte431",
    12: "smpte432",
}
_TRANSFERS = {
    1: "bt709",
    2: None,
    4: "gamma22",
    5: "gamma28",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    18: "arib-std-b67",
}
_MATRICES = {
    0: "gbr",
    1: "bt709",
    2: None,
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
}
_RANGES = {1: "limited", 2: "full"}
_HDR = {16: "PQ", 18: "HLG"}


def file_facts(found: Inspection) -> dict[str, Any]:
    """All that is known of one file, ready for JSON. Times in seconds; None is: not stated."""
    source, job = found.source, found.job
    structure = source.structure
    plan: dict[str, Any] = {"refused": found.refusal}
    if job is not None:
        plan = {
            "output": str(job.clean.target),
            "encoder": job.clean.plan.encoder,
            "pix_fmt": job.clean.plan.pix_fmt,
            "notices": [{"code": notice.code, "message": notice.message} for notice in job.notices],
        }
    return {
        "v": 1,
        "source": str(source.info.path),
        "size": found.size,
        "container": found.contents.format,
        "duration_stated": _seconds(found.contents.duration),
        "chapters": found.contents.chapters,
        "tags": found.contents.tags,
        "made_by": made_by_in(found.contents.tags),
        "video": _video_facts(source.info),
        "times": _time_facts(source),
        "streams": [
            {
                "index": stream.index,
                "kind": stream.kind,
                "codec": stream.codec,
                "track": stream.track,
                "size": None if stream.size is None else list(stream.size),
                "language": stream.language,
                "title": stream.title,
                "clean": stream.fate,
            }
            for stream in found.contents.streams
        ],
        "whole": found.is_whole,
        "damage": [
            {"what": damage.what, "bytes": [damage.start, damage.end], "kind": damage.kind}
            for damage in structure.damages
        ],
        "missing": [list(stretch) for stretch in found.missing.picture],
        "missing_besides": list(found.missing.other),
        "remarks": list(structure.notes),
        "gps": None if structure.gps is None else {"kind": structure.gps.kind, "points": structure.gps.points},
        "access": None if found.access is None else _access_facts(found.access),
        "rain": None if found.rain is None else _rain_facts(found.rain),
        "clean": plan,
    }


def _access_facts(access: Access) -> dict[str, Any]:
    return {"frames": access.frames, "wrong": list(access.wrong), "decord": access.decord}


def _rain_facts(rain: Rain) -> dict[str, Any]:
    places = [
        {
            "frame": place.frame,
            "seconds": _seconds(place.seconds),
            "dry": place.is_dry,
            "amount": round(place.amount, 6),
        }
        for place in rain.places
    ]
    return {"places": places, "broken_off": rain.broken_off}


def made_by_in(tags: dict[str, str]) -> str | None:
    """What the file says of the job that made it; None for a file that was not made by vidrain."""
    return next((value for key, value in tags.items() if key.lower() == TAG), None)  # Matroska writes it in capitals


def _video_facts(info: VideoInfo) -> dict[str, Any]:
    color, matrix = info.color, info.display_matrix
    return {
        "stream": info.stream_index,
        "codec": info.codec,
        "width": info.width,
        "height": info.height,
        "pix_fmt": info.pix_fmt,
        "depth": info.layout.depth,
        "range": _RANGES.get(color.range),
        "matrix": _MATRICES.get(color.matrix, str(color.matrix)),
        "primaries": _PRIMARIES.get(color.primaries, str(color.primaries)),
        "transfer": _TRANSFERS.get(color.transfer, str(color.transfer)),
        "hdr": _HDR.get(color.transfer),
        "rotation": None if matrix is None else _rotation(matrix),
        "mirrored": matrix is not None and matrix[0] * matrix[4] < matrix[1] * matrix[3],
        "sample_aspect_ratio": str(info.sample_aspect_ratio or 1),
        "interlaced": info.interlaced,
        "field_order": info.field_order,
        "chroma_siting": info.chroma_siting,
        "mastering": None if info.hdr.mastering is None else [float(part) for part in info.hdr.mastering],
        "light_level": info.hdr.light,
        "side_data": list(info.side_data),
    }


def _rotation(matrix: tuple[int, ...]) -> int:
    """Degrees counter-clockwise by which players turn the picture, as FFmpeg counts them."""
    return round(-degrees(atan2(matrix[1], matrix[0]))) or 0


def _time_facts(source: Source) -> dict[str, Any]:
    index, base = source.index, source.info.time_base
    steps = np.diff(index.pts)
    shortest, longest = (int(steps.min()), int(steps.max())) if len(steps) else (0, 0)
    return {
        "time_base": str(base),
        "start": _seconds(int(index.pts[0]) * base),
        "end": _seconds(source.end),
        "frames": index.count,
        "hidden": index.hidden,
        "keyframes": len(index.keys),
        "rate": _seconds(len(steps) / (int(index.pts[-1] - index.pts[0]) * base)) if len(steps) else None,
        "variable": longest - shortest > 1,  # a tick is what rounding to the time base makes
        "step_min": _seconds(shortest * base),
        "step_max": _seconds(longest * base),
    }


def _seconds(value: Fraction | float | None) -> float | None:
    return None if value is None else round(float(value), 9)


def frame_facts(index: FrameIndex, time_base: Fraction) -> Iterator[dict[str, Any]]:
    """Every shown frame: index, time in ticks and in seconds, whether one can seek to it."""
    keys = np.isin(index.pts, index.keys)
    for number, (pts, key) in enumerate(zip(index.pts.tolist(), keys.tolist(), strict=True)):
        yield {"index": number, "pts": pts, "seconds": _seconds(pts * time_base), "key": key}


def frame_line(facts: dict[str, Any]) -> str:
    """One frame as a line of columns."""
    return f"{facts['index']:>8} {facts['pts']:>14} {facts['seconds']:>14.6f} {'key' if facts['key'] else '-'}"


def file_lines(facts: dict[str, Any]) -> Iterator[str]:
    """`file_facts` for people, a subject a line; what cannot be printed is shown as a question mark."""
    for line in _lines(facts):
        yield "".join(letter if letter.isprintable() else "?" for letter in line)


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    video, times = facts["video"], facts["times"]
    yield f"{facts['source']}: {facts['container']}, {facts['size']:,} bytes, {facts['chapters']} chapters"
    if facts["made_by"] is not None:
        yield f"  made by   vidrain {facts['made_by']}"
    yield f"  picture   {_picture(video)}"
    yield f"  colour    {_color(video)}"
    kind = "variable" if times["variable"] else "constant"
    steps = f"{times['step_min'] * 1000:.3f} to {times['step_max'] * 1000:.3f} ms"
    yield (
        f"  times     {times['frames']} frames, {times['keyframes']} key, {times['hidden']} hidden; {kind} rate "
        f"({steps}); from {times['start']:.6f} to {times['end']:.6f} s, time base {times['time_base']}"
    )
    several = sum(stream["track"] is not None for stream in facts["streams"]) > 1
    for stream in facts["streams"]:
        size = "x".join(map(str, stream["size"] or ()))
        video = f"(--video {stream['track']})" if several and stream["track"] is not None else ""
        parts = (stream["kind"], stream["codec"], size, stream["language"], stream["title"], video)
        what = " ".join(filter(None, parts))
        yield f"  stream {stream['index']}  {what}: {stream['clean'] or 'not known'}"
    if facts["gps"] is not None:
        points = "positions" if facts["gps"]["points"] is None else f"{facts['gps']['points']} positions"
        yield f"  gps       {facts['gps']['kind']}, {points}, outside of all streams: left out"
    yield from _damage_lines(facts)
    if (access := facts["access"]) is not None:
        wrong = f"{len(access['wrong'])} of them wrong" if access["wrong"] else "all as in order"
        yield f"  access    {access['frames']} random frames by PyAV: {wrong}"
        yield f"            decord: {access['decord'] or 'gives the same frames'}"
    yield from _rain_lines(facts["rain"])
    yield from _plan_lines(facts["clean"])


def _picture(video: dict[str, Any]) -> str:
    parts = [f"{video['codec']} {video['width']}x{video['height']} {video['pix_fmt']}, {video['depth']} bit"]
    parts += [f"turned by {video['rotation']} degrees"] if video["rotation"] else []
    parts += ["mirrored"] if video["mirrored"] else []
    parts += [f"samples {video['sample_aspect_ratio']}"] if video["sample_aspect_ratio"] != "1" else []
    parts += [f"interlaced ({video['field_order'] or 'unknown'} field first)"] if video["interlaced"] else []
    return ", ".join(parts)


def _color(video: dict[str, Any]) -> str:
    parts = [f"{what} {video[what] or 'not tagged'}" for what in ("range", "matrix", "primaries", "transfer")]
    parts += [f"chroma {video['chroma_siting']}"] if video["chroma_siting"] else []
    parts += [f"HDR ({video['hdr']})"] if video["hdr"] else []
    return ", ".join(parts)


def _damage_lines(facts: dict[str, Any]) -> Iterator[str]:
    yield from (f"  damage    {damage['what']}" for damage in facts["damage"])
    if facts["missing"]:
        yield f"  missing   {', '.join(f'{start:.3f}-{end:.3f} s' for start, end in facts['missing'])}"
    yield from (f"  missing   {sentence}" for sentence in facts["missing_besides"])
    yield from (f"  note      {remark}" for remark in facts["remarks"])
    if facts["whole"]:
        yield "  damage    none found"


def _rain_lines(rain: dict[str, Any] | None) -> Iterator[str]:
    if rain is None:
        return
    places = rain["places"]
    wet = [place["amount"] for place in places if not place["dry"]]
    most = f", which takes up to {100 * max(wet):.2f} % of the range of luma" if wet else ""
    yield f"  rain      of {len(places)} frames looked at {len(wet)} would be cleaned{most}"
    if dry := [f"{place['seconds']:.1f}" for place in places if place["dry"]]:
        yield f"            no rain was seen {', '.join(dry)} s from the first frame: left as they are (meter.dry)"
    if rain["broken_off"] is not None:
        yield f"            broken off: {rain['broken_off']}"


def _plan_lines(plan: dict[str, Any]) -> Iterator[str]:
    if "refused" in plan:
        yield f"  clean     refuses: {plan['refused']}"
        return
    yield f"  clean     writes {plan['output']} with {plan['encoder']}, {plan['pix_fmt']}"
    yield from (f"            note: {notice['message']}" for notice in plan["notices"] if notice["code"] != "damage")
