"""Puts what a batch tells into lines for people: what it will do, what happened to its files, what came of it."""

from collections.abc import Mapping

from vidrain import events

_LONGEST_NAME = 40  # of a file in a line of its own
_NAMED = 3  # of many files, in one line
_OF_EARLIER_WORK = ("anew", "fresh", "segments")  # codes of notices


def batch_line(plan: events.BatchPlan) -> str:
    """What a batch will do."""
    known = [f"{plan.done} done before"] if plan.done else []
    known += [f"{plan.failed} failed before"] if plan.failed else []
    todo = f"{plan.todo} of {many(plan.files, 'file')} to do"
    return f"{plan.output}: {', '.join([todo, *known])}; {plan.engine}"


def news_line(news: events.FileNews) -> str | None:
    """What people should know of a file of many while it runs: what becomes of work that was done on it before."""
    fields = news.fields
    if news.event == "resumed":
        return readable(f"{news.file}: resumed {100 * fields['frames'] // max(fields['total'], 1)} %")
    if news.event == "warning" and fields["code"] in _OF_EARLIER_WORK:
        return readable(f"{news.file}: note: {fields['message']}")
    return None


def trouble_line(end: events.FileEnd) -> str:
    """What happened to one file of a batch that is not simply done, and where more is said."""
    word = {"partial": "PARTIAL", "again": "AGAIN"}.get(end.state, "FAILED")
    log = f" (log: {end.log})" if end.log else ""
    return readable(f"{word} {end.file}: {end.code}: {end.cause}{log}")


def batch_summary(done: events.BatchDone) -> list[str]:
    """A table of what is not simply done, and the one line that counts."""
    rows = [("state", "code", "file", "cause"), *(_row(end) for end in done.troubles)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    table = [" ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows]
    counts = {"done": done.done, "partial": done.partial, "failed": done.failed}
    said = [f"{number} {word}" for word, number in counts.items() if number]
    said += [f"{len(done.kept)} stopped ({_kept(done.kept)})"] if done.kept else []
    said += [f"{rest} not run"] if (rest := done.left - len(done.kept)) else []
    said += [f"{done.before} done before"] if done.before else []
    old = sum(end.state == "failed" for end in done.troubles) - done.failed
    said += [f"{old} failed before (try them again: vidrain batch retry {done.output})"] if old > 0 else []
    what = f"{', '.join(said)}, of {many(done.files, 'file')}, in {done.seconds:.1f} s"
    nothing = "no file failed, there is nothing to try again"  # `run` refuses to begin without a file
    return [*(table if done.troubles else []), readable(f"{done.output}: {what if done.files else nothing}")]


def many(number: int, what: str) -> str:
    """A number of things: 1 file, 2 files."""
    return f"{number} {what}{'s' * (number != 1)}"


def _kept(kept: Mapping[str, tuple[int, int]]) -> str:
    each = [f"{frames} of {total} frames of {output}" for output, (frames, total) in kept.items()]
    return f"{', '.join(each[:_NAMED])}{', ...' * (len(each) > _NAMED)} are kept"


def _row(end: events.FileEnd) -> tuple[str, str, str, str]:
    cause = end.cause + (f" (log: {end.log})" if end.log else "")
    return end.state, str(end.code), readable(end.file), readable(cause)


def readable(text: str) -> str:
    """One line that any stream takes: names of files may hold line breaks, and need not be text."""
    return " ".join(text.splitlines()).encode(errors="backslashreplace").decode()


def shortened(name: str) -> str:
    """The end of a long name, which is what differs."""
    return readable(name if len(name) <= _LONGEST_NAME else f"...{name[3 - _LONGEST_NAME :]}")
