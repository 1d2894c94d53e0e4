"""One command from its work to its exit code: every error one line, every signal in time. Knows nothing of click.

Everything heavy is imported when the command runs, so `vidrain --help` answers at once.
"""

import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from vidrain.arena import share_what_is_freed
from vidrain.errors import FAULT, INTERRUPTED, TERMINATED, VidrainError

if TYPE_CHECKING:
    from vidrain.progress import Sink

_PATIENCE_S = 1.2  # a frame of 4K takes seconds: an interrupt does not wait for it
_NOTHING = "nothing was written under a final name"


class Terminated(BaseException):
    """SIGTERM arrived: unwind like Ctrl-C, so that partial files are removed."""


def run_command(work: Callable[["Sink"], int], as_json: bool, *, bar: bool = True, stopped: str = _NOTHING) -> None:
    """Do the work and end the process with its exit code; every error is one line, for a fault behind its traceback.

    stopped: what a stop leaves.
    """
    # Read when torch loads. Its threads would else spin while they wait and starve decoder and encoder: on two cores
    # a job took five times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    share_what_is_freed()
    _import_all()
    from vidrain.leftovers import what_is_left
    from vidrain.progress import sink_for

    with sink_for(as_json, bar=bar) as sink:
        try:
            with _stoppable(stopped):
                code = work(sink)
        except VidrainError as error:
            code, left = error.exit_code, what_is_left()
            sink.failed(f"{error}; {left}" if left else str(error), code)
        except Exception as error:
            if isinstance(error, BrokenPipeError) and _is_unheard():
                raise  # which click ends without a word
            code, left = FAULT, what_is_left()
            traceback.print_exc()
            said = f"a fault of vidrain: {type(error).__name__}: {error}"
            sink.failed(f"{said}; {left}" if left else said, code)
        except KeyboardInterrupt:
            code = INTERRUPTED
            sink.failed(f"interrupted; {what_is_left() or stopped}", code)
        except Terminated:
            code = TERMINATED
            sink.failed(f"terminated; {what_is_left() or stopped}", code)
    raise SystemExit(code)


def _import_all() -> None:
    """All that is heavy, before an interrupt can raise: inside an import it would be lost.

    What is imported stays to the end. To look for garbage in it again and again takes half a second.
    """
    if "vidrain.pipeline" in sys.modules:
        return
    gc.disable()
    import vidrain.config
    import vidrain.pipeline  # noqa: F401

    gc.freeze()
    gc.enable()


def _is_unheard() -> bool:
    """Whether nobody reads standard output any more: what could not be written there is kept, and fails again."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return True
    return False


@contextmanager
def _stoppable(stopped: str) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into exceptions; a job that does not unwind in time is ended.

    Once outputs get their names the job is as good as done: it ends as it would have, not with some of them missing.
    """
    from vidrain.leftovers import abandon, what_is_left
    from vidrain.outputs import is_past_return

    def stop(number: int, frame: FrameType | None) -> None:
        if is_past_return():
            return

        def give_up(again: int, frame: FrameType | None) -> None:
            abandon()
            said = " ".join((what_is_left() or stopped).splitlines())
            os.write(2, f"vidrain: stopped; {said}\n".encode(errors="backslashreplace"))
            os._exit(INTERRUPTED if number == signal.SIGINT else TERMINATED)

        for other in handlers:
            signal.signal(other, give_up)
        signal.setitimer(signal.ITIMER_REAL, _PATIENCE_S)
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated

    handlers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = {number: signal.signal(number, stop) for number in handlers}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
