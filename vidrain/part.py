"""A part of a video and the model that takes it apart: what commands have in common that write no clean video.

part = plan_part("rainy.mp4", CleanOptions(start="100"), what="a preview")
with part.separated() as found: ...
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vidrain.decompose import DecomposeOptions
from vidrain.device import device_of
from vidrain.errors import InputError, UsageError
from vidrain.identity import Identity, identity_of
from vidrain.job import CleanOptions
from vidrain.missing import Missing, missing_in
from vidrain.model.gate import CONFIGS
from vidrain.provenance import made_by
from vidrain.separate import separated
from vidrain.span import kept_frames
from vidrain.types import Decomposer, Layers
from vidrain.video.decode import Video, open_video
from vidrain.video.index import video_tracks
from vidrain.watchdog import Watchdog
from vidrain.weights import PRESETS, load_decomposer, weights_of

_MEANINGLESS = (
    "rain",
    "rain_preview",
    "compare",
    "keep_adapted",
    "archive",
    "pad",
    "keep_pts",
    "cfr",
    "encode",
    "adapt",
    "fresh",
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """kept: indices of its frames; config: what of the options can change a layer, ready for JSON.

    before: what the source looked like before it was read; device: that of torch.
    """

    before: Identity
    video: Video
    kept: range
    options: CleanOptions
    model: str
    decomposer: Decomposer
    device: str
    config: dict[str, Any]
    watchdog: Watchdog

    @property
    def made_by(self) -> str:
        """Provenance in a line; ModelError where the weights cannot be read."""
        return made_by(
            self.model,
            weights_of(self.model, self.options.weights),
            self.config | {"kept": [self.kept.start, self.kept.stop]},
        )

    def separated(self, wanted: range | None = None) -> AbstractContextManager[Iterator[Layers]]:
        """Layers of the part, or of the frames `wanted` of it. Raises ModelError, InputError."""
        kept = self.kept if wanted is None else wanted
        how = DecomposeOptions(
            self.options.align, self.options.shots, self.device, self.options.meter, self.options.marks
        )
        return separated(self.video, kept, self.decomposer, options=how, watchdog=self.watchdog)

    def missing(self, then: str = "nothing was kept, try again") -> Missing:
        """What of the part did not decode, once it was read to its end.

        Raises InputError where the source is no longer what it was before. then: what comes of that, in words.
        """
        path = self.video.info.path
        if self.watchdog.opened(lambda _: identity_of(path, then)) != self.before:
            raise InputError(f"{path}: changed while it was read; {then}")
        return missing_in(self.video, self.kept)


def plan_part(
    path: str | Path, options: CleanOptions, *, what: str, named: Sequence[str] = ("--start", "--end")
) -> Part:
    """Open the video and choose its frames and the model, as `options` say.

    what: the command in words; named: what it calls start and end, or start alone. Raises UsageError for options that
    mean nothing for it, InputError, ModelError.
    """
    plain = CleanOptions()
    for option in fields(options):
        if option.name in _MEANINGLESS and getattr(options, option.name) != getattr(plain, option.name):
            raise UsageError(f"{option.name} means nothing for {what}; leave it out")
    if not options.video.isdecimal():
        raise UsageError(f"video={options.video}: one at a time for {what}; allowed: 0, 1, ...")
    path, track = Path(path), int(options.video)
    watchdog = Watchdog(path, options.stall_s)
    watchdog.opened(lambda _: video_tracks(path))  # says what is wrong with a file that cannot be opened
    before = watchdog.opened(lambda _: identity_of(path))  # and only then is it read: it may change meanwhile
    video = watchdog.opened(lambda pulse: open_video(path, track=track, beat=pulse.beat))
    kept = kept_frames(options.start, options.end, video.index, video.info.time_base, named)
    model = options.model or PRESETS[options.preset]
    own = ("align", "shots", "meter", "marks", "video", "gate" if model in CONFIGS else model)
    config = {name: value for name, value in asdict(options).items() if name in own} | {"model": model}
    return Part(
        before=before,
        video=video,
        kept=kept,
        options=options,
        model=model,
        decomposer=load_decomposer(model, options.weights, options.of_models),
        device=device_of(options.device),
        config=config,
        watchdog=watchdog,
    )
