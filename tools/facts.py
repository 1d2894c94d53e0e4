"""Writes docs/facts.md: what other programs say of videos before and after `vidrain clean`, fact against fact.

    python -m tools.facts [--kept FOLDER] [-o docs/facts.md]

Times, frames, sound and tags are read by the ffmpeg program, data tracks by PyAV: vidrain only cleans, and reads
nothing. The real clips never ship; they are looked for where the tests look, without them there are the samples alone.
"""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import click
from av.stream import DataStream, Discard

from tests import ffmpeg_says
from tests.rich import rich

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "samples"
FOOTAGE = Path(os.environ.get("VIDRAIN_DATA") or ROOT / "../shared/data")
COMMAND = "python -m tools.facts"
NO_FACTS = ("major_brand", "minor_version", "compatible_brands", "encoder", "vidrain", ";FFMETADATA1")
_BY_STEPS = "a frame of a video coded out of order lasts as long as a decoding step, in MP4; its time is exact"
EXPLAINED = {
    "street_hevc": "one frame of the source is shown before the one in front of it; it lies between its neighbours now",
    "vfr": _BY_STEPS,
    "one_of_everything": _BY_STEPS,
}


def frames(path: Path) -> Iterator[tuple[str, str]]:
    """Shown frames and their times, by decoding."""
    track = ffmpeg_says.shown_frames(path)
    yield "frames", str(len(track.packets))
    yield "first", f"{float(track.seconds[0]):.6f}"
    yield "last", f"{float(track.seconds[-1]):.6f}"
    yield "all times", _digest(map(str, track.seconds))


def picture(path: Path) -> Iterator[tuple[str, str]]:
    """When the last picture ends; size, format, colour and aspect ratio of the first one decoded; rotation."""
    coded = ffmpeg_says.packets(path, "0:v:0")
    yield "end", f"{float(max(packet.pts + packet.duration for packet in coded.packets) * coded.time_base):.6f}"
    shown = ffmpeg_says.shown_info(path, "-frames:v", "1")
    words = {key: value for key, value in re.findall(r"\b(\w+):\s*([^\s\]]+)", shown)}
    yield "size", words["s"]
    yield "format", words["fmt"].replace("yuvj", "yuv")  # full range, which stands in the next cell
    tags = [words[f"color_{what}"] for what in ("range", "space", "primaries", "trc")]
    yield "colour", "/".join("-" if tag in ("unknown", "unspecified") else tag for tag in tags)
    yield "SAR", words["sar"].replace("0/1", "1/1")
    turned = re.search(r"rotation of (-?[\d.]+) degrees", ffmpeg_says.described(path))
    yield "rotation", turned[1] if turned else "none"


def carried(path: Path) -> Iterator[tuple[str, str]]:
    """Number, bytes and times of the packets of every track of sound or subtitles, and its language."""
    lines = [match for line in ffmpeg_says.streams(path) if (match := re.search(r"(Audio|Subtitle): (\w+)", line))]
    tracks = ffmpeg_says.tracks(path, "-map", "0:a?", "-map", "0:s?", "-c", "copy") if lines else []
    cells = []
    for track, line in zip(tracks, sorted(lines, key=lambda found: found[1]), strict=True):
        language = re.match(r"(?:\[\w+\])?\((\w+)\)", line.string)
        codec = line[2] + (f" {language[1]}" if language and language[1] != "und" else "")
        packets = [f"{second} {content}" for second, content in zip(track.seconds, track.contents, strict=True)]
        cells.append(f"{codec} {len(track.packets)} packets {_digest(packets)}")
    yield "sound, subtitles", "; ".join(cells) or "none"


def data(path: Path) -> Iterator[tuple[str, str]]:
    """Number and bytes of the packets of every data track: GoPro telemetry, timecode."""
    with av.open(str(path)) as file:
        tracks = [stream for stream in file.streams if isinstance(stream, DataStream) and stream.discard != Discard.all]
        found: dict[int, list[str]] = {stream.index: [] for stream in tracks}
        for packet in file.demux(tracks) if tracks else ():
            if packet.size:
                found[packet.stream_index].append(hashlib.sha256(bytes(packet)).hexdigest())
    yield "data tracks", "; ".join(f"{len(packets)} packets {_digest(packets)}" for packets in found.values()) or "none"


def tags(path: Path) -> Iterator[tuple[str, str]]:
    """Chapters and the tags of the file."""
    lines = [line for line in ffmpeg_says.metadata(path).splitlines() if line and not line.startswith(NO_FACTS)]
    chapters, base, said = 0, Fraction(1), []
    for line in lines:
        key, _, value = line.partition("=")
        if key == "TIMEBASE":  # which differs with the clock of the file, while the times do not
            chapters, base = chapters + 1, Fraction(value)
        else:
            said.append(f"{key}={int(value) * base}" if key in ("START", "END") and chapters else line)
    yield "chapters, tags", f"{chapters}, {len(said)} {_digest(said)}" if said else "0, 0"


def _digest(lines: Iterable[str]) -> str:
    """Six letters that are the same when all lines are."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:6]


def facts(path: Path) -> dict[str, str]:
    """All facts of one file."""
    return {name: value for read in (frames, picture, carried, data, tags) for name, value in read(path)}


def cleaned(source: Path, folder: Path) -> Path:
    """The file that `vidrain clean` makes of `source`, made unless it lies in `folder`."""
    target = folder / f"{source.stem}.mp4"
    if not target.exists():
        quick = ("-e", "preset=ultrafast") if source.parent.parent in (FOOTAGE, FOOTAGE / "clean") else ()
        command = [sys.executable, "-m", "vidrain", "clean", str(source), "-o", str(target), *quick]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return target


def sources(folder: Path) -> list[Path]:
    """A clip made in `folder`, the samples, and the real clips where they are at hand."""
    found = [rich(SAMPLES / "vfr.mp4", folder / "one_of_everything.mp4")]
    found += sorted(path for path in SAMPLES.iterdir() if path.suffix in (".mp4", ".mkv"))
    for kind in ("real", "clean/train", "clean/eval"):
        found += sorted((FOOTAGE / kind).glob("*.*"))
    return found


def page(table: dict[str, tuple[dict[str, str], dict[str, str]]]) -> str:
    """The document. table: name of a clip -> (facts in, facts out)."""
    columns = list(next(iter(table.values()))[0])
    cells = sum(len(before) for before, _ in table.values())
    differing = [
        (clip, column)
        for clip, (before, after) in table.items()
        for column in columns
        if before[column] != after[column]
    ]
    return "\n".join(
        [
            "# Facts in, facts out",
            "",
            f"Made by `{COMMAND}`; do not edit. Every clip was cleaned by `vidrain clean CLIP -o CLIP.mp4`",
            "(real ones with `-e preset=ultrafast`, which saves time) and read before and after by programs that are",
            "not ours: PyAV (data tracks) and the ffmpeg program (all else). A cell holds one value where both files",
            "have the same, `before → after` where they differ. Six letters stand for a list: every time as an exact",
            "fraction, bytes and time of every packet, every tag and chapter; they are equal where all of it is.",
            "Colour: range, matrix, primaries, transfer of the first frame. The writing program's tag is left out.",
            "",
            f"{len(table)} clips, {cells} facts, {len(differing)} differ"
            + (": " + "; ".join(f"{clip}, {column}" for clip, column in differing) if differing else "")
            + ".",
            *(f"- {clip}: {why}." for clip, why in EXPLAINED.items() if any(clip == name for name, _ in differing)),
            "",
            f"| clip | {' | '.join(columns)} |",
            f"|{' --- |' * (len(columns) + 1)}",
            *(
                f"| {clip} | {' | '.join(_cell(before[column], after[column]) for column in columns)} |"
                for clip, (before, after) in table.items()
            ),
            "",
        ]
    )


def _cell(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


@click.command()
@click.option("--kept", type=click.Path(path_type=Path), help="Folder of cleaned files, made there if missing.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=ROOT / "docs/facts.md", show_default=True)
def main(kept: Path | None, output: Path) -> None:
    """Clean all clips, or take them from a folder, and write the page."""
    table = {}
    with TemporaryDirectory(prefix="vidrain-facts-") as scratch:
        folder = kept or Path(scratch) / "cleaned"
        folder.mkdir(parents=True, exist_ok=True)
        for source in sources(Path(scratch)):
            click.echo(source.stem)
            table[source.stem] = facts(source), facts(cleaned(source, folder))
    output.write_text(page(table), encoding="utf-8")


if __name__ == "__main__":
    main()
