"""Puts a verification into words: what `verify` prints, for people and as JSON, and what to try next.

Both come from the same dictionary, so they cannot disagree. Finds nothing out by itself.
"""

import math
from collections.abc import Iterator
from typing import Any

from vidrain.errors import OK, PARTIAL
from vidrain.verification import Verification

_AGAIN = "clean IN again"
_COPY = "copy OUT once more with"
_TRY = {
    "frames": f"give --start, --end, --cfr and --video as clean got them, or {_AGAIN}",
    "times": f"give --cfr, --video and, after --start, --keep-pts as clean got them, or {_AGAIN}",
    "duration": f"{_AGAIN}; a program that copied OUT may have cut its end",
    "size": f"{_AGAIN}, or scale OUT back",
    "padding": f"{_AGAIN}, with --pad",
    "pixel format": f"{_AGAIN} without --pix-fmt",
    "rotation": f"{_COPY} ffmpeg -display_rotation",
    "sample aspect ratio": f"{_COPY} ffmpeg -aspect",
    "field order": f"{_AGAIN}",
    "lines": f"{_AGAIN}",
    "line text": f"{_AGAIN}",
    "line times": f"{_AGAIN}",
    "codec": f"{_COPY} that stream of IN: ffmpeg -map, -c copy",
    "stream": f"{_COPY} that stream of IN: ffmpeg -map, -c copy",
    "packets": f"{_COPY} that stream of IN: ffmpeg -map, -c copy",
    "bytes": f"{_COPY} that stream of IN: ffmpeg -map, -c copy",
    "packet times": f"{_COPY} that stream of IN: ffmpeg -copyts, -map, -c copy",
    "language": f"{_COPY} ffmpeg -metadata:s:INDEX language=",
    "disposition": f"{_COPY} ffmpeg -disposition:INDEX",
    "chapters": f"{_COPY} ffmpeg -map_chapters from IN",
    "chapter title": f"{_COPY} ffmpeg -map_chapters from IN",
    "chapter times": f"{_COPY} ffmpeg -map_chapters from IN",
    "damage": "copy OUT again from where it came, or clean IN again",
    "decoding": "copy OUT again from where it came, or clean IN again",
    "picture order": f"{_AGAIN}; if only a part was cleaned, give its --start and --end",
    "picture": f"{_AGAIN}; if only a part was cleaned, give its --start and --end",
}
_TRY_OTHERWISE = {"colour": f"{_AGAIN}, or set the tag with ffmpeg -bsf:v", "tag": f"{_COPY} ffmpeg -metadata"}


def verification_facts(found: Verification) -> dict[str, Any]:
    """All that was found, ready for JSON. Times in seconds."""
    return {
        "v": 1,
        "output": str(found.output),
        "source": str(found.source),
        "full": found.full,
        "exit_code": found.exit_code,
        "same": found.exit_code in (OK, PARTIAL),
        "frames_in": found.frames_in,
        "frames_out": found.frames_out,
        "largest_time_error": float(found.largest_time_error),
        "differences": [
            {
                "fact": item.fact,
                "where": item.where or None,
                "source": item.source,
                "output": item.output,
                "try": _next_step(item.fact),
            }
            for item in found.differences
        ],
        "explained": [{"fact": item.fact, "message": item.message} for item in found.explained],
        "same_streams": list(found.same_streams),
        "missing": [list(stretch) for stretch in found.missing.picture],
        "missing_besides": list(found.missing.other),
        "changes": [
            {
                "video": info.track,
                "frames": change.frames,
                "mean": change.mean,
                "share": change.share,
                "worst_frame": change.worst_index,
                "worst_seconds": float(change.worst_pts * info.time_base),
                "worst_psnr": None if math.isinf(change.worst_psnr) else change.worst_psnr,
            }
            for info, change in found.changes
        ],
    }


def _next_step(fact: str) -> str:
    return _TRY.get(fact) or _TRY_OTHERWISE.get(fact.partition(" ")[0], _AGAIN)


def verification_lines(facts: dict[str, Any]) -> Iterator[str]:
    """`verification_facts` for people, a finding a line; what cannot be printed is shown as a question mark."""
    for line in _lines(facts):
        yield "".join(letter if letter.isprintable() else "?" for letter in line)


def headline(facts: dict[str, Any]) -> str:
    """`verification_facts` in a few words."""
    if many := len(facts["differences"]):
        return f"{many} {'fact differs' if many == 1 else 'facts differ'}"
    lost = facts["missing"] or facts["missing_besides"]
    return f"the same in all but the picture{', but the source itself has lost parts' if lost else ''}"


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    yield f"{facts['output']} against {facts['source']}: {headline(facts)}"
    for item in facts["differences"]:
        where = f" ({item['where']})" if item["where"] else ""
        yield f"  differs    {item['fact']}{where}: {item['source']} in IN, {item['output']} in OUT; {item['try']}"
    for item in facts["explained"]:
        yield f"  explained  {item['fact']}: {item['message']}"
    if facts["missing"]:
        where = ", ".join(f"{start:.3f}-{end:.3f} s" for start, end in facts["missing"])
        yield f"  missing    IN itself has lost {where}"
    yield from (f"  missing    {sentence}" for sentence in facts["missing_besides"])
    worst = facts["largest_time_error"] * 1000
    exact = "every time exact" if not worst else f"times within {worst:.3f} ms"
    yield f"  frames     {facts['frames_in']} in, {facts['frames_out']} out, {exact}"
    yield from (f"  same       {name}" for name in facts["same_streams"])
    for change in facts["changes"]:
        at = f"frame {change['worst_frame']} at {change['worst_seconds']:.3f} s"
        most = "" if change["worst_psnr"] is None else f"; most in {at}, {change['worst_psnr']:.1f} dB"
        of = f"video {change['video']}: " if len(facts["changes"]) > 1 else ""
        yield f"  change     {of}{change['mean']:.3f} codes a sample, {change['share']:.1%} of all samples{most}"
    if not facts["full"]:
        yield "  change     not looked at; --full decodes every frame of both"
