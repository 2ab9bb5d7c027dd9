"""`rollcall bench predict`: would it help to write where an NPC will be before it is there?

An NPC that walks is told of by its position. From two positions the straight line ahead is known,
and the first place on it; who stands there is known from others. The prediction: it arrives there,
and they are its group. Judged on the recorded town, as the filter would have to judge:

    right   the first snapshot after the walk shows that place and that group: its change is in
            memory before it happens
    wrong   the memory tells something untrue for a while, and both the wrong and the right state
            are written

Then the writer's queue plays the town with and without, on a modelled Letta (`ops.bench.scale`).
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import dist, hypot
from pathlib import Path
from typing import NamedTuple

import click
from rich.table import Table

from ops.bench.options import json_option, letta_option, seed_option
from ops.bench.scale.happenings import SKIPPED, Happening, Recording, recorded
from ops.bench.scale.letta_model import Curve, LettaModel, read_curves
from ops.bench.scale.server import Server
from ops.demo.game import Truth, World
from ops.demo.play import truths
from ops.demo.summary import percentile
from ops.demo.town import Town, build_town
from ops.demo.view import open_console
from streams.writer.priority import level_of
from topics.models import Coordinates, Reason

LOADS = (0.1, 0.5, 0.9)
"""Of what the modelled Letta takes, in NPCs."""

_FULL = 700
"""NPCs of the town that one Letta carries (docs/performance.md)."""
_ASIDE = 3.0
"""Studs by which a place may lie beside the line."""
_APART = 1e-6
"""Seconds between a snapshot and a guess made from it: tells a guess from a change."""


class Guess(NamedTuple):
    """Made at `at`, for a walk that ended at `ended`; what it said and what was so."""

    npc: int
    at: float
    ended: float
    is_right: bool


@dataclass(slots=True)
class _Walk:
    positions: list[Coordinates] = field(default_factory=list)
    guess: tuple[float, str, frozenset[str]] | None = None


def guesses(town: Town, told: Iterable[Truth]) -> Iterator[Guess]:
    """One for each walk of which two positions are known and a place lies ahead."""
    groups: dict[str, frozenset[str]] = {}
    walks: dict[str, _Walk] = {}
    numbers: dict[str, int] = {}
    for truth in told:
        number = numbers.setdefault(truth.npc_id, len(numbers))
        if truth.place is None:
            walk = walks.setdefault(truth.npc_id, _Walk())
            walk.positions.append(truth.position)
            if walk.guess is None and (place := _ahead(town, walk.positions)):
                walk.guess = (truth.at, place, groups.get(place, frozenset()))
            continue
        walk = walks.pop(truth.npc_id, _Walk())
        if walk.guess is not None:
            at, place, group = walk.guess
            is_right = place == truth.place and group == frozenset(truth.members)
            yield Guess(number, at - SKIPPED + _APART, truth.at - SKIPPED, is_right)
        groups[truth.place] = frozenset({*truth.members, truth.npc_id})


def _ahead(town: Town, positions: list[Coordinates]) -> str | None:
    """The first place on the straight line through the last two positions."""
    if len(positions) < 2 or positions[-1] == positions[-2]:
        return None
    before, here = positions[-2:]
    ahead = [
        (dist(here, place.coordinates), slug)
        for slug, place in town.places.items()
        if slug in town.spots and _is_on_the_way(before, here, place.coordinates)
    ]
    return min(ahead)[1] if ahead else None


def _is_on_the_way(before: Coordinates, here: Coordinates, there: Coordinates) -> bool:
    step = [b - a for a, b in zip(before, here, strict=True)]
    way = [b - a for a, b in zip(here, there, strict=True)]
    along = sum(a * b for a, b in zip(step, way, strict=True)) / hypot(*step)
    aside = hypot(*way) ** 2 - along**2
    return along > 0 and aside <= _ASIDE**2


def with_guesses(recording: Recording, made: Iterable[Guess]) -> list[Happening]:
    """The town's changes if guesses were written: right ones early, wrong ones besides."""
    level = level_of(Reason.LOCATION, is_watched=False)
    known = {(one.npc, round(one.ended, 3)) for one in made if one.is_right}
    rest = [one for one in recording.happenings if (one.npc, round(one.at, 3)) not in known]
    return sorted([*rest, *(Happening(one.at, one.npc, level, False, 2) for one in made)])


def p95_of(
    happenings: Sequence[Happening], made: Sequence[Guess], seconds: float, letta: LettaModel
) -> float:
    """Of all changes, those among them that were guessed right; guesses themselves are none."""
    known, times = sum(one.is_right for one in made), {one.at for one in made}
    ages = [age for age in Server(letta).play(happenings, seconds).ages if age.at not in times]
    return percentile([0.0] * known + [age.seconds for age in ages], 95) or 0.0


@click.command()
@click.option("--seconds", type=click.FloatRange(60), default=600.0, show_default=True)
@letta_option
@seed_option
@json_option
def predict(seconds: float, measured: Path, seed: int, json_file: Path | None) -> None:
    """Whether predicting where an NPC arrives would make memories fresher."""
    console, curves = open_console(), read_curves(measured)
    report = [_judged(load, seconds, seed, curves) for load in LOADS]
    table = Table(box=None, pad_edge=False)
    for name in report[0]:
        table.add_column(name, justify="right")
    for row in report:
        table.add_row(*(f"{value:.3f}" if value % 1 else f"{value:.0f}" for value in row.values()))
    console.print(table)
    if json_file:
        json_file.write_text(json.dumps(report, indent=2) + "\n")


def _judged(
    load: float, seconds: float, seed: int, curves: dict[str, dict[int, Curve]]
) -> dict[str, float]:
    npcs = round(load * _FULL)
    recording, town = recorded(seed, seconds, npcs), build_town(npcs, seed)
    made = [
        one
        for one in guesses(town, truths(World(town, seed), seconds + SKIPPED))
        if one.at >= 0 and one.ended < seconds
    ]
    early = with_guesses(recording, made)
    count = len(recording.happenings)
    return {
        "NPCs": npcs,
        "changes": count,
        "guesses": len(made),
        "right": sum(one.is_right for one in made),
        "p95 without (s)": p95_of(recording.happenings, [], seconds, _letta(curves)),
        "p95 with (s)": p95_of(early, made, seconds, _letta(curves)),
        "updates more (%)": 100 * (len(early) - count) / count,
    }


def _letta(curves: dict[str, dict[int, Curve]]) -> LettaModel:
    return LettaModel(curves, seed=1)
