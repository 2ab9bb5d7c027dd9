"""How long each partition stood still, from when its commands were appended. Pure."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple


class Pause(NamedTuple):
    """Of one partition, seconds. `longest`: between two commands; `usual`: the same, in a calm."""

    partition: int
    has_moved: bool
    longest: float
    usual: float

    @property
    def seconds(self) -> float:
        """What the event cost it."""
        return max(self.longest - self.usual, 0.0)


class Event(NamedTuple):
    """What happened to the group, and what it cost each partition."""

    name: str
    pauses: tuple[Pause, ...]

    def worst(self, *, moved: bool) -> float | None:
        """Of the partitions that changed hands, or did not; None where there are none."""
        those = [one.seconds for one in self.pauses if one.has_moved is moved]
        return max(those, default=None)


Holders = Mapping[int, str]
"""Whose each partition is."""


def pauses(
    appended: Mapping[int, Sequence[float]], calm: float, begin: float, end: float
) -> dict[int, tuple[float, float]]:
    """Longest and usual gap of each partition. The event is from `begin` to `end`.

    `appended`: times of each partition's commands, ascending (s). The usual gap is the median since
    `calm`. A partition that is silent to the end has paused to the end.
    """
    return {
        partition: (_longest(times, begin, end), _usual(times, calm, begin))
        for partition, times in appended.items()
    }


def event(
    name: str, found: Mapping[int, tuple[float, float]], before: Holders, after: Holders
) -> Event:
    """The pauses of an event, by whether the partition has another holder after it."""
    return Event(
        name,
        tuple(
            Pause(partition, before.get(partition) != after.get(partition), *gaps)
            for partition, gaps in sorted(found.items())
        ),
    )


def _longest(times: Sequence[float], begin: float, end: float) -> float:
    last_before = max((at for at in times if at <= begin), default=begin)
    during = [at for at in times if begin < at < end]
    return max(after - before for before, after in pairwise([last_before, *during, end]))


def _usual(times: Sequence[float], calm: float, begin: float) -> float:
    moments = sorted({at for at in times if calm <= at <= begin})  # a batch has one for all
    gaps = [after - before for before, after in pairwise(moments)]
    return median(gaps) if gaps else 0.0
