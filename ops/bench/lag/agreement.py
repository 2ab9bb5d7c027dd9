"""Whether `rollcall lag` and the broker's own tool say the same of each partition. Pure.

    at rest   nothing moves while both read: offset, end and lag have to be equal
    moving    ours is read before and after the tool: its offset and its end have to lie between,
              since neither ever goes back here

The lag has to be end - offset in each answer, and to be missing where nothing was committed. A
partition that the tool leaves out is one without a commit: it tells no other of an absent group.
The log has to be whole: of records that retention took away, the tool counts those not finished.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from ops.embedded.group_table import Row


class Told(NamedTuple):
    """What one answer says of a partition."""

    committed: int | None
    end: int | None
    lag: int | None


class Judged(NamedTuple):
    """A partition in one sample. `answers`: those compared, in the order in which they came."""

    partition: int
    answers: tuple[Told, ...]
    fault: str | None
    """What does not agree; None: it agrees."""


class Age(NamedTuple):
    """How long the next record of a partition had waited: in truth, and as `rollcall lag` said."""

    partition: int
    true: float
    told: float | None

    @property
    def error(self) -> float:
        """Seconds; infinite where it said nothing."""
        return float("inf") if self.told is None else abs(self.told - self.true)


Answer = Mapping[int, Told]
"""By partition."""

_SILENT = Told(None, None, None)


def told_by_tool(rows: Iterable[Row], topic: str) -> dict[int, Told]:
    """The tool's answer on a topic."""
    return {
        row.partition: Told(row.committed, row.end, row.lag) for row in rows if row.topic == topic
    }


def at_rest(ours: Answer, tool: Answer) -> list[Judged]:
    """Every partition that one of the two tells of."""
    return _each([ours, tool], lambda both: _rests(*both))


def moving(before: Answer, tool: Answer, after: Answer) -> list[Judged]:
    """Every partition that one of the three tells of."""
    return _each([before, tool, after], lambda three: _moves(*three))


def widest(judged: Iterable[Judged]) -> int:
    """The most records that came to a partition between the first and the last answer."""
    return max(
        ((one.answers[-1].end or 0) - (one.answers[0].end or 0) for one in judged), default=0
    )


def _each(answers: list[Answer], fault: Callable[[tuple[Told, ...]], str | None]) -> list[Judged]:
    partitions = sorted({one for answer in answers for one in answer})
    told = {one: tuple(answer.get(one, _SILENT) for answer in answers) for one in partitions}
    return [Judged(one, told[one], fault(told[one])) for one in partitions]


def _rests(ours: Told, tool: Told) -> str | None:
    if tool == _SILENT:
        return _left_out(ours)
    return None if ours == tool else "they differ"


def _moves(before: Told, tool: Told, after: Told) -> str | None:
    if tool == _SILENT:
        return _left_out(before)
    if not all(map(_adds_up, (before, tool, after))):
        return "a lag is not end - committed"
    if not _ascend(before.committed, tool.committed, after.committed):
        return "the tool's offset is not between ours"
    if not _ascend(before.end, tool.end, after.end):
        return "the tool's end is not between ours"
    return None


def _left_out(ours: Told) -> str | None:
    if ours == _SILENT:
        return "neither tells of it"
    return None if ours.committed is None else "the tool leaves it out"


def _adds_up(told: Told) -> bool:
    if told.committed is None or told.end is None:
        return told.lag is None
    return told.lag == told.end - told.committed


def _ascend(*values: int | None) -> bool:
    known = [-1 if value is None else value for value in values]
    return known == sorted(known)
