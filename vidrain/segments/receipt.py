"""What is put down just before outputs get their names: which files are ours then, and the report of the run.

A hidden file beside the clean file, and the last thing that goes when a run ends: one that is killed before that is
known to be finished, or that some of its outputs have their names.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vidrain.fingerprint import fingerprint
from vidrain.naming import receipt_beside
from vidrain.outputs import Claim, put
from vidrain.report import CleanReport, from_json, to_json

Targets = Mapping[str, Path]  # role -> final path


class Receipt:
    """Of the output `target` as a job of these `facts` makes it."""

    def __init__(self, target: Path, facts: Mapping[str, Any]) -> None:
        self.path, self._facts = receipt_beside(target), facts
        # role -> fingerprint of what got its name, and of what that took the place of, if that was ours
        self._names: dict[str, list[list[int] | None]] = {}
        self._asked: list[str] = []
        self._report: dict[str, Any] = {}
        with suppress(OSError, ValueError, LookupError, TypeError):
            found = json.loads(self.path.read_bytes())
            if found["facts"] == facts:
                self._names, self._asked, self._report = found["names"], found["asked"], found["report"]

    def ours(self, role: str, target: Path) -> list[int] | None:
        """The fingerprint of what lies at `target`, if a run of these facts made it; None otherwise."""
        found = fingerprint(target)
        return found if found in self._names.get(role, ()) else None

    def report(self, targets: Targets) -> CleanReport | None:
        """What the run that was killed would have reported; None where not all it was to make lies at `targets`."""
        if not self._names or sorted(targets) != self._asked:
            return None
        if any(fingerprint(targets[role]) != due for role, (due, _) in self._names.items()):
            return None
        with suppress(LookupError, TypeError, ValueError):  # of a build that reported otherwise: made again
            return from_json(self._report, {role: targets[role] for role in self._names})
        return None

    def put(self, targets: Targets, finished: Mapping[str, Claim], report: CleanReport) -> None:
        """Put down that what is `finished` gets its name. targets: of all that was asked for."""
        names = {role: [fingerprint(claim.partial), self.ours(role, claim.target)] for role, claim in finished.items()}
        found = {"v": 1, "facts": self._facts, "asked": sorted(targets), "names": names, "report": to_json(report)}
        put(self.path, json.dumps(found).encode())


@contextmanager
def receipt_for(target: Path, facts: Mapping[str, Any]) -> Iterator[Receipt]:
    """The receipt of `target`: gone once all is done; until then it stays, whatever happens."""
    receipt = Receipt(target, facts)
    yield receipt
    with suppress(OSError):  # what was to be done is done
        receipt.path.unlink()
