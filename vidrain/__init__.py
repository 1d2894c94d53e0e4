"""vidrain takes the rain out of video and keeps everything else exactly as it was.

    import vidrain
    report = vidrain.clean("in.mp4", "out.mp4")

What stands here is the public interface; it is loaded when first asked for, so that `import vidrain` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidrain.archive import recompose
    from vidrain.decompose import decompose
    from vidrain.export.plan import ExportOptions
    from vidrain.export.reader import Export, open_export
    from vidrain.export.run import export_clip
    from vidrain.job import CleanOptions
    from vidrain.pipeline import clean
    from vidrain.rain.plan import RainOptions
    from vidrain.rain.render import render_rain
    from vidrain.report import CleanReport
    from vidrain.verification import Verification, verify_against
    from vidrain.video.clips import ClipReader, open_clips
    from vidrain.video.decode import open_video
    from vidrain.viewer.preview import write_preview
    from vidrain.viewer.report import write_report
    from vidrain.weights import load_model

__version__ = "0.1.0"

__all__ = [
    "CleanOptions",
    "CleanReport",
    "ClipReader",
    "Export",
    "ExportOptions",
    "RainOptions",
    "Verification",
    "clean",
    "decompose",
    "export_clip",
    "load_model",
    "open_clips",
    "open_export",
    "open_video",
    "recompose",
    "render_rain",
    "verify_against",
    "write_preview",
    "write_report",
]

_HOMES = {
    "CleanOptions": "vidrain.job",
    "CleanReport": "vidrain.report",
    "ClipReader": "vidrain.video.clips",
    "Export": "vidrain.export.reader",
    "ExportOptions": "vidrain.export.plan",
    "RainOptions": "vidrain.rain.plan",
    "Verification": "vidrain.verification",
    "clean": "vidrain.pipeline",
    "decompose": "vidrain.decompose",
    "export_clip": "vidrain.export.run",
    "load_model": "vidrain.weights",
    "open_clips": "vidrain.video.clips",
    "open_export": "vidrain.export.reader",
    "open_video": "vidrain.video.decode",
    "recompose": "vidrain.archive",
    "render_rain": "vidrain.rain.render",
    # "vidrain.archive",
    "verify_against": "vidrain.verification",
    "write_preview": "vidrain.viewer.preview",
    "write_report": "vidrain.viewer.report",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vidrain' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
