"""Makes docs/report_*.jpg and docs/preview_phone.jpg: a report and a preview of samples as a real browser shows them.

python -m tools.page_shots     # needs the test extra and Chromium
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from tests import browser
from vidrain.job import CleanOptions
from vidrain.pipeline import clean
from vidrain.viewer.preview import write_preview
from vidrain.viewer.report import write_report

ROOT = Path(__file__).resolve().parents[1]
_QUALITY = 70  # of JPEG: letters stay readable
_SHOTS = (
    ("report", "report_desktop.jpg", browser.DESKTOP, "light", False),
    ("report", "report_dark.jpg", browser.DESKTOP, "dark", False),
    ("report", "report_phone.jpg", browser.PHONE, "light", False),
    ("preview", "preview_desktop.jpg", browser.DESKTOP, "light", True),
    ("preview", "preview_phone.jpg", browser.PHONE, "dark", True),
)


@click.command()
def main() -> None:
    """Write the pictures anew."""
    with TemporaryDirectory(prefix="vidrain-") as made:
        folder = Path(made)
        source = Path(shutil.copy(ROOT / "samples/street.mp4", folder / "street.mp4"))
        done = clean(source, folder / "street.clean.mp4", options=CleanOptions())
        pages = {
            "report": write_report(done.outputs["clean"], source),
            "preview": write_preview(ROOT / "samples/rotated.mp4", folder / "rotated.html", seconds=2).page,
        }
        for page, name, size, scheme, rain in _SHOTS:
            with browser.opened(pages[page], size=size, scheme=scheme) as (opened, _):
                if rain:
                    opened.keyboard.press("5")
                opened.screenshot(path=ROOT / "docs" / name, type="jpeg", quality=_QUALITY, full_page=True)
            click.echo(f"wrote docs/{name}")


if __name__ == "__main__":
    main()
