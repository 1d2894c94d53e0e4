"""From a source to the layers of a range of its frames, with a thread for each stage of it.

What `clean`, the exports, the measurements and the previews have in common; knows nothing of what becomes of layers.

    with separated(video, range(100, 200), decomposer, options=DecomposeOptions(), watchdog=watchdog) as found:
        for layers in found: ...
"""

from collections.abc import Container, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager

from vidrain.decompose import DecomposeOptions, context_of, decompose, memory_of
from vidrain.errors import OtherPicture
from vidrain.stream import T, prefetch
from vidrain.types import Decomposer, Frame, Layers, VideoInfo
from vidrain.video.decode import Video
from vidrain.watchdog import Watchdog

# Frames; with the window and what an encoder or a store holds these bound the memory of a job.
_DECODED_AHEAD = 4
_AHEAD = 1  # behind each stage; of those that are warped each holds its witnesses and the ways to them, at 4K 200 MB


@contextmanager
def separated(
    video: Video,
    kept: range,
    decomposer: Decomposer,
    *,
    options: DecomposeOptions,
    watchdog: Watchdog,
) -> Iterator[Iterator[Layers]]:
    """Layers of the frames `kept` that decode, in order, as cleaning the whole video would give them.

    Leaving ends all threads. Raises InputError, ModelError.
    """
    context = _context(video, kept, first_decoded(kept, decomposer, options), context_of(decomposer))
    with (
        closing(watchdog.ahead(context, _DECODED_AHEAD, "decode", video.decoded.place)) as frames,
        in_threads(frames, video.info, decomposer, options, kept) as layers,
    ):
        yield layers


@contextmanager
def in_threads(
    frames: Iterable[Frame],
    info: VideoInfo,
    decomposer: Decomposer,
    options: DecomposeOptions,
    wanted: Container[int] | None = None,
) -> Iterator[Iterator[Layers]]:
    """What `decompose` gives, with a thread for each stage of it; leaving ends them."""
    with ExitStack() as stack:

        def apart(items: Iterator[T], name: str) -> Iterator[T]:
            return stack.enter_context(closing(prefetch(items, _AHEAD, name)))

        yield decompose(frames, info, decomposer, options=options, wanted=wanted, apart=apart)


def first_decoded(kept: range, decomposer: Decomposer, options: DecomposeOptions) -> int:
    """The first frame that the frames `kept` need to be cleaned as the whole would be."""
    return max(kept.start - context_of(decomposer) - memory_of(decomposer, options), 0)


def _context(video: Video, kept: range, first: int, reach: int) -> Iterator[Frame]:
    """The frames that go out, those before them from `first` on, and `reach` behind them.

    Pictures of another size or format behind the range bear no witness: there it ends as at the end of the video.
    """
    try:
        for frame in video.frames(first):
            if frame.index >= kept.stop + reach:
                return
            yield frame
    except OtherPicture as change:
        if change.index < kept.stop:
            raise
