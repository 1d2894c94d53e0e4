"""Measures a batch of twenty clips, five of them damaged, on a Ray cluster of two nodes against processes.

    python -m tools.bench_ray CLIP... [--seconds 2] [--repeats 3] [--json]

Both have two slots of one CPU on this machine. The seconds are those of `batch_done`, from the look at the files on: a
driver joins the cluster in them, which was started before and is measured apart. The two take turns, with outputs of
their own; medians are compared. Ray starts a process of its own on each node with the first tasks, which counts: some
seconds, the same for any batch. A last run on Ray loses a node in the middle. Every output of every run is compared
with those of the first one, byte for byte, and verified against its source.

What travels is counted as the bytes of all tasks and messages, and as the most that Ray said its object stores held
whenever the batch looked after its tasks, several times a second. Ray keeps what is below 100 kB out of them.
"""

import json
import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from os import getloadavg
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import click
import imageio_ffmpeg

import vidrain
from vidrain.batch.inputs import items_in
from vidrain.batch.options import BatchOptions
from vidrain.batch.plan import files_of
from vidrain.batch.run import run_batch
from vidrain.config import load_clean
from vidrain.events import Event, FileEnd, FileNews

CHEAP = (
    "model=baseline",
    "baseline.radius=1",
    "align.preset=ultrafast",
    "align.scale=0.25",
    "encode.options.preset=ultrafast",
)
DAMAGED = ("empty.mp4", "text.mp4", "open.mp4", "sound.mp4", "noise.mkv")
_WHOLE = 15
_LOST_AFTER = 5  # files that are done
_STORE = 80_000_000  # bytes of the object store of a node


@dataclass
class Found:
    """Seconds of every run, by engine; of the start of each cluster; bytes that travelled in a run on Ray."""

    clips: int
    processes: list[float] = field(default_factory=list)
    ray: list[float] = field(default_factory=list)
    cluster_start: list[float] = field(default_factory=list)
    with_a_lost_node: float = 0.0
    tried_again: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    object_store_bytes: int = 0
    outputs_bytes: int = 0
    load: tuple[float, float, float] = (0.0, 0.0, 0.0)  # averages of the machine at the end

    @property
    def overhead(self) -> float:
        """How much longer Ray takes, as a share."""
        return median(self.ray) / median(self.processes) - 1


def write_twenty(clips: Sequence[Path], whole: Path, folder: Path, seconds: float) -> Path:
    """Fifteen cuts of `clips`, in turns, and five files damaged in five ways; whole: an MP4 with sound, to damage."""
    (folder / "sub").mkdir(parents=True)
    for number in range(_WHOLE):
        clip = clips[number % len(clips)]
        target = folder / ("sub" if number % 2 else "") / f"{number:02d}_{clip.name}"
        _ffmpeg("-i", str(clip), "-map", "0", "-c", "copy", "-t", str(seconds), str(target))
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("no video at all", encoding="utf-8")
    content = whole.read_bytes()
    (folder / "open.mp4").write_bytes(content[: content.index(b"moov") - 4])
    _ffmpeg("-i", str(whole), "-map", "0:a", "-c", "copy", str(folder / "sound.mp4"))
    (folder / "noise.mkv").write_bytes(random.Random(1).randbytes(100_000))
    return folder


def _ffmpeg(*arguments: str) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", *arguments], check=True)


@contextmanager
def two_nodes(found: Found) -> Iterator[tuple[Any, Any]]:
    """A cluster of two nodes of one CPU on this machine, and the second of them."""
    import ray
    from ray.cluster_utils import Cluster

    began = monotonic()
    own = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": _STORE}
    cluster = Cluster(initialize_head=True, head_node_args=own)
    try:
        second = cluster.add_node(num_cpus=1, object_store_memory=_STORE)
        cluster.wait_for_nodes()
        found.cluster_start.append(monotonic() - began)
        yield cluster, second
    finally:
        ray.shutdown()  # else the cluster does not go where the batch failed
        cluster.shutdown()


@contextmanager
def counted(found: Found) -> Iterator[None]:
    """Count the bytes of tasks and messages meanwhile, at the door to Ray, and look at what its stores hold."""
    import ray

    from vidrain.batch.ray_engine import RayEngine

    get, start, poll = ray.get, RayEngine.start, RayEngine.poll

    def counted_get(*arguments: Any, **more: Any) -> Any:
        got = get(*arguments, **more)
        found.received_bytes += len(got.encode()) if isinstance(got, str) else 0
        return got

    def counted_start(engine: RayEngine, task: dict[str, Any]) -> None:
        found.sent_bytes += len(json.dumps(task))
        start(engine, task)

    def looking_poll(engine: RayEngine, timeout_s: float) -> Any:
        ended = poll(engine, timeout_s)
        found.object_store_bytes = max(found.object_store_bytes, stored_bytes())
        return ended

    ray.get, RayEngine.start, RayEngine.poll = counted_get, counted_start, looking_poll  # type: ignore[method-assign, assignment]
    found.sent_bytes = found.received_bytes = 0
    try:
        yield
    finally:
        ray.get, RayEngine.start, RayEngine.poll = get, start, poll  # type: ignore[method-assign]


def stored_bytes() -> int:
    """What the object stores of the cluster hold just now."""
    import ray

    name = "object_store_memory"
    return int(ray.cluster_resources().get(name, 0) - ray.available_resources().get(name, 0))


def batch(card: Path, out: Path, options: BatchOptions, on_event: Any = lambda event: None) -> float:
    """Seconds of one batch; ClickException where it does not end with fifteen files done and five explained."""
    items = items_in([str(card)], out)
    files = files_of(items, lambda own: load_clean(None, [*CHEAP, *own], {}), ())
    done = run_batch(files, out, options, on_event=on_event)
    failed = {end.file: end.cause for end in done.troubles if end.state == "failed"}
    if (done.done, done.left, sorted(failed)) != (_WHOLE, 0, sorted(DAMAGED)) or not all(failed.values()):
        raise click.ClickException(f"{options.engine}: {done.done} files done, failed: {failed}")
    return done.seconds


def outputs(out: Path) -> dict[str, bytes]:
    """What a batch wrote."""
    files = (path for path in out.rglob("*.*") if path.is_file() and ".vidrain" not in path.parts)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def checked(card: Path, out: Path, due: dict[str, bytes]) -> None:
    """ClickException where outputs are not those that are due, or one is not its source in all but the rain."""
    if outputs(out) != due:
        raise click.ClickException(f"{out.name}: outputs differ from those of the first run")
    for name in due:
        if vidrain.verify_against(out / name, card / name).exit_code:
            raise click.ClickException(f"{out.name}: {name} does not verify")
    shutil.rmtree(out)


def measured(card: Path, folder: Path, repeats: int) -> Found:
    """All runs, in turns; then the one that loses a node."""
    found, due = Found(clips=_WHOLE + len(DAMAGED)), dict[str, bytes]()
    for number in range(repeats):
        out = folder / f"processes{number}"
        found.processes.append(batch(card, out, BatchOptions(workers=2)))
        due = due or outputs(out)
        checked(card, out, due)
        out = folder / f"ray{number}"
        with two_nodes(found) as (cluster, _), counted(found):
            found.ray.append(batch(card, out, BatchOptions(engine="ray", address=cluster.address)))
        checked(card, out, due)
    out, ended = folder / "lost", list[str]()
    with two_nodes(found) as (cluster, second):

        def lose(event: Event) -> None:
            """In the middle of a file, when both nodes have one."""
            if isinstance(event, FileEnd):
                ended.append(event.state)
            in_the_middle = isinstance(event, FileNews) and event.event == "plan"
            if in_the_middle and ended.count("done") >= _LOST_AFTER and second in cluster.worker_nodes:
                cluster.remove_node(second, allow_graceful=False)

        found.with_a_lost_node = batch(card, out, BatchOptions(engine="ray", address=cluster.address), lose)
    checked(card, out, due)
    found.tried_again, found.outputs_bytes = ended.count("again"), sum(map(len, due.values()))
    found.load = getloadavg()
    return found


@click.command()
@click.argument("clips", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--seconds", default=2.0, show_default=True, help="Of each cut.")
@click.option("--repeats", default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(clips: tuple[Path, ...], seconds: float, repeats: int, as_json: bool) -> None:
    """Measure Ray against processes on cuts of CLIP..."""
    whole = Path(__file__).resolve().parents[1] / "samples" / "full_range.mp4"
    with TemporaryDirectory(prefix="vidrain-", dir=Path.cwd()) as folder:
        card = write_twenty(clips, whole, Path(folder) / "card", seconds)
        found = measured(card, Path(folder), repeats)
    if as_json:
        click.echo(json.dumps({**asdict(found), "overhead": found.overhead}))
        return
    for name, taken in (
        ("processes", found.processes),
        ("ray", found.ray),
        ("start of a cluster", found.cluster_start),
    ):
        click.echo(f"{name}: median {median(taken):.1f} s of {', '.join(f'{each:.1f}' for each in taken)}")
    click.echo(
        f"overhead of Ray {found.overhead:+.1%}; with a lost node {found.with_a_lost_node:.1f} s, {found.tried_again} "
        f"files tried again; sent {found.sent_bytes} bytes, received {found.received_bytes}, in object stores "
        f"{found.object_store_bytes} at most, beside {found.outputs_bytes} of outputs; load {found.load[0]:.1f}"
    )


if __name__ == "__main__":
    main()
