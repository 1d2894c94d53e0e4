"""Makes docs/{report,preview,batch,eval}_*.jpg: pages about samples as a real browser shows them.

python -m tools.page_shots [PAGE]...     # needs the test extra and Chromium
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from tests import browser
from vidrain.baseline import BaselineOptions
from vidrain.batch.inputs import items_in
from vidrain.batch.options import BatchOptions
from vidrain.batch.plan import files_of
from vidrain.batch.run import run_batch
from vidrain.evaluation.methods import Method
from vidrain.evaluation.plan import EvalOptions
from vidrain.evaluation.run import evaluate
from vidrain.evaluation.sets import SetOptions
from vidrain.job import CleanOptions
from vidrain.pipeline import clean
from vidrain.viewer.batch_report import write_batch_report
from vidrain.viewer.benchmark import write_benchmark
from vidrain.viewer.preview import write_preview
from vidrain.viewer.report import write_report

ROOT = Path(__file__).resolve().parents[1]
_QUALITY = 70  # of JPEG: letters stay readable
_LONGEST, _MOST = 3000, {"eval": 2070}  # rows of a picture: of a longer page its beginning
_SHOTS = {
    "report": (
        ("report_desktop.jpg", browser.DESKTOP, "light"),
        ("report_dark.jpg", browser.DESKTOP, "dark"),
        ("report_phone.jpg", browser.PHONE, "light"),
    ),
    "preview": (("preview_desktop.jpg", browser.DESKTOP, "light"), ("preview_phone.jpg", browser.PHONE, "dark")),
    "batch": (("batch_desktop.jpg", browser.DESKTOP, "light"), ("batch_phone.jpg", browser.PHONE, "dark")),
    "eval": (("eval_desktop.jpg", browser.DESKTOP, "light"), ("eval_phone.jpg", browser.PHONE, "dark")),
}
_CARD = ("street", "street_clean", "rotated", "odd", "tenbit")


@click.command()
@click.argument("names", metavar="[PAGE]...", nargs=-1, type=click.Choice(["report", "preview", "batch", "eval"]))
def main(names: tuple[str, ...]) -> None:
    """Write the pictures of these pages anew, by default of all."""
    makers = {"report": _report, "preview": _preview, "batch": _batch, "eval": _benchmark}
    with TemporaryDirectory(prefix="vidrain-") as made:
        for page in names or makers:
            file = makers[page](Path(made))
            for name, size, scheme in _SHOTS[page]:
                _shoot(page, file, ROOT / "docs" / name, size, scheme)
                click.echo(f"wrote docs/{name}")


def _shoot(page: str, file: Path, picture: Path, size: tuple[int, int], scheme: str) -> None:
    shown = browser.opened if page in ("report", "preview") else browser.shown
    with shown(file, size=size, scheme=scheme) as (opened, _):
        if page == "preview":
            opened.keyboard.press("5")  # its rain
        high = min(_MOST.get(page, _LONGEST), opened.evaluate("document.documentElement.scrollHeight"))
        clip: Any = {"x": 0, "y": 0, "width": size[0], "height": high}
        opened.screenshot(path=picture, type="jpeg", quality=_QUALITY, full_page=True, clip=clip)


def _report(folder: Path) -> Path:
    source = Path(shutil.copy(ROOT / "samples/street.mp4", folder / "street.mp4"))
    done = clean(source, folder / "street.clean.mp4", options=CleanOptions())
    return write_report(done.outputs["clean"], source)


def _preview(folder: Path) -> Path:
    return write_preview(ROOT / "samples/rotated.mp4", folder / "rotated.html", seconds=2).page


def _batch(folder: Path) -> Path:
    """The page of a batch of samples, and of a text that calls itself a video."""
    card = folder / "card"
    card.mkdir()
    for name in _CARD:
        shutil.copy(ROOT / "samples" / f"{name}.mp4", card / f"{name}.mp4")
    (card / "notes.mp4").write_text("no video")
    files = files_of(items_in([str(card)], folder / "clean"), lambda _: CleanOptions(), ())
    run_batch(files, folder / "clean", BatchOptions(engine="inline"))
    return write_batch_report(folder / "clean")


def _benchmark(folder: Path) -> Path:
    """Two settings of the baseline against rendered rain, and what they do to the same street without it."""
    data = folder / "data"
    data.mkdir()
    for name, sample in (("rainy", "street"), ("clean", "street_clean")):
        shutil.copy(ROOT / "samples" / f"{sample}.mp4", data / f"street_{name}.mp4")
    sets = {
        "rendered": SetOptions(rainy=["*_rainy.mp4"], truth=["*_clean.mp4"]),
        "dry": SetOptions(kind="clean", clips=["*_clean.mp4"]),
    }
    twice = CleanOptions(model="baseline", baseline=BaselineOptions(passes=2))
    methods = [
        Method(label="baseline", kind="model", options=CleanOptions(model="baseline")),
        Method(label="two passes", kind="model", options=twice),
    ]
    return write_benchmark(evaluate(EvalOptions(data=data, sets=sets, worst=1), methods, folder / "out"))


if __name__ == "__main__":
    main()
