"""Compares the facts of two finished files: picture, tags, chapters, streams. Pure; reads nothing, words nothing.

Every finding is either a `Difference` or an `Explained` change: one that the container or the format makes necessary.
Knows nothing of how the second file was made.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from fractions import Fraction

from vidrain.timing import first_off, on_one_clock, worst_off
from vidrain.types import StaticHdr, VideoInfo
from vidrain.video.color import completed
from vidrain.video.facts import Chapter, Held, Track
from vidrain.video.hdr import CHANGING, hdr_options, is_same
from vidrain.video.stated import kept

MATROSKA_TICK = Fraction(1, 1000)
PROVENANCE = "vidrain"  # tags of that name and below it say who made the file
_UNTAGGED, _LIMITED = 2, 1
_UPRIGHT = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_CONTENTS_ALONE = ("cover", "attachment")  # Matroska turns one into the other; nothing but their bytes is theirs
Tags = Mapping[str, str]


@dataclass(frozen=True)
class Difference:
    """A fact that is not the same. where: the stream it belongs to, or nothing; source, output: what was found."""

    fact: str
    source: str
    output: str
    where: str = ""


@dataclass(frozen=True)
class Explained:
    """A change that had to be, in a sentence."""

    fact: str
    message: str


Found = Difference | Explained
TrackPair = tuple[Track | None, Track | None]  # of IN, of OUT


def picture_facts(source: VideoInfo, output: VideoInfo, container: str, *, crop: str | None = None) -> Iterator[Found]:
    """Size, format, rotation, aspect ratio, colour and field order of the two video streams.

    crop: what the file of `output` says of the true size of its picture, such as `131x97`.
    """
    yield from _sizes(source, output, crop)
    yield from _pixel_format(source, output)
    yield from _same("rotation", _matrix(source), _matrix(output))
    aspects = (str(info.sample_aspect_ratio or 1) for info in (source, output))
    yield from _same("sample aspect ratio", *aspects)
    yield from _color(source, output, container)
    yield from _fields(source, output)
    yield from _siting(source, output, container)
    yield from _hdr(source, output)
    if source.codec != output.codec:
        yield Explained("codec", f"the video was {source.codec} and is {output.codec}: it was encoded anew")


def _same(fact: str, source: str, output: str, where: str = "") -> Iterator[Difference]:
    if source != output:
        yield Difference(fact, source, output, where)


def _sizes(source: VideoInfo, output: VideoInfo, crop: str | None) -> Iterator[Found]:
    was, now = size_of(source), size_of(output)
    if is_padded(source, output) and crop == was:
        yield Explained("size", f"padded: {was} is stored as {now}, the last row or column repeated")
    elif is_padded(source, output):
        yield Difference("size", was, f"{now} {'without a tag' if crop is None else f'with a tag that says {crop}'}")
    else:
        yield from _same("size", was, now)


def is_padded(source: VideoInfo, output: VideoInfo) -> bool:
    """Whether `output` is `source` with an odd width or height made even."""
    even = source.width + source.width % 2, source.height + source.height % 2
    return (source.width, source.height) != (output.width, output.height) == even


def _fields(source: VideoInfo, output: VideoInfo) -> Iterator[Found]:
    """Which field is shown first; H.264 cannot say it of every height."""
    was, now = (info.field_order or ("unknown" if info.interlaced else "none") for info in (source, output))
    if was == now:
        return
    can_say = source.field_order and kept(source, _encoder(output), "", output.layout.name).field_order
    if output.field_order is None and source.interlaced and not can_say:
        yield Explained("field order", f"fields of IN ({was}) are stored as whole frames, or their order is not said")
    else:
        yield Difference("field order", was, now)


def _siting(source: VideoInfo, output: VideoInfo, container: str) -> Iterator[Found]:
    """Where 4:2:0 chroma lies; unsaid it lies left."""
    if source.layout.family != "yuv420p" or output.layout.family != "yuv420p":
        return
    was, now = source.chroma_siting or "left", output.chroma_siting or "left"
    can_say = kept(source, _encoder(output), container, output.layout.name).chroma_siting
    if was != now and now == "left" and can_say is None:
        yield Explained("chroma siting", f"{output.codec} in {container} cannot say that chroma lies {was}")
    else:
        yield from _same("chroma siting", was, now)


def _encoder(info: VideoInfo) -> str:
    """FFmpeg's name of the encoder that vidrain has for the codec of a video."""
    return {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}.get(info.codec, info.codec)


def _hdr(source: VideoInfo, output: VideoInfo) -> Iterator[Found]:
    """Data beside the picture: static, which most codecs can state, and changing, which no encoder here writes."""
    if not is_same(output.hdr, source.hdr):
        if hdr_options(_encoder(output), source.hdr) is None:
            yield Explained("HDR data", f"{output.codec} has no place for the static HDR data of IN")
        else:
            yield Difference("HDR data", _stated(source.hdr), _stated(output.hdr))
    elif not is_same(source.hdr, output.hdr):
        yield Difference("HDR data", _stated(source.hdr), _stated(output.hdr))
    for name in sorted({CHANGING[kind] for kind in source.side_data if kind in CHANGING}):
        if name not in {CHANGING.get(kind) for kind in output.side_data}:
            yield Explained("HDR data", f"{name} changes from frame to frame, and no encoder here writes it")
    for name in sorted({CHANGING[kind] for kind in output.side_data if kind in CHANGING}):
        if name not in {CHANGING.get(kind) for kind in source.side_data}:
            yield Difference("HDR data", "none", name)


def _stated(hdr: StaticHdr) -> str:
    display = "" if hdr.mastering is None else f"display {' '.join(f'{float(part):g}' for part in hdr.mastering)}"
    light = "" if hdr.light is None else f"light {hdr.light[0]} {hdr.light[1]}"
    return ", ".join(filter(None, (display, light))) or "none"


def size_of(info: VideoInfo) -> str:
    """Width and height as they are written: `131x97`."""
    return f"{info.width}x{info.height}"


def _matrix(info: VideoInfo) -> str:
    """The display matrix, rows separated; that of an upright picture is as good as none."""
    matrix = info.display_matrix
    if matrix is None or matrix == _UPRIGHT:
        return "none"
    return (
        "[" + ", ".join(f"{number / (1 << 30 if at % 3 == 2 else 1 << 16):g}" for at, number in enumerate(matrix)) + "]"
    )


def _pixel_format(source: VideoInfo, output: VideoInfo) -> Iterator[Found]:
    if source.layout == output.layout:
        return
    is_odd = size_of(source) == size_of(output) and bool(source.width % 2 or source.height % 2)
    if is_odd and output.layout.family == "yuv444p" and source.layout.depth == output.layout.depth:
        yield Explained(
            "pixel format",
            f"{size_of(source)} is odd: {source.layout.name} of it is stored as {output.layout.name}",
        )
        return
    yield Difference("pixel format", source.layout.name, output.layout.name)


def _color(source: VideoInfo, output: VideoInfo, container: str) -> Iterator[Found]:
    if source.layout.family == "gbrp":  # RGB has neither a matrix nor, in most codecs, a range
        return
    yield from _same("colour range", _range(source), _range(output))
    states_all = output.codec == "ffv1" and container in ("mp4", "mov") and output.color == completed(source)
    for what in ("matrix", "primaries", "transfer"):
        was, now = getattr(source.color, what), getattr(output.color, what)
        if was == now:
            continue
        if was == _UNTAGGED and states_all:
            yield Explained(
                f"colour {what}", f"not tagged in IN, {now} in OUT: a lossless {container} states all or none"
            )
        else:
            yield Difference(f"colour {what}", _code(was), _code(now))


def _range(info: VideoInfo) -> str:
    return "limited" if (info.color.range or _LIMITED) == _LIMITED else "full"


def _code(code: int) -> str:
    return "not tagged" if code == _UNTAGGED else str(code)


def tag_facts(source: Tags, output: Tags, held: Tags | None, container: str, where: str = "") -> Iterator[Found]:
    """Tags of the file or of one stream. held: what `container` makes of those of the source, None where unknown."""
    due = source if held is None else held
    for key in sorted({*source, *output, *due}):
        was, now, possible = source.get(key), output.get(key), due.get(key)
        if now == was or (key == "language" and {now, was} == {"und", None}):
            continue
        fact = "language" if key == "language" else f"tag {key}"
        if key.split(":")[0] == PROVENANCE:
            yield Explained(fact, f"says who made the file: {now or was}")
        elif now != possible:
            yield Difference(fact, _quoted(was), _quoted(now), where)
        elif was is not None:  # what a muxer adds by itself is no news
            of = f" of {where}" if where else ""
            yield Explained(fact, f"{container} stores {_quoted(was)}{of} as {_quoted(now)}")


def _quoted(value: str | None) -> str:
    return "none" if value is None else f"'{value}'"


def chapter_facts(source: Sequence[Chapter], output: Sequence[Chapter], container: str) -> Iterator[Found]:
    """Number, times and titles of the chapters; a millisecond is allowed, and said."""
    if len(source) != len(output):
        yield Difference("chapters", str(len(source)), str(len(output)))
        return
    rounded = False
    for number, (was, now) in enumerate(zip(source, output, strict=True), start=1):
        where = f"chapter {number}"
        yield from _same("chapter title", _quoted(was.tags.get("title")), _quoted(now.tags.get("title")), where)
        late = abs(was.start - now.start)
        if number == 1 and was.start > now.start == 0 and container in ("mp4", "mov"):
            yield Explained("chapter times", f"the first chapter of {container} begins with the file")
            late = Fraction(0)
        off = max(late, abs(was.end - now.end))
        rounded = rounded or 0 < off <= MATROSKA_TICK
        if off > MATROSKA_TICK:
            yield Difference("chapter times", _stretch(was), _stretch(now), where)
    if rounded:
        yield Explained("chapter times", "times of chapters are rounded to a millisecond")


def _stretch(chapter: Chapter) -> str:
    return f"{float(chapter.start):.3f}-{float(chapter.end):.3f} s"


def paired(source: Sequence[Track], output: Sequence[Track]) -> list[TrackPair]:
    """Streams that belong together, by kind and order; where their numbers differ, by codec and language as well."""
    pairs: list[TrackPair] = []
    for kind in dict.fromkeys(track.kind for track in (*source, *output)):
        was = [track for track in source if track.kind == kind]
        now = [track for track in output if track.kind == kind]
        if len(was) == len(now):
            pairs += zip(was, now, strict=True)
            continue
        matcher = SequenceMatcher(None, [_likeness(track) for track in was], [_likeness(track) for track in now], False)
        for _, a, b, c, d in matcher.get_opcodes():
            both = min(b - a, d - c)
            pairs += zip(was[a : a + both], now[c : c + both], strict=True)
            pairs += [(track, None) for track in was[a + both : b]] + [(None, track) for track in now[c + both : d]]
    return pairs


def _likeness(track: Track) -> tuple[str, str, str]:
    return track.codec, track.tags.get("language", "und"), track.sha256


def has_labels(was: Track, now: Track) -> bool:
    """Whether tags and disposition belong to the stream itself and can be compared."""
    return was.kind == "video" or (was.kind not in _CONTENTS_ALONE and was.codec == now.codec)


def stream_facts(
    pairs: Sequence[TrackPair], held: Held | None, container: str, *, converted: Collection[int] = ()
) -> Iterator[Found]:
    """Everything about the streams that `paired` brought together: bytes, times, languages, dispositions, tags.

    converted: streams of IN whose contents are another codec in OUT, so that only what is said of them is compared.
    """
    for was, now in pairs:
        if was is None and now is not None:
            yield Difference("stream", "none", "present", f"{now.name} of OUT")
        elif was is not None and now is None:
            yield Difference("stream", "present", "none", was.name)
        elif was is not None and now is not None:
            if was.kind != "video" and was.index not in converted:
                yield from _contents(was, now, container)
            if was.index in converted or has_labels(was, now):
                yield from _labels(was, now, held.streams.get(now.index) if held else None, container)


def _labels(
    was: Track, now: Track, held: tuple[dict[str, str], frozenset[str]] | None, container: str
) -> Iterator[Found]:
    tags, disposition = held or (was.tags, was.disposition)
    before, after = dict(was.tags), dict(now.tags)
    if was.kind == "video" and before.pop("encoder", None) != after.pop("encoder", None):
        yield Explained("tag encoder", "the video was encoded anew")
    yield from tag_facts(before, after, {key: tags[key] for key in tags if key != "encoder"}, container, was.name)
    if now.disposition == was.disposition:
        return
    if now.disposition == disposition:
        yield Explained("disposition", f"{container} stores {_named(was)} of {was.name} as {_named(now)}")
    else:
        yield Difference("disposition", _named(was), _named(now), was.name)


def _named(track: Track) -> str:
    return "+".join(sorted(track.disposition)) or "none"


def _contents(was: Track, now: Track, container: str) -> Iterator[Found]:
    if was.codec != now.codec and was.kind != "attachment":
        yield Difference("codec", was.codec, now.codec, was.name)
        return
    if was.kind in _CONTENTS_ALONE:
        yield from _same("bytes", was.sha256[:16], now.sha256[:16], was.name)
        return
    if was.sha256 != now.sha256:
        if was.count != now.count:
            yield Difference("packets", str(was.count), str(now.count), was.name)
        else:
            yield Difference("bytes", f"sha256 {was.sha256[:16]}", f"sha256 {now.sha256[:16]}", was.name)
        return
    if was.count != now.count:
        yield Explained(
            "packets", f"the bytes of {was.name} are the same, in {now.count} instead of {was.count} packets"
        )
    yield from _packet_times(was, now, container)


def _packet_times(was: Track, now: Track, container: str) -> Iterator[Found]:
    """The larger of the two ticks is allowed: no clock can tell more exactly."""
    count = len(was.times) if len(was.times) == len(now.times) else min(len(was.times), len(now.times), 1)
    due, got, tick = on_one_clock(was.times[:count], was.time_base, now.times[:count], now.time_base)
    if first := first_off(due, got, allowed=int(max(was.time_base, now.time_base) / tick)):
        at, many = first
        worst = _ms(worst_off(due, got) * tick)
        found = f"{_at(got[at], tick)}, {many} of {count} off by up to {worst}"
        yield Difference("packet times", f"packet {at} at {_at(due[at], tick)}", found, was.name)
    elif (worst_ticks := worst_off(due, got)) and container == "matroska":
        moved = _ms(worst_ticks * tick)
        yield Explained("packet times", f"{container} stores whole milliseconds: {was.name} moved by up to {moved}")


def _at(time: int, tick: Fraction) -> str:
    return f"{float(int(time) * tick):.6f} s"


def _ms(seconds: Fraction) -> str:
    return f"{float(seconds) * 1000:.3f} ms"
