"""Before | after | 3 x rain as one picture: rows are frames of a cleaned video, evenly spaced.

vidrain clean in.mp4 -o out.mp4 --rain rain.mp4
python tools/sheet.py in.mp4 --clean out.mp4 --rain rain.mp4 -o sheet.png
"""

from collections.abc import Iterator
from pathlib import Path

import click
import cv2
import numpy as np
import numpy.typing as npt
import torch

from vidrain import open_video
from vidrain.errors import VidrainError
from vidrain.layers import rain_offset
from vidrain.types import Frame, VideoInfo
from vidrain.video.color import conversion_for, to_rgb, upright

_GAIN = 3.0
_GAP = 8  # pixels between pictures
_FILE = click.Path(path_type=Path)

Picture = npt.NDArray[np.uint8]


@click.command()
@click.argument("source", type=_FILE)
@click.option("--clean", type=_FILE, required=True, help="What `vidrain clean` made of SOURCE, all of it.")
@click.option("--rain", type=_FILE, required=True, help="The rain archive of the same run.")
@click.option("-o", "--output", type=_FILE, required=True, help="Picture to write, .png or .jpg.")
@click.option("--rows", default=3, show_default=True, help="Frames shown.")
@click.option("--width", default=640, show_default=True, help="Largest width of one picture, in pixels.")
def main(source: Path, clean: Path, rain: Path, output: Path, rows: int, width: int) -> None:
    """Write a sheet of before | after | 3 x rain."""
    try:
        shown = [shrunk(row, width) for row in sheet_rows(source, clean, rain, rows)]
    except VidrainError as error:
        raise click.ClickException(str(error)) from error
    if not cv2.imwrite(str(output), cv2.cvtColor(stacked(shown), cv2.COLOR_RGB2BGR)):
        raise click.ClickException(f"{output}: cannot be written")


def sheet_rows(source: Path, clean: Path, rain: Path, rows: int) -> Iterator[tuple[Picture, Picture, Picture]]:
    """(before, after, rain) of `rows` frames, upright RGB uint8 [H, W, 3]."""
    videos = [open_video(path) for path in (source, clean, rain)]
    counts = [video.index.count for video in videos]
    if len(set(counts)) != 1:
        raise click.ClickException(f"frames of source, clean, rain: {counts}; take three files of one whole run")
    # The middles of equal parts: the first and last frames have witnesses on one side only.
    wanted = {round((row + 0.5) * counts[0] / rows - 0.5) for row in range(rows)}
    for place, (before, after, archive) in enumerate(zip(*(video.frames() for video in videos), strict=True)):
        if place in wanted:
            info = videos[0].info
            yield picture(before, info), picture(after, videos[1].info), rain_picture(archive, info)


def picture(frame: Frame, info: VideoInfo) -> Picture:
    """A frame the way it is shown. [H, W, 3] uint8 RGB"""
    rgb = upright(to_rgb(frame.planes, conversion_for(info)), info.display_matrix)
    return _bytes(rgb)


def rain_picture(archive: Frame, info: VideoInfo) -> Picture:
    """Luma of an archived rain layer, three times as bright, on black; info: of the source. [H, W, 3] uint8"""
    codes = archive.planes[0].astype(np.float32) - rain_offset(info.layout.depth)
    luma = torch.from_numpy(codes / conversion_for(info).scale[0] * np.float32(_GAIN))
    return _bytes(upright(luma.expand(3, -1, -1), info.display_matrix))


def _bytes(rgb: torch.Tensor) -> Picture:
    whole: Picture = rgb.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
    return whole


def shrunk(row: tuple[Picture, Picture, Picture], width: int) -> list[Picture]:
    """The row's pictures, each at most `width` wide."""
    scale = min(1.0, width / row[0].shape[1])
    size = (round(row[0].shape[1] * scale), round(row[0].shape[0] * scale))
    return [np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8) for part in row]


def stacked(rows: list[list[Picture]]) -> Picture:
    """All rows on one sheet with white gaps."""
    height, width = rows[0][0].shape[:2]
    sheet = np.full((len(rows) * (height + _GAP) - _GAP, 3 * (width + _GAP) - _GAP, 3), 255, np.uint8)
    for y, row in enumerate(rows):
        for x, part in enumerate(row):
            top, left = y * (height + _GAP), x * (width + _GAP)
            sheet[top : top + height, left : left + width] = part
    return sheet


if __name__ == "__main__":
    main()
