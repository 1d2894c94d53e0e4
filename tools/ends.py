"""How a tool ends: an error of vidrain is one line on standard error, and its exit code.

@with_exit_code
def main(argv: Sequence[str] | None = None) -> None:
    work(parsed(argv))
"""

import sys
from collections.abc import Callable, Sequence
from functools import wraps

from vidrain.errors import OK, VidrainError

Arguments = Sequence[str] | None  # None: those of the command line


def with_exit_code(work: Callable[[Arguments], None]) -> Callable[..., int]:
    """The same work as a function that returns its exit code. [argv] -> int"""

    @wraps(work)
    def main(argv: Arguments = None) -> int:
        try:
            work(argv)
        except VidrainError as error:
            sys.stderr.write(f"{error}\n")
            return error.exit_code
        return OK

    return main
