"""The house keeps its shape: who may import whom, one door per foreign library, sizes, and what must not exist."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests import promises

ROOT = promises.ROOT
PACKAGE = ROOT / "vidrain"
FILES = [file for folder in ("vidrain", "tools") for file in sorted((ROOT / folder).rglob("*.py"))]

# A module imports from its own row and the rows above it, never from below.
ROWS: tuple[frozenset[str], ...] = (
    frozenset({"types", "errors", "fixed"}),
    frozenset(
        {
            *(
                "layers",
                "stream",
                "metrics",
                "shots",
                "align",
                "flow",
                "span",
                "pace",
                "naming",
                "fingerprint",
                "outputs",
                "leftovers",
                "lease",
                "scratch",
                "events",
                "events_bench",
                "missing",
            ),
            *("conceal", "watchdog", "provenance", "identity", "device", "video"),
            *("tables", "amount", "streak_shapes", "meter", "marks", "charts", "arena"),
        }
    ),
    frozenset({"timing", "likeness", "equality", "pairing", "texts"}),
    frozenset({"dimension", "model", "train"}),
    frozenset(
        {"baseline", "chroma", "sparing", "decompose", "layer_videos", "separate", "untouched", "weights", "foreseen"}
    ),
    frozenset(
        {"train.footage", "train.settled", "train.data", "train.truths", "train.preview", "train.run", "train.loop"}
    )
    | {"train.stretches", "train.adapt"},
    frozenset({"job", "tracks", "adaptation", "report", "segments", "pipeline", "archive"})
    | {"inspection", "analysis", "doctor", "verification"},
    frozenset({"part"}),
    frozenset({"rain_analysis"}),
    frozenset({"rain"}),
    frozenset({"export"}),
    frozenset({"evaluation"}),
    frozenset({"bench"}),
    frozenset({"config", "batch_lines", "progress", "listing", "rain_listing", "verdict"}),
    frozenset({"running"}),
    frozenset({"batch"}),
    frozenset({"viewer"}),
    frozenset({"cli_options"}),
    frozenset({"cli_research", "cli_rain", "cli_batch", "cli_segment", "cli_bench"}),
    frozenset({"cli"}),
)
# The package itself (its public door and its version) and the way in of `python -m vidrain`.
DOORSTEPS = {"__init__", "__main__"}

DOORS = {
    "av": {
        f"video/{name}.py"
        for name in (
            "index",
            "decode",
            "encoder",
            "encode",
            "pictures",
            "coded",
            "carried",
            "subtitles",
            "mux",
            "trial",
            "streams",
            "facts",
            "verify",
            "join",
        )
    },
    "decord": {"video/clips.py"},
    "ffmpeg": {"video/ffmpeg.py"},
    "imageio_ffmpeg": {"video/ffmpeg.py"},
    "cv2": {
        "video/color.py",
        *(
            "align.py",
            "flow.py",
            "shots.py",
            "streak_shapes.py",
            "meter.py",
            "amount.py",
            "marks.py",
            "model/filters.py",
        ),
        *("export/png_store.py", "viewer/thumbnail.py"),
        "device.py",  # how many threads it computes with
    },
    "omegaconf": {"config.py"},
    "click": {
        "cli.py",
        "cli_options.py",
        "cli_research.py",
        "cli_rain.py",
        "cli_batch.py",
        "cli_segment.py",
        "cli_bench.py",
    },
    "rich": {"progress.py"},
    "safetensors": {"weights.py"},
    "pyarrow": {"tables.py"},
    "zarr": {"export/zarr_store.py"},
    "h5py": {"export/hdf5_store.py"},
    "tifffile": {"export/tiff_store.py"},
    "OpenEXR": {"export/exr_store.py"},
    "ray": {"batch/ray_engine.py"},
}
LATE = (
    "torch",
    "numpy",
    "av",
    "cv2",
    "decord",
    "omegaconf",
    "ffmpeg",
    "pyarrow",
    "zarr",
    "h5py",
    "tifffile",
    "OpenEXR",
    "ray",
)

LONGEST_FILE, LONGEST_FUNCTION, MOST_ARGUMENTS = 400, 60, 6
NAMELESS = {"utils.py", "util.py", "misc.py", "common.py", "helpers.py"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def functions(file: Path) -> Iterator[Function]:
    return (node for node in ast.walk(promises.parsed(file)) if isinstance(node, Function))


def module_of(file: Path) -> str:
    """`vidrain/video/mux.py` -> `video.mux`."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def inner_imports(file: Path) -> set[str]:
    """The modules of vidrain that `file` imports, as `module_of` names them; `from vidrain import x` gives x."""
    dotted = (name.removeprefix("vidrain.") for name in promises.imported(file) if name.startswith("vidrain."))
    return {name for name in dotted if name in _modules()}


@cache
def _modules() -> frozenset[str]:
    return frozenset(module_of(other) for other in PACKAGE.rglob("*.py"))


def row_of(module: str) -> int:
    """Place of a module in ROWS; all of a folder stands together, but for the modules named there."""
    top = module.partition(".")[0]
    for name in (module, top):
        for place, row in enumerate(ROWS):
            if name in row:
                return place
    raise AssertionError(f"vidrain/{top}.py has no place in ROWS of {name_of(Path(__file__))}: give it one")


MODULES = [file for file in FILES if file.is_relative_to(PACKAGE) and module_of(file) not in DOORSTEPS]


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_imports_go_one_way(file: Path) -> None:
    own = module_of(file)
    below = {other for other in inner_imports(file) - DOORSTEPS if row_of(other) > row_of(own)}
    assert not below, f"{own} imports what is built on it"


@pytest.mark.parametrize("file", [file for file in MODULES if module_of(file).startswith("video")], ids=name_of)
def test_video_knows_nothing_of_models(file: Path) -> None:
    tops = {other.partition(".")[0] for other in inner_imports(file)}
    assert tops <= {"video", "types", "errors", "fixed"}


USING = {
    "train.footage",
    "train.data",
    "train.run",
    "train.loop",
    "train.stretches",
    "train.adapt",
}  # the loop and what feeds it
LEARNED = [file for file in MODULES if module_of(file).startswith(("model", "train")) and module_of(file) not in USING]


@pytest.mark.parametrize("file", LEARNED, ids=name_of)
def test_networks_and_losses_know_nothing_of_video(file: Path) -> None:
    tops = {other.partition(".")[0] for other in inner_imports(file)}
    assert tops <= {"model", "train", "types", "errors", "fixed"}


def test_no_circle() -> None:
    graph = {module_of(file): inner_imports(file) - {module_of(file)} for file in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("library", DOORS)
def test_one_door_per_library(library: str) -> None:
    users = {
        file.relative_to(PACKAGE).as_posix()
        for file in FILES
        if file.is_relative_to(PACKAGE)
        if any(name.partition(".")[0] == library for name in promises.imported(file))
    }
    assert users <= DOORS[library], f"{library} comes in by another door"


def test_no_import_leaves_the_package_by_dots() -> None:
    """Absolute names only, or the tests above would not see them."""
    assert [name_of(file) for file in FILES if any(name.startswith(".") for name in promises.imported(file))] == []


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_file_is_short_and_named(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE
    assert file.name not in NAMELESS
    assert ast.get_docstring(promises.parsed(file)) or not file.read_text(encoding="utf-8").strip()


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_functions_are_short(file: Path) -> None:
    lengths = {function.name: function.end_lineno - function.lineno + 1 for function in functions(file)}  # type: ignore[operator]
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_functions_take_few_arguments(file: Path) -> None:
    found = {function.name: arguments(function) for function in functions(file) if not is_command(function)}
    assert {name: names for name, names in found.items() if len(names) > MOST_ARGUMENTS} == {}


def arguments(function: Function) -> list[str]:
    every = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    return [argument.arg for argument in every if argument.arg not in ("self", "cls")]


def is_command(function: Function) -> bool:
    """A click command takes one argument per option; they are the user's, not a caller's."""
    decorators = (decorator.func for decorator in function.decorator_list if isinstance(decorator, ast.Call))
    return any(isinstance(decorator, ast.Attribute) and decorator.attr == "command" for decorator in decorators)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_what_must_not_exist(file: Path) -> None:
    found = []
    for node in ast.walk(promises.parsed(file)):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            found.append(f"{node.lineno}: bare except")
        elif isinstance(node, ast.Name) and node.id == "NotImplementedError":
            found.append(f"{node.lineno}: {node.id}")
        elif isinstance(node, ast.Call):
            found += [f"{node.lineno}: {what}" for what in forbidden_call(node, file)]
    assert found == []


def forbidden_call(call: ast.Call, file: Path) -> Iterator[str]:
    name = ast.unparse(call.func)
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name == "print" and file.is_relative_to(PACKAGE):
        yield "print"
    if name == "os.system" or keywords.get("shell") == "True":
        yield "a shell"
    if name == "torch.load" and keywords.get("weights_only") != "True":
        yield "torch.load without weights_only=True"


def test_the_command_line_imports_late() -> None:
    """`vidrain --help` and a usage error must not wait for torch."""
    code = f"import sys, vidrain.cli; print(*sorted(set({LATE!r}) & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


def test_help_loads_nothing_heavy() -> None:
    """What is waited for, as it is called: within 0.4 s none of these can be imported, busy machine or not."""
    code = (
        "import runpy, sys, atexit; sys.argv = ['vidrain', '--help'];"
        f"atexit.register(lambda: print('loaded:', *sorted({LATE!r} & sys.modules.keys())));"
        "runpy.run_module('vidrain', run_name='__main__')"
    ).replace(repr(LATE), repr({*LATE, "rich", "yaml", "safetensors"}))
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Commands:" in result.stdout
    assert result.stdout.splitlines()[-1] == "loaded:"


def test_what_is_imported_is_no_garbage() -> None:
    """It stays to the end: to look through all of torch again and again takes a third of the time of a short job."""
    code = (
        "import gc, runpy, sys, atexit; sys.argv = ['vidrain', 'clean', 'no.mp4'];"
        "atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > len(gc.get_objects())));"
        "runpy.run_module('vidrain', run_name='__main__')"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.split()) == (3, ["True", "True"]), result.stderr


def test_engines_load_nothing_of_the_work() -> None:
    """Each node of a cluster loads them beside the process that does the work: torch twice costs seconds and memory."""
    code = "import sys, vidrain.batch.processes, vidrain.batch.engine; print(*{'torch', 'av'} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
    assert inner_imports(PACKAGE / "batch" / "ray_engine.py") <= {
        *("batch.engine", "batch.processes", "batch.wire", "errors"),
    }


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_file_stands_in_the_layout(file: Path) -> None:
    if file.name == "__init__.py" and file.parent != PACKAGE:
        return
    layout = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"| `{name_of(file)}` |" in layout, f"give {name_of(file)} a line in CONTRIBUTING.md"
