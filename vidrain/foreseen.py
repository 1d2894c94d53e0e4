"""What a user should know of a job before its first frame is computed, in words. Decides nothing."""

from collections.abc import Iterator

from vidrain.events import Notice
from vidrain.layer_videos import crop_tag
from vidrain.pace import Pace
from vidrain.types import VideoInfo
from vidrain.video.carried import CopyPlan
from vidrain.video.color import conversion_for
from vidrain.video.decode import Video
from vidrain.video.encoder import EncoderPlan
from vidrain.video.hdr import remarks
from vidrain.video.stated import lost_site


def left_out(video: Video, copy: CopyPlan) -> tuple[str, ...]:
    """What of the source cannot be carried along: a sentence each."""
    gps = video.source.structure.gps
    if gps is None:
        return copy.refused
    many = "positions" if gps.points is None else f"{gps.points} positions"
    return *copy.refused, f"GPS: {many} ({gps.kind}) lie outside of all streams and are left out; keep the source"


def notices_for(
    video: Video, plan: EncoderPlan, shown: VideoInfo, copy: CopyPlan, *, pace: Pace | None, is_last: bool
) -> tuple[Notice, ...]:
    """Everything foreseen. shown: facts of the clean video; is_last: whether all other videos keep their rain."""
    found = [("damage", f"the source is damaged: {damage.what}") for damage in video.source.structure.damages]
    found += [("left_out", message) for message in left_out(video, copy)]
    found += _of_streams(copy, plan.container, is_last)
    found += _of_picture(video.info, plan, shown)
    if (first := int(video.index.pts[0]) * video.info.time_base) < 0:
        found.append(("times", f"the first frame lies at {float(first):.3f} s, which no MP4 holds: all moves to zero"))
    if pace is not None:
        counts = f"{len(pace.places)} frames become {pace.frames}: {pace.repeated} repeated, {pace.dropped} dropped"
        found.append(("cfr", f"at {pace.rate} frames per second {counts}"))
    return tuple(Notice(code=code, message=message) for code, message in found)


def _of_streams(copy: CopyPlan, container: str, is_last: bool) -> Iterator[tuple[str, str]]:
    for message in copy.notes:
        yield "streams", message
    for index, track in copy.videos.items() if is_last else ():
        choice = f"--video {track} or all cleans it"
        yield "streams", f"stream {index} is another video: it is copied with its rain; {choice}"
    for index, codec in copy.converted.items():
        yield "converted", f"stream {index}: its text becomes {codec}, which {container} takes; styling may be lost"


def _of_picture(info: VideoInfo, plan: EncoderPlan, shown: VideoInfo) -> Iterator[tuple[str, str]]:
    for message in plan.notes:
        yield "encoder", message
    if (shown.width, shown.height) != (info.width, info.height):
        named = f"{info.width}x{info.height} is stored as {shown.width}x{shown.height}, the last row or column repeated"
        yield "padded", f"{named}; tag {crop_tag(info.track)} keeps the true size"
    if (assumption := conversion_for(info).assumption) is not None:
        yield "colour", assumption
    if (site := lost_site(info, plan.pix_fmt, plan.stated)) is not None:
        yield "colour", site
    for message in remarks(info, plan.hdr):
        yield "hdr", message
    if info.interlaced:
        order = "kept" if plan.stated.field_order else "not kept"
        yield (
            "interlaced",
            f"the source is interlaced: its fields are cleaned woven into frames; their order is {order}",
        )
