"""Consumer lag with a line for each group and topic: records added up, the worst of the rest."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ops.lag.reading import Position
from ops.lag.verdict import Verdict, verdict
from ops.lag.view import Windows

_WORST_FIRST = (
    *(Verdict.STOP, Verdict.STALL, Verdict.REWIND, Verdict.WARN),
    *(Verdict.OK, Verdict.NONE),
)


class Behind(NamedTuple):
    """A group on a topic, now."""

    group: str
    topic: str
    is_input: bool
    """Whether it is what the role works on; it may follow others for what it has to know."""
    members: int
    lag: int | None
    """Records not finished, of all partitions; None: it never committed."""
    seconds: float | None
    """Age of the oldest next record not finished, 0: there is none."""
    verdict: Verdict
    """The worst of its partitions; NONE only where all of them have it."""
    partitions: int
    """How many."""
    judged: int
    """How many of them have the verdict."""


def summed(
    positions: Iterable[Position], windows: Windows, inputs: Mapping[str, Sequence[str]]
) -> list[Behind]:
    """A line for each group and topic. `inputs`: the groups, in order, and what each works on."""
    parts: dict[tuple[str, str], list[Position]] = {}
    for one in positions:
        parts.setdefault((one.group, one.topic), []).append(one)
    order = list(inputs)
    return [
        _behind(topic in inputs[group], some, windows)
        for (group, topic), some in sorted(parts.items(), key=lambda item: order.index(item[0][0]))
    ]


def _behind(is_input: bool, parts: Sequence[Position], windows: Windows) -> Behind:
    said = [verdict(windows.of(one), one.members) for one in parts]
    worst = min(said, key=_WORST_FIRST.index)
    lags = [one.sample.lag for one in parts if one.sample.lag is not None]
    return Behind(
        group=parts[0].group,
        topic=parts[0].topic,
        is_input=is_input,
        members=parts[0].members,
        lag=sum(lags) if lags else None,
        seconds=max((one.seconds for one in parts if one.seconds is not None), default=None),
        verdict=worst,
        partitions=len(parts),
        judged=said.count(worst),
    )
