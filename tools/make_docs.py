"""Writes the pages that are made from the code: docs/promises.md, docs/faults.md and docs/cli.txt.

    python -m tools.make_docs

tests/unit/test_promises.py fails when one is stale.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import click

from tests import promises
from tests.faults import FAULTS

WIDTH = 100  # of the help text, so that it does not depend on the terminal


def cli_page(main: click.Command) -> str:
    """The help text of every command, each under the line that prints it."""
    return "\n".join(_help_texts(main, click.Context(main, info_name="vidrain", terminal_width=WIDTH)))


def _help_texts(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"$ {context.command_path} --help\n{command.get_help(context)}\n"
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            inner = click.Context(child, info_name=name, parent=context, terminal_width=WIDTH)
            yield from _help_texts(child, inner)


def promises_page(main: click.Command, root: Path = promises.ROOT) -> str:
    """The tables of docs/promises.md: promise -> test, library -> file and test, exit code -> test."""
    proven = promises.proofs("proves", root)
    switched = {switch.promise: f"`{switch.file}`" for switch in promises.switches(root)}
    switched |= {name: f"not possible: {why}" for name, why in promises.UNSWITCHABLE.items()}
    offered = {promise.name: promise.text for promise in promises.cli_promises(main)}
    others = sorted(proven.keys() - offered.keys() - promises.EXITS.keys())
    head = ("promise", "what it does", "proven by", "test seen failing with it switched off in")
    return "\n".join(
        [
            "# What vidrain promises, and the tests that prove it",
            "",
            "Made by `make docs` from the command line and the marks on the tests; do not edit.",
            "A test of the suite fails when this page is stale or a promise has no proof. The last column is",
            "where `tests/slow/test_switched_off.py` takes the feature out and sees the test fail.",
            "",
            "## Commands, arguments and options",
            *_table(
                head,
                ((f"`{n}`", t, _nodes(proven.get(n)), switched.get(n, "")) for n, t in offered.items()),
            ),
            "",
            "## Libraries",
            *_table(("library", "used in", "test that fails without it"), _library_rows(root)),
            "",
            "## Exit codes",
            *_table(head, ((f"`{n}`", t, _exit(n, proven), switched.get(n, "")) for n, t in promises.EXITS.items())),
            "",
            "## Other promises",
            *_table(("promise", "proven by"), ((f"`{n}`", _nodes(proven[n])) for n in others)),
            "",
        ]
    )


def faults_page(root: Path = promises.ROOT) -> str:
    """The table of docs/faults.md: fault -> what happens, exit codes, tests."""
    committed = promises.proofs("fault", root)
    rows = (
        (str(number), fault.what, fault.then, ", ".join(map(str, fault.exits)), _nodes(committed.get(str(number))))
        for number, fault in FAULTS.items()
    )
    return "\n".join(
        [
            "# What can be wrong, and what happens then",
            "",
            "Made by `make docs` from the marks on the tests; do not edit. Every test commits its fault for real:",
            "broken files, full disks, signals. A test of the suite fails when a fault has no test.",
            *_table(("", "what is wrong", "what vidrain does", "exit code", "committed by"), rows),
            "",
        ]
    )


def _library_rows(root: Path) -> Iterator[tuple[str, str, str]]:
    tests = promises.proofs("library", root)
    for library, files in promises.importers(root).items():
        yield f"`{library}`", "<br>".join(f"`{file}`" for file in files), _nodes(tests.get(library))


def _exit(name: str, proven: Mapping[str, list[str]]) -> str:
    return "a later command" if name in promises.LATER else _nodes(proven.get(name))


def _nodes(nodes: list[str] | None) -> str:
    return "<br>".join(f"`{node}`" for node in nodes or ["none"])


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield ""
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        cells = (cell.replace("|", "\\|") for cell in row)
        yield f"| {' | '.join(cells)} |"


def pages() -> dict[str, str]:
    """Path in the checkout -> what should stand there."""
    from vidrain.cli import main

    return {"docs/promises.md": promises_page(main), "docs/faults.md": faults_page(), "docs/cli.txt": cli_page(main)}


if __name__ == "__main__":
    for path, text in pages().items():
        (promises.ROOT / path).write_text(text, encoding="utf-8")
        click.echo(f"wrote {path}")
