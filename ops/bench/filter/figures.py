"""Medians, spreads and ratios of a comparison in rounds, and who runs when. Pure."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple, Self

import msgspec

ROLLCALL = "rollcall"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One contender, once. Without the warm-up, but for memory and outputs.

    `fault`: why its time does not count; None: it counts.
    """

    contender: str
    round: int
    npcs: int
    records: int
    seconds: float
    processor: float
    """Seconds of processor time of its process."""
    peak_memory: int
    """Bytes resident, of its whole life."""
    load: float
    """How many processes wanted a core in the minute before it, of the whole machine."""
    commands: int | None = None
    refreshes: int | None = None
    repeats: int | None = None
    decided_seconds: float | None = None
    """Until the last command was made; the commit of the last offset comes later."""
    fault: str | None = None

    @property
    def is_timed(self) -> bool:
        """Whether its time counts. Where all was committed at one look, there is none."""
        return self.fault is None and self.seconds > 0 and self.records > 0

    @property
    def rate(self) -> float | None:
        """Records a second."""
        return self.records / self.seconds if self.is_timed else None

    @property
    def microseconds(self) -> float | None:
        """Processor time of a record."""
        return 1e6 * self.processor / self.records if self.is_timed else None


class Spread(NamedTuple):
    """A figure of several rounds."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Of at least one value."""
        values = sorted(values)
        return cls(median(values), values[0], values[-1])


class Standing(NamedTuple):
    """A contender after all rounds with so many NPCs; None: no time of it counts."""

    contender: str
    npcs: int
    rate: Spread | None
    ratio: float | None
    """rollcall's median rate divided by this one's."""
    microseconds: float | None
    peak_memory: int
    """The most of all rounds."""
    runs: tuple[Run, ...]


def in_turn(contenders: Sequence[str], number: int) -> list[str]:
    """The order of a round, from 0 on: each contender comes first, second, third in turn."""
    start = number % len(contenders) if contenders else 0
    return [*contenders[start:], *contenders[:start]]


def standings(runs: Iterable[Run]) -> list[Standing]:
    """By number of NPCs, the contenders in the order in which they ran first."""
    by_place: dict[tuple[int, str], list[Run]] = {}
    for run in runs:
        by_place.setdefault((run.npcs, run.contender), []).append(run)
    rates = {place: _rate(those) for place, those in by_place.items()}
    return [
        _standing(*place, those, rates[place], rates.get((place[0], ROLLCALL)))
        for place, those in sorted(by_place.items(), key=lambda item: item[0][0])
    ]


def _standing(
    npcs: int, contender: str, runs: list[Run], rate: Spread | None, ours: Spread | None
) -> Standing:
    costs = [run.microseconds for run in runs if run.microseconds is not None]
    return Standing(
        contender=contender,
        npcs=npcs,
        rate=rate,
        ratio=ours.middle / rate.middle if ours and rate else None,
        microseconds=median(costs) if costs else None,
        peak_memory=max(run.peak_memory for run in runs),
        runs=tuple(runs),
    )


def _rate(runs: Iterable[Run]) -> Spread | None:
    rates = [run.rate for run in runs if run.rate is not None]
    return Spread.of(rates) if rates else None
