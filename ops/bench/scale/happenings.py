"""What happens to NPCs, as the recorded game tells it. Pure.

A town of many NPCs is many towns of a few hundred, each the recorded one begun at another moment:
what belongs together in time, people who come and go between NPCs, stays together.
"""

from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import NamedTuple

from ops.demo.game import Truth, World
from ops.demo.notes import Notebook
from ops.demo.play import truths
from ops.demo.town import build_town
from ops.demo.verify import Expectation
from streams.writer.priority import level_of
from topics.models import Reason

TOWN = 600
"""NPCs of the recorded town."""

SKIPPED = 10.0
"""Seconds in which everybody is seen first."""


class Happening(NamedTuple):
    """A change of an NPC. `npc`: its number; `blocks`: memory blocks that differ by it."""

    at: float
    npc: int
    level: int
    is_group_watched: bool
    blocks: int


class Recording(NamedTuple):
    """A town's changes in `seconds` of its life, in order."""

    npcs: int
    seconds: float
    happenings: list[Happening]

    @property
    def rate(self) -> float:
        """Changes of an NPC a second."""
        return len(self.happenings) / self.seconds / self.npcs


def recorded(seed: int, seconds: float, npcs: int = TOWN) -> Recording:
    """Plays the town and notes what changes, as `rollcall bench carry` counts changes."""
    town = build_town(npcs, seed)
    expected = Expectation(town, town.players, Notebook())
    told = truths(World(town, seed), seconds + SKIPPED)

    def shape(truth: Truth) -> _Shape:
        return _Shape(frozenset(truth.members), expected.place_of(truth), truth.action)

    found = list(_changes(told, shape, set(town.players)))
    return Recording(npcs, seconds, [one for one in found if 0 <= one.at < seconds])


def like(recording: Recording, npcs: int, seed: int) -> Iterator[tuple[int, Recording]]:
    """Towns like the recorded one until there are so many NPCs: the number of the first of each."""
    chance = Random(f"towns {seed}")  # noqa: S311 - no secret
    for first in range(0, npcs, recording.npcs):
        shift = chance.uniform(0, recording.seconds)
        some = min(recording.npcs, npcs - first)
        yield first, _shifted(recording, shift, some)


class _Shape(NamedTuple):
    members: frozenset[str]
    place: str
    action: str


def _changes(
    told: Iterable[Truth], shape: Callable[[Truth], _Shape], players: set[str]
) -> Iterator[Happening]:
    before: dict[str, _Shape] = {}
    numbers: dict[str, int] = {}
    for truth in told:
        now, last = shape(truth), before.get(truth.npc_id)
        number = numbers.setdefault(truth.npc_id, len(numbers))
        before[truth.npc_id] = now
        if last is not None and now != last:
            is_watched = not players.isdisjoint(truth.members)
            yield _happening(truth, number, last, now, is_watched=is_watched)


def _happening(
    truth: Truth, number: int, last: _Shape, now: _Shape, *, is_watched: bool
) -> Happening:
    is_group = last.members != now.members
    is_status = (last.place, last.action) != (now.place, now.action)
    level = level_of(Reason.MEMBERS if is_group else Reason.LOCATION, is_watched=is_watched)
    blocks = is_group + is_status
    return Happening(truth.at - SKIPPED, number, level, is_group and is_watched, blocks)


def _shifted(recording: Recording, shift: float, npcs: int) -> Recording:
    moved = [
        one._replace(at=(one.at + shift) % recording.seconds)
        for one in recording.happenings
        if one.npc < npcs
    ]
    return Recording(npcs, recording.seconds, sorted(moved))
