"""What vidrain promises, and which tests keep it.

Promises are read from the command line itself, proofs from the `proves` and `library` marks on the tests
(from the source, so slow tests count without being collected). `tools/make_docs.py` writes both down in
docs/promises.md; tests/unit/test_promises.py fails when a promise has no proof.
"""

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]

# Library of the card -> the name it is imported by.
CARD = {
    "torch": "torch",
    "av": "av",
    "decord": "decord",
    "numpy": "numpy",
    "opencv-python": "cv2",
    "ffmpeg-python": "ffmpeg",
    "click": "click",
    "omegaconf": "omegaconf",
}

EXITS = {
    "exit 0": "done",
    "exit 1": "some files of a batch failed",
    "exit 2": "wrong usage",
    "exit 3": "input unusable",
    "exit 4": "partial or salvaged",
    "exit 5": "no space, or the output cannot be written",
    "exit 6": "busy: another run holds the output",
    "exit 7": "model unusable",
    "exit 70": "a fault of vidrain",
    "exit 130": "stopped by Ctrl-C",
    "exit 143": "stopped by SIGTERM",
}

# Documented today, kept by a command that does not exist yet.
LATER: set[str] = set()

# Promise -> why no line of vidrain can be switched off to make its test fail.
UNSWITCHABLE: dict[str, str] = {}

SWITCHES = Path("tests/slow/switched_off.toml")


@dataclass(frozen=True)
class Promise:
    """One thing the command line offers: its name, such as `clean --rain`, and how a user reads of it."""

    name: str
    text: str


@dataclass(frozen=True)
class Switch:
    """How to switch one promise off: replace `find`, which occurs once in `file`; `test` must then fail."""

    promise: str
    file: str
    find: str
    replace: str
    test: str

    def patched(self, source: str) -> str:
        """`source` with the feature switched off; ValueError when the place is not found exactly once."""
        places = source.count(self.find)
        if places != 1:
            raise ValueError(f"{self.promise}: {self.find!r} occurs {places} times in {self.file}, not once")
        result = source.replace(self.find, self.replace)
        ast.parse(result, self.file)  # a syntax error would fail any test and prove nothing
        return result


def switches(root: Path = ROOT) -> list[Switch]:
    """The rows of switched_off.toml."""
    table = tomllib.loads((root / SWITCHES).read_text(encoding="utf-8"))
    return [Switch(**row) for row in table.get("switch", [])]


def cli_promises(main: click.Command, path: str = "vidrain") -> list[Promise]:
    """Every command, argument and option below `main`, in the order of the help text.

    Names leave the program out (`clean --rain`); only the options of the program itself keep it
    (`vidrain --version`).
    """
    found = []
    name = path.removeprefix("vidrain ")
    if not isinstance(main, click.Group):
        found.append(Promise(name, main.get_short_help_str(limit=200)))
    found += [Promise(f"{name} {_name(param)}", _text(param)) for param in main.params]
    if isinstance(main, click.Group):
        for child, command in main.commands.items():
            found += cli_promises(command, f"{path} {child}")
    return found


def _name(param: click.Parameter) -> str:
    """The longest spelling of an option; an argument as the usage line shows it, less its brackets."""
    if isinstance(param, click.Option):
        return max(param.opts, key=len)
    return re.sub(r"\[|\]|\.\.\.", "", param.human_readable_name)


def _text(param: click.Parameter) -> str:
    return " ".join((getattr(param, "help", None) or "").split())


def required(main: click.Command) -> list[str]:
    """The promises that need a proof today."""
    return [promise.name for promise in cli_promises(main)] + [code for code in EXITS if code not in LATER]


def is_misspelt(name: str, main: click.Command) -> bool:
    """Whether a proof names an option, command or exit code that vidrain does not have.

    Other names are free: a test may also keep a promise of the Python interface or of the Makefile.
    """
    known = {promise.name for promise in cli_promises(main)} | EXITS.keys()
    looks_known = " -" in name or name.startswith(("exit ", "vidrain --"))
    return looks_known and name not in known


@cache
def parsed(file: Path) -> ast.Module:
    """What a file of Python says. Read once a run."""
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


@cache
def proofs(mark: str, root: Path = ROOT) -> Mapping[str, list[str]]:
    """Argument of `@pytest.mark.<mark>(...)` -> the node ids of the tests that carry it, sorted. Read once a run."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in sorted((root / "tests").rglob("test_*.py")):
        tree = parsed(file)
        at = file.relative_to(root).as_posix()
        of_file = _strings(_pytestmark(tree), mark, at)
        for node, arguments in _marked(tree.body, mark, at):
            for argument in of_file + arguments:
                found[argument].append(node)
        _refuse_marks_elsewhere(tree, mark, at)
    return {name: sorted(set(nodes)) for name, nodes in found.items()}


def _marked(body: list[ast.stmt], mark: str, at: str) -> Iterator[tuple[str, list[str]]]:
    """(node id, mark arguments) of each test in `body`; a mark on a class counts for all its tests."""
    for item in body:
        if isinstance(item, ast.ClassDef):
            own = _arguments(item, mark, at)
            for node, arguments in _tests(item.body, mark, f"{at}::{item.name}"):
                yield node, own + arguments
        elif isinstance(item, ast.FunctionDef):
            yield from _tests([item], mark, at)


def _tests(body: list[ast.stmt], mark: str, at: str) -> Iterator[tuple[str, list[str]]]:
    for item in body:
        if isinstance(item, ast.FunctionDef) and item.name.startswith("test"):
            yield f"{at}::{item.name}", _arguments(item, mark, at)


def _arguments(item: ast.ClassDef | ast.FunctionDef, mark: str, at: str) -> list[str]:
    return _strings(item.decorator_list, mark, f"{at}::{item.name}")


def _pytestmark(tree: ast.Module) -> list[ast.expr]:
    """The marks that a file gives to all its tests."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            return node.value.elts if isinstance(node.value, ast.List) else [node.value]
    return []


def _strings(marks: list[ast.expr], mark: str, where: str) -> list[str]:
    """The arguments of every `mark` among `marks`."""
    arguments: list[str] = []
    for each in marks:
        if isinstance(each, ast.Call) and _is_mark(each.func, mark):
            for argument in each.args:
                if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str | int)):
                    raise ValueError(f"{where}: the arguments of {mark}() must be plain strings or numbers")
                arguments.append(str(argument.value))
    return arguments


def _is_mark(node: ast.expr, mark: str) -> bool:
    # Asked of every expression of every test: most are answered without being written out.
    return isinstance(node, ast.Attribute) and node.attr == mark and ast.unparse(node) == f"pytest.mark.{mark}"


def _refuse_marks_elsewhere(tree: ast.Module, mark: str, at: str) -> None:
    """A mark that is neither a decorator nor in `pytestmark` (but in `pytest.param`) would be missed without a word."""
    everywhere = sum(isinstance(node, ast.expr) and _is_mark(node, mark) for node in ast.walk(tree))
    decorators = sum(
        isinstance(decorator, ast.Call) and _is_mark(decorator.func, mark)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
        for decorator in node.decorator_list
    )
    of_file = sum(isinstance(each, ast.Call) and _is_mark(each.func, mark) for each in _pytestmark(tree))
    if everywhere != decorators + of_file:
        raise ValueError(f"{at}: use pytest.mark.{mark}(...) as the decorator of a test or a test class only")


def all_tests(root: Path = ROOT) -> set[str]:
    """The node ids of every test, without parameters."""
    nodes: set[str] = set()
    for file in (root / "tests").rglob("test_*.py"):
        tree = parsed(file)
        nodes.update(node for node, _ in _marked(tree.body, "proves", file.relative_to(root).as_posix()))
    return nodes


def without_parameters(node: str) -> str:
    """`tests/a.py::test_b[c]` -> `tests/a.py::test_b`."""
    return node.partition("[")[0]


def importers(root: Path = ROOT) -> dict[str, list[str]]:
    """Library of the card -> the files of the package that import it."""
    found: dict[str, list[str]] = {library: [] for library in CARD}
    for file in sorted((root / "vidrain").rglob("*.py")):
        names = imported(file)
        for library, module in CARD.items():
            if any(name == module or name.startswith(f"{module}.") for name in names):
                found[library].append(file.relative_to(root).as_posix())
    return found


@cache
def imported(file: Path) -> frozenset[str]:
    """Dotted names of everything that `file` imports, at any depth, `import_module("x")` included."""
    names: set[str] = set()
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            values = [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)]
            names.update(value for value in values if isinstance(value, str))
    return frozenset(names)
