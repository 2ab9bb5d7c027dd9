"""Whether two filters sent the same commands. Pure.

Compared are, for each NPC in their order, command_id, reason, observed_at and the desired state.

    may differ              because
    ----------------------  ----------------------------------------------------------------------
    issued_at, partition    they say when and where a command was sent
    repeats                 at-least-once: the same command again counts once
    `verify`                rollcall's own samples; nobody else takes any
    `force_refresh`         which NPC's turn it is depends on the NPCs of all partitions, and no two
                            consumers read these in the same order: only the bound is looked at
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from topics.models import Desired, Reason, UpdateCommand

PACED_WITHIN = 1.5
"""Forced refreshes wait for half an interval more at most (`streams.filter.pace`)."""


class Told(NamedTuple):
    """What has to be the same of a command."""

    command_id: str
    reason: Reason
    observed_at: float
    desired: Desired


class Outputs(NamedTuple):
    """What a filter sent, by npc_id. `at`: `observed_at` of every command, refreshes too."""

    told: Mapping[str, list[Told]]
    at: Mapping[str, list[float]]
    commands: int
    repeats: int
    refreshes: int


def outputs_of(commands: Iterable[UpdateCommand]) -> Outputs:
    """Of all commands in the order in which they stand on their topic."""
    told: defaultdict[str, list[Told]] = defaultdict(list)
    at: defaultdict[str, list[float]] = defaultdict(list)
    known: set[Told] = set()
    count = repeats = refreshes = 0
    for command in commands:
        if command.reason is Reason.VERIFY:
            continue
        count += 1
        one = _told(command)
        if one in known:
            repeats += 1
            continue
        known.add(one)
        at[command.npc_id].append(command.observed_at)
        if command.reason is Reason.FORCE_REFRESH:
            refreshes += 1
        else:
            told[command.npc_id].append(one)
    return Outputs(told, at, count, repeats, refreshes)


def differences(expected: Outputs, found: Outputs) -> Iterator[str]:
    """A sentence for each NPC whose commands differ."""
    for npc_id in sorted(expected.told.keys() | found.told.keys()):
        theirs, ours = expected.told.get(npc_id, []), found.told.get(npc_id, [])
        if theirs != ours:
            yield f"{npc_id}: {_first_difference(theirs, ours)}"


def unrefreshed(outputs: Outputs, interval: float, cadence: float) -> Iterator[str]:
    """A sentence for each NPC that no command told of for longer than may be."""
    bound = PACED_WITHIN * interval + 2 * cadence
    for npc_id, times in sorted(outputs.at.items()):
        longest = max((after - before for before, after in pairwise(times)), default=0.0)
        if longest > bound:
            yield f"{npc_id}: {longest:.0f} s without a command, {bound:.0f} s are allowed"


def _told(command: UpdateCommand) -> Told:
    return Told(command.command_id, command.reason, command.observed_at, command.desired)


def _first_difference(theirs: list[Told], ours: list[Told]) -> str:
    for number, (one, other) in enumerate(zip(theirs, ours, strict=False), 1):
        if one != other:
            return f"command {number} is {_shown(other)}, not {_shown(one)}"
    if len(theirs) > len(ours):
        return f"{_shown(theirs[len(ours)])} is missing"
    return f"{_shown(ours[len(theirs)])} is too much"


def _shown(told: Told) -> str:
    return f"{told.command_id} ({told.reason.value})"
