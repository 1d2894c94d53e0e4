"""`vidrain export`: every format, read by its own library; tables, manifest, and what is refused."""

import csv
import hashlib
import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vidrain as library
from tests import ffmpeg_says, own_libraries
from tests.broken import wiped
from tests.pipeline.conftest import Vidrain
from vidrain.baseline import BaselineOptions
from vidrain.errors import InputError, UsageError
from vidrain.export import plan
from vidrain.export.names import FORMATS
from vidrain.export.plan import ExportOptions
from vidrain.export.run import export_clip
from vidrain.job import CleanOptions

SAMPLES = Path(__file__).parents[2] / "samples"
Exported = Callable[..., Path]


@pytest.fixture
def exported(samples: Path, tmp_path: Path, vidrain: Vidrain) -> Exported:
    def run(name: str, *options: str) -> Path:
        folder = tmp_path / "out"
        ran = vidrain("export", samples / name, "-o", folder, *options)
        assert (ran.code, ran.err) == (0, "")
        return folder

    return run


@pytest.mark.proves("export", "export --format", "export --space")
@pytest.mark.parametrize("space", ["rgb", "yuv"])
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_o_back_by_its_own_library(form: str, space: str, exported: Exported) -> None:
    """Odd sizes, halved chroma, a part of the video; the same numbers through `open_export`, in any order."""
    folder = exported("odd.mp4", "--format", form, "--space", space, "--start", "3", "--end", "8")
    layers = own_libraries.layers_of(folder)
    for o, b, r in zip(*(layers[name] for name in ("observed", "background", "rain")), strict=True):
        assert np.array_equal(o, b.astype(np.int32) + r)
        assert (o.dtype, b.dtype, r.dtype) == (np.uint8, np.uint8, np.int16)
    assert layers["rain"][0].any()
    if space == "yuv":
        due = ffmpeg_says.planes(SAMPLES / "odd.mp4", "yuv420p", (131, 97))[3:8]
        assert all(
            np.array_equal(o, np.stack(parts))
            for o, parts in zip(layers["observed"], zip(*due, strict=True), strict=True)
        )
    opened = library.open_export(folder)
    for name, whole in own_libraries.arrays_of(folder).items():
        assert (opened[name].shape, opened[name].dtype) == (whole.shape, whole.dtype)
        assert np.array_equal(opened[name][:], whole)
        assert np.array_equal(opened[name][-1], whole[-1])
        assert np.array_equal(opened[name][[4, 0, 1]], whole[[4, 0, 1]])
        assert np.array_equal(opened[name][1:4, 5:9, ::3], whole[1:4, 5:9, ::3])
    manifest = own_libraries.manifest_of(folder)
    assert (manifest["format"], manifest["space"]["name"], manifest["frames"]) == (form, space, 5)
    assert {item.name for item in folder.parent.iterdir()} == {"out"}
    assert not [item for item in folder.rglob(".*") if item.name != ".zattrs"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_damaged_file_is_one_line(form: str, exported: Exported) -> None:
    """Cut to a half, as a full card or a broken copy leaves it, then gone: whichever library reads it, the same kind of
    error."""
    folder = exported("odd.mp4", "--format", form, "--background", "--start", "3", "--end", "6")

    def refused() -> None:
        with pytest.raises(InputError, match=r"out: .* cannot be read \(.*\); export the clip again") as raised:
            for array in library.open_export(folder).values():
                array[:]
        assert "\n" not in str(raised.value)

    largest = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    refused()
    largest.unlink()
    refused()


def test_an_export_that_was_changed_is_one_line(exported: Exported) -> None:
    """Whatever became of its table and its manifest."""
    folder = exported("odd.mp4", "--format", "npz", "--background", "--start", "3", "--end", "6")
    table, manifest = folder / "frames.csv", folder / "manifest.json"
    whole = json.loads(manifest.read_text())

    def refused(*names: str) -> None:
        with pytest.raises(InputError, match=f"^{re.escape(str(folder))}: ") as raised:
            library.open_export(folder)["background"][:]
        assert all(name in str(raised.value) for name in ("export", *names)), str(raised.value)
        assert "\n" not in str(raised.value)

    for content in ("[]", "3", "null", "{}", "{", "[" * 100_000):
        manifest.write_text(content)
        refused()
    for name in ("arrays", "frames", "frames_per_shard", "format"):
        manifest.write_text(json.dumps({key: value for key, value in whole.items() if key != name}))
        refused("manifest.json lacks", name)
    for name, other in (("arrays", [{}]), ("arrays", 3), ("frames_per_shard", 0), ("format", "png")):
        manifest.write_text(json.dumps(whole | {name: other}))
        refused("cannot be read")
    manifest.write_text(json.dumps(whole))
    for content in ("frame,pts\n", "frame\nx\n", table.read_text().replace("sha256_rain", "x"), "\0"):
        table.write_text(content)
        refused()
    table.unlink()
    refused("frames.csv cannot be read")


@pytest.mark.proves("export --observed", "export --background", "export --rain")
def test_layers_are_chosen(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    for layer in ("observed", "background", "rain"):
        ran = vidrain(
            "export", samples / "odd.mp4", "-o", tmp_path / layer, f"--{layer}", "--format", "npz", "--end", "2"
        )
        assert ran.code == 0
        opened = library.open_export(tmp_path / layer)
        assert list(opened) == [layer]
        assert opened.table.keys() == plan.COLUMNS.keys()  # of all three layers there are checksums


@pytest.mark.proves("export CLIP", "export --output", "export --start", "export --end")
def test_table_is_that_of_ffmpeg_and_its_checksums_are_those_of_the_arrays(samples: Path, exported: Exported) -> None:
    folder = exported("vfr.mp4", "--space", "yuv", "--start", "0.3s", "--end", "20")
    table = own_libraries.table_of(folder)
    track = ffmpeg_says.shown_frames(samples / "vfr.mp4")
    first = next(place for place, time in enumerate(track.seconds) if time - track.seconds[0] >= 0.3)
    kept = slice(first, 20)
    assert table["frame"] == list(range(first, 20))
    assert table["pts"] == track.pts[kept]
    assert set(table["time_base"]) == {str(track.time_base)}
    assert table["seconds"] == [float(time) for time in track.seconds[kept]]
    ends = [after - before for before, after in zip(table["pts"], track.pts[first + 1 : 21], strict=True)]
    assert table["duration"] == ends
    shown = [line for line in ffmpeg_says.shown_info(samples / "vfr.mp4").splitlines() if " pts_time:" in line]
    assert table["picture_type"] == [line.partition(" type:")[2][0] for line in shown][kept]
    assert table["keyframe"] == [kind == "I" for kind in table["picture_type"]]
    layers = own_libraries.layers_of(folder)
    for layer, arrays in layers.items():
        for place, due in enumerate(table[f"sha256_{layer}"]):
            assert hashlib.sha256(b"".join(array[place].tobytes() for array in arrays)).hexdigest() == due
    amounts = np.maximum(layers["rain"][0], 0).mean(axis=(1, 2)) / 219
    assert np.allclose(table["rain"], amounts, rtol=1e-12)
    with (folder / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["pts"]) for row in rows] == table["pts"]
    assert [float(row["rain"]) for row in rows] == table["rain"]
    opened = library.open_export(folder)
    assert opened.table["pts"].tolist() == table["pts"]
    assert opened.position(first + 2) == 2
    with pytest.raises(KeyError):
        opened.position(first - 1)


def test_a_part_is_that_of_the_whole_in_two_passes(samples: Path, tmp_path: Path) -> None:
    """Every frame is shown twice, so that a pass looks as far as its context goes."""
    twice = tmp_path / "twice.mp4"
    doubled = "fps=50,scale=96:64,trim=end_frame=28"
    ffmpeg_says.quietly("-i", samples / "street.mp4", "-vf", doubled, "-c:v", "libx264", "-qp", "0", twice)
    baseline = BaselineOptions(radius=1, passes=2)
    found = []
    for name, start, end in (("whole", None, None), ("part", "12", "16")):
        how = CleanOptions(start=start, end=end, baseline=baseline)
        export_clip(twice, tmp_path / name, options=ExportOptions(format="npz", clean=how))
        found.append(own_libraries.table_of(tmp_path / name)["sha256_background"])
    assert found[0][12:16] == found[1]


def test_manifest_says_what_made_it(samples: Path, exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/vidrain", "export", "a clip.mp4"])
    folder = exported("full_range.mp4", "--end", "1", "--format", "tiff", "model=baseline", "baseline.radius=2")
    manifest = own_libraries.manifest_of(folder)
    digest = hashlib.sha256((samples / "full_range.mp4").read_bytes()).hexdigest()
    assert manifest["source"]["sha256"] == digest
    assert manifest["model"] == {"name": "baseline", "weights_sha256": None}
    assert manifest["config"]["baseline"]["radius"] == 2
    assert manifest["versions"].keys() >= {"vidrain", "av", "ffmpeg", "numpy", "torch", "tifffile"}
    assert manifest.pop("command") == "vidrain export 'a clip.mp4'"  # as given, paths and all; there are no others
    assert str(samples) not in json.dumps(manifest)
    assert str(folder.parent) not in json.dumps(manifest)
    assert manifest["made_by"].startswith(f"{library.__version__} baseline weights=none config=")
    assert [array["axes"] for array in manifest["arrays"]] == ["tyxc"] * 3


def test_manifest_names_the_weights_that_come_with_vidrain(exported: Exported) -> None:
    folder = exported("odd.mp4", "--end", "1", "--rain", "--format", "npz", "preset=quality")
    manifest = own_libraries.manifest_of(folder)
    digest = hashlib.sha256((Path(library.__file__).parent / "shipped/gate-l.safetensors").read_bytes()).hexdigest()
    assert manifest["model"] == {"name": "gate-l", "weights_sha256": digest}
    assert f" weights={digest[:12]} " in manifest["made_by"]


@pytest.mark.proves("export KEY=VALUE", "export --model", "export --weights", "export --json")
def test_model_and_events(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source = samples / "odd.mp4"
    how = ("--end", "3", "--format", "npz", "--json", "model=baseline", "baseline.radius=1")
    ran = vidrain("export", source, "-o", tmp_path / "a", *how)
    assert [event["event"] for event in ran.events if event["event"] != "progress"] == ["export_plan", "export_done"]
    assert (ran.events[0]["frames"], ran.events[0]["resumed"], ran.events[-1]["frames"]) == (3, 0, 3)
    assert own_libraries.manifest_of(tmp_path / "a")["config"]["baseline"]["radius"] == 1
    ran = vidrain("export", source, "-o", tmp_path / "b", "--model", "nonesuch")
    assert (ran.code, "nonesuch" in ran.err) == (7, True)
    ran = vidrain("export", source, "-o", tmp_path / "b", "--weights", tmp_path / "none.safetensors")
    assert (ran.code, "no such weights file" in ran.err) == (7, True)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("form", "module"),
    [("zarr", "zarr"), ("tiff", "tifffile"), ("hdf5", "h5py"), ("exr", "OpenEXR"), ("npz", "pyarrow")],
)
def test_missing_library_names_what_installs_it(
    form: str, module: str, samples: Path, tmp_path: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name == module or name.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("vidrain.export.") and name.endswith("_store")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)  # what Python itself does for a module that is not there
    ran = vidrain("export", samples / "odd.mp4", "-o", tmp_path / "out", "--format", form)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "pip install -c constraints.txt '.[export]'" in ran.err
    assert "vidrain[export]" not in ran.err  # which an index may hold of somebody else
    assert module in ran.err
    assert list(tmp_path.iterdir()) == []


def test_what_means_nothing_is_refused(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    for pair, said in (
        ("cfr=25", "cfr means nothing for an export"),
        ("video=all", "one at a time"),
        ("pad=true", "pad"),
    ):
        ran = vidrain("export", samples / "odd.mp4", "-o", tmp_path / "out", pair)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert said in ran.err
    with pytest.raises(InputError, match="is no finished export"):
        library.open_export(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"space": name} for name in ("RGB", "", None)),
        *({"format": name} for name in ("png", "ZARR", None)),
        *({"layers": names} for names in ((), ("bg",), ("rain", "bg"), ("rain", "rain"), "rain", (["rain"],), None)),
    ],
)
def test_options_that_no_command_line_checked_are_refused(wrong: dict[str, Any], samples: Path, tmp_path: Path) -> None:
    ((name, given),) = wrong.items()
    allowed = {"space": "rgb, yuv", "format": ", ".join(FORMATS), "layers": "observed, background, rain"}[name]
    with pytest.raises(UsageError, match=f"^{name}=.*allowed.*{allowed}") as refused:
        export_clip(samples / "odd.mp4", tmp_path / "out", options=ExportOptions(**wrong))
    assert repr(given) in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_lost_frames_leave_no_gap_but_their_numbers(tmp_path: Path, samples: Path, vidrain: Vidrain) -> None:
    """What is left is exported, the table keeps the source's own numbers, exit code 4; or nothing, if so asked."""
    coded = tmp_path / "coded.mov"
    ffmpeg_says.quietly("-i", samples / "full_range.mp4", "-an", "-c:v", "mjpeg", "-q:v", "2", "-frames:v", "8", coded)
    broken, folder = wiped(coded, tmp_path / "broken.mov", range(3, 5)), tmp_path / "out"
    ran = vidrain("export", broken, "-o", folder, "--format", "png16", "--space", "yuv")
    assert (ran.code, ran.err.count("\n")) == (4, 1)
    assert own_libraries.table_of(folder)["frame"] == [0, 1, 2, 5, 6, 7]
    layers = own_libraries.layers_of(folder)
    assert all(np.array_equal(o, b.astype(int) + r) for o, b, r in zip(*layers.values(), strict=True))
    assert library.open_export(folder).position(5) == 3
    assert own_libraries.manifest_of(folder)["missing"] == [[0.12, 0.2]]
    ran = vidrain("export", broken, "-o", tmp_path / "none", "on_bad_frame=fail")
    assert (ran.code, (tmp_path / "none").exists()) == (3, False)


def blocks_of(page: Path) -> list[str]:
    """The Python blocks of a page."""
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


def test_examples_of_the_docs_run(
    samples: Path, tmp_path: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """README to the letter: its command in the checkout, then what it says to Python."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")  # no window
    (tmp_path / "samples").symlink_to(samples)
    research = (samples.parent / "README.md").read_text().partition("## For research")[2].partition("\n## ")[0]
    install, command = re.findall(r"```\n(.*?)\n(.*?)\n```", research)[0]
    program, *arguments = shlex.split(command, comments=True)
    assert (program, vidrain(*arguments).code) == (".venv/bin/vidrain", 0)
    extra = re.search(r"-e '\.\[(\w+)\]'", install)
    assert extra is not None and f"\n{extra[1]} = [" in (samples.parent / "pyproject.toml").read_text()
    (python,) = re.findall(r"```python\n(.*?)```", research, re.DOTALL)
    exec(python, {})
    load, plot, without = blocks_of(samples.parent / "docs" / "exports.md")
    names: dict[str, object] = {}
    exec(load, names)
    exec(without, names)
    assert np.array_equal(names["rain"], names["export"]["rain"][0])  # type: ignore[index]
    exec(plot, names)
    assert (tmp_path / "rain.png").read_bytes().startswith(b"\x89PNG")


def test_videos_of_a_turned_source_lie_as_all_formats_do(samples: Path, exported: Exported) -> None:
    """Read by a program that turns what says it is to be turned."""
    folder = exported("rotated.mp4", "--format", "ffv1", "--end", "2")
    assert own_libraries.manifest_of(folder)["video"]["display_matrix"] is not None
    plain = np.frombuffer(
        ffmpeg_says.quietly("-i", folder / "observed.mp4", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"), np.uint8
    )
    observed = library.open_export(folder)["observed"]
    assert np.array_equal(plain.reshape(observed.shape), observed[:])
    assert not any("rotat" in line for line in ffmpeg_says.streams(folder / "observed.mp4"))


def test_a_folder_that_holds_the_source_is_no_target(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    """An export of a layer of an export, which --force would replace with it."""
    folder = tmp_path / "out"
    assert vidrain("export", samples / "odd.mp4", "-o", folder, "--format", "ffv1", "--end", "2").code == 0
    for command in ("export",), ("analyze", "rain"):
        ran = vidrain(*command, folder / "observed.mp4", "-o", folder, "--force")
        assert (ran.code, "which is read; choose another -o" in ran.err) == (2, True)
    assert (folder / "observed.mp4").exists()
