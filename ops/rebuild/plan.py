"""What a rebuild would do, before any of it is done. Pure.

Deleted are the filter's states, its sightings and when it saw whom, and the commands that the
writer has parked; the filter's place on `npc-snapshots` goes back. Never touched: what the writer
keeps of NPCs' notes, memory in Letta, and every topic of the contract.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from streams.topology import Role, changelog

CHANGELOGS = (
    changelog(Role.FILTER, "groups"),
    changelog(Role.FILTER, "players"),
    changelog(Role.FILTER, "seen"),
    changelog(Role.WRITER, "parked"),
)
"""Topics, without the prefix, whose keys are deleted."""

Live = tuple[int, bytes]
"""Partition and key of an entry of a changelog."""


@dataclass(frozen=True, slots=True)
class Rewind:
    """One partition of `npc-snapshots`. Offsets; `committed` None: nobody has read it yet."""

    partition: int
    committed: int | None
    target: int
    end: int

    @property
    def records(self) -> int:
        """Snapshots that the filter will read until it has them all."""
        return max(self.end - self.target, 0)


@dataclass(frozen=True, slots=True)
class Plan:
    """`live`: what to delete of each changelog that exists, by its name on the broker."""

    live: Mapping[str, list[Live]]
    rewinds: tuple[Rewind, ...]

    @property
    def records(self) -> int:
        """Snapshots to read."""
        return sum(rewind.records for rewind in self.rewinds)

    @property
    def entries(self) -> int:
        """Keys to delete."""
        return sum(map(len, self.live.values()))


def rewinds(
    beginnings: Mapping[int, int],
    ends: Mapping[int, int],
    committed: Mapping[int, int],
    since: Mapping[int, int | None] | None,
) -> tuple[Rewind, ...]:
    """Where the filter shall read on, by partition.

    `since`: the first record of the time asked for, None for a partition without one; None: from
    the beginning of what is kept.
    """
    found = []
    for partition, end in sorted(ends.items()):
        target = beginnings[partition] if since is None else since.get(partition)
        found.append(
            Rewind(partition, committed.get(partition), end if target is None else target, end)
        )
    return tuple(found)


def as_json(plan: Plan, *, done: bool) -> dict[str, object]:
    """For a program."""
    return {
        "done": done,
        "deleted": {topic: len(keys) for topic, keys in plan.live.items()},
        "snapshots": plan.records,
        "partitions": {
            rewind.partition: {"from": rewind.committed, "to": rewind.target, "end": rewind.end}
            for rewind in plan.rewinds
        },
    }
