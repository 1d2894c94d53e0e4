"""What was done to a file, put together from what each pass over it did and found. Does nothing itself."""

import json
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from vidrain.amount import rain_curve
from vidrain.conceal import Concealed, in_words
from vidrain.events import FileDone, Notice, Plan
from vidrain.job import Job
from vidrain.missing import Missing
from vidrain.train.adapt import Outcome
from vidrain.untouched import failed_frames
from vidrain.video.verify import Expected, Verified

_STRETCHES = 40  # that the rain of a whole file is told in: a small curve


@dataclass(frozen=True, kw_only=True)
class CleanReport:
    """What was done to one file.

    videos: which of its videos were cleaned; frames are those of all of them. frames_repeated: frames that could not be
    decoded, and for which the clean frame before stands in. repeated, dropped: frames, for a constant rate that was
    asked for. frames_dry: those that went out as they came in, because it does not rain.
    rain: how much it rains, mean over the frames that went out of the first video of these, as `vidrain.amount` has it;
    rain_over_time: the same of stretches of them, 40 at most.
    missing: (start, end) seconds from the first frame of what could not be decoded or is not in the file; status is
    `partial` if there are any, or if sound or an unknown length is missing (see the notices). pts_equal: every frame
    has exactly the source's time (less the start of a range); false at a constant rate. copied, left_out: the other
    streams, in words, and what lies outside of them. made_by: version, model, hashes of weights and options, as the
    files state it. adaptation: how weights were fitted to the footage, None where that was not asked for. exact:
    whether the clean file is lossless, so that it and the rain archive give O back.
    """

    source: Path
    outputs: dict[str, Path]  # role (clean, rain, rain_preview, compare, adapted) -> path
    status: Literal["ok", "partial"]
    videos: tuple[int, ...]
    frames_in: int
    frames_out: int
    frames_repeated: int
    repeated: int
    dropped: int
    rain: float
    rain_over_time: tuple[float, ...]
    pts_equal: bool
    missing: tuple[tuple[float, float], ...]
    copied: tuple[str, ...]
    left_out: tuple[str, ...]
    notices: tuple[Notice, ...]
    model: str
    made_by: str
    adaptation: Outcome | None
    encoder: str
    pix_fmt: str
    exact: bool
    crops: dict[int, tuple[int, int]]  # video -> its true width and height, where it was padded
    seconds: float
    fps: float
    peak_memory_mib: float
    frames_dry: int = 0


@dataclass
class Tally:
    """Counted while a video is cleaned. untouched: frames that the model failed on; repeated: in place of lost ones.

    rain: amount of every frame that goes out; dry: how many of these were left as they are, because it does not rain.
    """

    untouched: list[int] = field(default_factory=list)
    repeated: Concealed = field(default_factory=Concealed)
    rain: list[float] = field(default_factory=list)
    dry: int = 0


@dataclass(frozen=True)
class Pass:
    """One video cleaned: what was done, written and found. The source of `job` may be the result of another pass.

    clean: what the clean file holds; is_exact: whether all times are the source's own.
    """

    job: Job
    clean: Expected
    found: Verified
    missing: Missing
    tally: Tally
    is_exact: bool

    def notices(self) -> list[Notice]:
        """What shows only afterwards."""
        decoded = self.job.video.decoded
        found = failed_frames(self.tally.untouched)
        found += [Notice(code="times", message=note) for note in self.found.notes]
        if moved := decoded.moved_times:
            message = f"{moved} frames had times that ran backwards; they were moved between their neighbours"
            found.append(Notice(code="times", message=message))
        if decoded.damaged_packets and not self.missing:
            message = f"{decoded.damaged_packets} damaged packets; every frame was decoded, some may look wrong"
            found.append(Notice(code="damage", message=message))
        lost = ~decoded.frames[self.job.kept.start : self.job.kept.stop]
        words = in_words(lost, self.tally.repeated, self.job.video.index, self.job.video.info.time_base)
        found += [Notice(code="damage", message=what) for what in words]
        found += self.missing.notices()
        if self.job.span is None:  # a part of a video may well have no lines of text
            found += [
                Notice(
                    code="left_out", message=f"stream {index} ({copied.kind}) holds no packets: nothing is left of it"
                )
                for index, copied in self.clean.copied.items()
                if not copied.count and not copied.refused
            ]
        if self.missing.picture and self.job.compare is not None:
            found.append(Notice(code="left_out", message="no comparison: other programs pair what is left otherwise"))
        return found


def report_of(
    done: Sequence[Pass],
    outputs: dict[str, Path],
    notices: tuple[Notice, ...],
    *,
    adaptation: Outcome | None,
    seconds: float,
) -> CleanReport:
    """What to say of all passes over a file together."""
    first = done[0]
    frames_out = sum(len(each.clean.pts) for each in done)
    paces = [each.job.pace for each in done if each.job.pace is not None]
    cleaned = {each.job.video.info.stream_index for each in done}
    return CleanReport(
        source=first.job.video.info.path,
        outputs=outputs,
        status="partial" if any(each.missing for each in done) else "ok",
        videos=tuple(each.job.video.info.track for each in done),
        frames_in=sum(len(each.job.kept) for each in done),
        frames_out=frames_out,
        frames_repeated=sum(each.tally.repeated.frames_repeated for each in done),
        repeated=sum(pace.repeated for pace in paces),
        dropped=sum(pace.dropped for pace in paces),
        rain=fmean(first.tally.rain),
        rain_over_time=rain_curve(first.tally.rain, most=_STRETCHES),
        pts_equal=all(each.is_exact for each in done),
        missing=tuple(sorted({stretch for each in done for stretch in each.missing.picture})),
        copied=tuple(copied.kind for index, copied in first.clean.copied.items() if index not in cleaned),
        left_out=first.job.left_out,
        notices=notices,
        model=first.job.model,
        made_by=first.job.made_by,
        adaptation=adaptation,
        encoder=", ".join(dict.fromkeys(each.job.clean.plan.encoder for each in done)),
        pix_fmt=", ".join(dict.fromkeys(each.job.clean.plan.pix_fmt for each in done)),
        exact=all(each.job.clean.plan.lossless for each in done),
        crops={
            each.job.video.info.track: each.job.true_size for each in done if each.job.clean.size != each.job.true_size
        },
        seconds=seconds,
        fps=frames_out / seconds,
        peak_memory_mib=_peak_memory_mib(),
        frames_dry=sum(each.tally.dry for each in done),
    )


def to_json(report: CleanReport) -> dict[str, Any]:
    """A report as plain values of JSON."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(report), default=str))
    return found


def from_json(found: Mapping[str, Any], outputs: dict[str, Path]) -> CleanReport:
    """The report that `to_json` was given, of `outputs`."""
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    return CleanReport(
        **plain
        | {
            "source": Path(found["source"]),
            "outputs": outputs,
            "missing": tuple((start, end) for start, end in found["missing"]),
            "notices": tuple(Notice(**notice) for notice in found["notices"]),
            "adaptation": found["adaptation"] and _outcome(found["adaptation"]),
            "crops": {int(video): (width, height) for video, (width, height) in found["crops"].items()},
        }
    )


def _outcome(found: Mapping[str, Any]) -> Outcome:
    return Outcome(**{**found, "factors": tuple(found["factors"])})


def plan_event(jobs: Sequence[Job]) -> Plan:
    """The event that says what will be done."""
    job = jobs[0]
    info = job.video.info
    return Plan(
        source=str(info.path),
        outputs={role: str(path) for role, path in job.targets.items()},
        model=job.model,
        made_by=job.made_by,
        encoder=job.clean.plan.encoder,
        pix_fmt=job.clean.plan.pix_fmt,
        width=info.width,
        height=info.height,
        frames=sum(job.frames for job in jobs),
    )


def done_event(report: CleanReport) -> FileDone:
    """The event that says what was done."""
    return FileDone(
        status=report.status,
        outputs={role: str(path) for role, path in report.outputs.items()},
        frames_in=report.frames_in,
        frames_out=report.frames_out,
        frames_repeated=report.frames_repeated,
        pts_equal=report.pts_equal,
        streams=list(report.copied),
        seconds=report.seconds,
        frames_dry=report.frames_dry,
    )


def _peak_memory_mib() -> float:
    """Most memory this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
