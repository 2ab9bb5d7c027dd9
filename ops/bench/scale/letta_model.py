"""A Letta server that takes as long as the measured one did. Pure; chance is seeded.

    measured   with so many of one operation at a time, how long each took (quantiles)
    drawn      a time for each request, from the distribution for as many as are under way with it

Between two measured numbers the times lie between; beyond the largest they grow as the number, as
they do for a server that does no more a second however many ask.
"""

import json
from bisect import bisect_left
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any

from ops.failure import Failure

DEFAULT = Path(__file__).parent / "letta.json"

Curve = list[tuple[float, float]]
"""Shares from 0 to 1 and seconds, rising."""

_OPERATIONS = ("read", "read of 8", "write")


class LettaModel:
    """Times of requests. `curves`: by operation, then by how many at a time."""

    def __init__(self, curves: dict[str, dict[int, Curve]], seed: int) -> None:
        self._curves = {name: sorted(by.items()) for name, by in curves.items()}
        self._chance = Random(f"letta {seed}")  # noqa: S311 - no secret

    def seconds(self, operation: str, under_way: int) -> float:
        """A request's time with so many under way, itself among them."""
        share, measured = self._chance.random(), self._curves[operation]
        numbers = [number for number, _ in measured]
        index = bisect_left(numbers, under_way)
        if index == len(numbers):
            return _at(measured[-1][1], share) * under_way / numbers[-1]
        above = _at(measured[index][1], share)
        if index == 0 or numbers[index] == under_way:
            return above
        below = _at(measured[index - 1][1], share)
        gap = numbers[index] - numbers[index - 1]
        return below + (above - below) * (under_way - numbers[index - 1]) / gap


def read_curves(file: Path) -> dict[str, dict[int, Curve]]:
    """What `rollcall bench letta --json` saved. Raises Failure, which names the file."""
    curves: defaultdict[str, dict[int, Curve]] = defaultdict(dict)
    try:
        for point in json.loads(file.read_text())["points"]:
            curves[str(point["operation"])][int(point["concurrency"])] = _curve(point["seconds"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise Failure(
            f"{file} is no report of `rollcall bench letta --json`: {error!r}."
        ) from error
    missing = [name for name in _OPERATIONS if name not in curves]
    if missing:
        raise Failure(f"{file} has no times of {missing[0]!r}.")
    return dict(curves)


def _curve(seconds: dict[str, Any]) -> Curve:
    shares = {0.0: float(seconds["p5"]), 1.0: float(seconds["max"])}
    shares |= {int(k[1:]) / 100: float(v) for k, v in seconds.items() if k != "max"}
    return sorted(shares.items())


def _at(curve: Curve, share: float) -> float:
    index = max(bisect_left(curve, (share, 0.0)), 1)
    (left, low), (right, high) = curve[index - 1], curve[index]
    return low + (high - low) * (share - left) / (right - left)
