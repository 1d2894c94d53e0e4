"""Weights fitted to footage, as files: for a job before its first frame, or by themselves (`vidrain adapt`).

Those of a job lie with its segments until it ends, so that a run that was killed need not fit them anew: the same
command takes them up if the source, the part of it, the base weights and the options are what they were.

    adapted = adapted_for(jobs, options, identity_of(source), journal, on_event)
    adapted = adapt_clips([Path("a.mp4")], Path("a.safetensors"), options)
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic

import torch

from vidrain import __version__
from vidrain.device import device_of, short_of
from vidrain.errors import ModelError
from vidrain.events import AdaptationDone, Notice, OnEvent, ignore
from vidrain.identity import Identity
from vidrain.job import CleanOptions, Job, refuse_to_adapt
from vidrain.model.gate import Gate, GateDecomposer
from vidrain.outputs import claimed, refuse_clashes
from vidrain.provenance import hash_of_content
from vidrain.span import kept_frames
from vidrain.stream import Pulse
from vidrain.tracks import chosen_tracks
from vidrain.train.adapt import Outcome, adapt
from vidrain.train.stretches import Clip
from vidrain.video.decode import Video, open_video
from vidrain.watchdog import Watchdog
from vidrain.weights import PRESETS, hash_of, load_decomposer, packed_gate, read_header

SECONDS = 30.0  # where nothing is said
_FIRST = PRESETS["balanced"]  # the model that is meant, where neither it nor weights are named: as `clean` means it
_LIMITS = ("seconds", "steps")  # how long a run may take; how long it took stands in its outcome


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """Weights fitted to footage, or the base weights where that did not help.

    said: how they were made, as JSON, for the head of a file; is_reused: whether a run that was killed had left them.
    """

    model: str
    net: Gate
    outcome: Outcome
    said: str
    is_reused: bool = False

    @property
    def content(self) -> bytes:
        """The bytes of the file that keeps them."""
        return self.packed({})

    @property
    def hash(self) -> str | None:
        """Of that file, as provenance states it; None where the base weights are used."""
        return None if self.outcome.reason else hash_of_content(self.content)

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What a user should know."""
        if self.outcome.reason is None:
            return ()
        message = f"the weights are not adapted to the footage: {self.outcome.reason}; the base weights are used"
        return (Notice(code="adapt", message=message),)

    def packed(self, more: Mapping[str, str]) -> bytes:
        """A file of weights with more in its head."""
        return packed_gate(self.model, self.net.state_dict(), {"adapted": self.said, **more})

    def event(self, seconds: float) -> AdaptationDone:
        """The event that says how it went."""
        return AdaptationDone(
            steps=self.outcome.steps,
            factors=self.outcome.factors,
            gain=self.outcome.gain,
            fell_back=self.outcome.reason is not None,
            reason=self.outcome.reason,
            is_reused=self.is_reused,
            weights=hash_of_content(self.content),
            seconds=seconds,
        )


def adapted_for(
    jobs: Sequence[Job], options: CleanOptions, source: Identity, journal: Path, on_event: OnEvent = ignore
) -> Adapted:
    """Weights fitted to all videos of one file that are to be cleaned, put down in the file `journal`.

    Takes up those of a run of the same jobs that was killed. Raises VidrainError.
    """
    began = monotonic()
    clips = [Clip(job.video, job.kept, job.watchdog) for job in jobs]
    model = jobs[0].model
    base = _base(model, options.weights, options)
    places = [(job.video.info.track, job.kept.start, job.kept.stop) for job in jobs]
    settings = asdict(options.adapt), asdict(options.gate)
    key = _hash_of_json([__version__, model, hash_of(base.net.state_dict()), source, places, settings])
    found = _taken_up(journal, model, key, options)
    if found is None:
        found = _adapted(model, base, clips, options, on_event)
        with claimed(journal, force=True) as claim:
            claim.write(found.packed({"job": key}))
            claim.publish()
    on_event(found.event(monotonic() - began))
    return found


def adapt_clips(paths: Sequence[Path], output: Path, options: CleanOptions, *, on_event: OnEvent = ignore) -> Adapted:
    """Fit the weights of `options` to clips and write them to `output`; the base weights, where that does not help.

    Of the options, weights, device, range, video, force, stall_s, `gate` and `adapt` count: 30 seconds, where it sets
    no limit. Raises VidrainError.
    """
    began = monotonic()
    if not options.adapt.is_wanted:
        options = replace(options, adapt=replace(options.adapt, seconds=SECONDS))
    model = options.model or (_FIRST if options.weights is None else read_header(options.weights).get("model", _FIRST))
    refuse_to_adapt(model, options)
    for origin in paths:
        refuse_clashes(origin, [output])
    if options.weights is not None:
        refuse_clashes(options.weights, [output], "the base weights")
    base = _base(model, options.weights, options)
    clips = [clip for path in paths for clip in _clips(path, options)]
    with claimed(output, force=options.force) as claim:
        found = _adapted(model, base, clips, options, on_event)
        claim.write(found.content)
        claim.publish()
    for notice in found.notices:
        on_event(notice)
    on_event(found.event(monotonic() - began))
    return found


def _clips(path: Path, options: CleanOptions) -> Iterator[Clip]:
    """What of a file is meant."""
    watchdog = Watchdog(path, options.stall_s)
    for track in watchdog.opened(lambda _: chosen_tracks(path, options.video)):
        video = watchdog.opened(partial(_opened, path, track))
        yield Clip(video, kept_frames(options.start, options.end, video.index, video.info.time_base), watchdog)


def _opened(path: Path, track: int, pulse: Pulse) -> Video:
    return open_video(path, track=track, beat=pulse.beat)


def _base(model: str, weights: Path | None, options: CleanOptions) -> GateDecomposer:
    found = load_decomposer(model, weights, options.of_models)
    if not isinstance(found, GateDecomposer):
        raise TypeError(f"found {type(found).__name__}; want a gate, the only kind that `refuse_to_adapt` lets pass")
    return found


def _adapted(
    model: str, base: GateDecomposer, clips: Sequence[Clip], options: CleanOptions, on_event: OnEvent
) -> Adapted:
    """Weights fitted to `clips`, and what is to be said of them: no clock, no paths."""
    device = device_of(options.device)
    with short_of(device, "fitting"):
        net, outcome = adapt(base, clips, options.adapt, device=device, on_event=on_event)
    settings = {key: value for key, value in asdict(options.adapt).items() if key not in _LIMITS} | asdict(options.gate)
    said = {
        "vidrain": __version__,
        "torch": torch.__version__,
        "threads": options.adapt.threads or torch.get_num_threads(),
        "base": hash_of(base.net.state_dict()),
        "frames": [len(clip.kept) for clip in clips],
        "settings": settings,
        "outcome": asdict(outcome),
    }
    return Adapted(model=model, net=net, outcome=outcome, said=json.dumps(said, sort_keys=True))


def _taken_up(journal: Path, model: str, key: str, options: CleanOptions) -> Adapted | None:
    """What a run of the same jobs left in the journal when it was killed; None where it left nothing of use."""
    try:
        head = read_header(journal)
        if head.get("job") != key:
            return None
        told = json.loads(head["adapted"])["outcome"]
        outcome = Outcome(**{**told, "factors": tuple(told["factors"])})
        net = _base(model, journal, options).net
    except (ModelError, LookupError, TypeError, ValueError):  # not there, cut off, or of another version
        return None
    return Adapted(model=model, net=net, outcome=outcome, said=head["adapted"], is_reused=True)


def _hash_of_json(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
