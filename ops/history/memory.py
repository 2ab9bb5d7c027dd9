"""The game's part of an NPC's memory, and what changed between two of them. Pure.

    before, after                                                     told as
    ----------------------------------------------------------------  -------------
    an id that was not there                                          joined
    an id that is not there any more                                  left
    the one leaves and the other joins under the same name            identified
    the same id, another name                                         renamed
    the same id, another appearance                                   appearance
    another location, another action                                  location, action
    a part that is not known on either side                           nothing

An empty or "Unknown" appearance overwrites no real one, as in the block itself.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec

from streams.writer.merge import is_real
from topics.models import Desired, Member
from topics.text import fold


class Part(StrEnum):
    """What is known or unknown as a whole; a block says one or two of them."""

    MEMBERS = "members"
    LOCATION = "location"
    ACTION = "action"


PARTS = frozenset(Part)


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What the game's part says. None: not known."""

    members: tuple[Member, ...] | None = None
    location: str | None = None
    action: str | None = None


UNKNOWN = Memory()


class Kind(StrEnum):
    """How something changed; the table stands above."""

    JOINED = "joined"
    LEFT = "left"
    IDENTIFIED = "identified"
    RENAMED = "renamed"
    APPEARANCE = "appearance"
    LOCATION = "location"
    ACTION = "action"


class Change(NamedTuple):
    """One difference. `member`: as it is after the change; before it, for who left."""

    kind: Kind
    before: str | None = None
    """The location, action, name or appearance before, or the id of who was identified."""
    after: str | None = None
    member: Member | None = None


def written(before: Memory, desired: Desired, parts: Iterable[Part]) -> Memory:
    """The memory once these parts of it say what the game said."""
    fresh: Mapping[Part, object] = {
        Part.MEMBERS: _with_known_looks(before.members or (), desired.members),
        Part.LOCATION: desired.location,
        Part.ACTION: desired.action,
    }
    return msgspec.structs.replace(before, **{part: fresh[part] for part in parts})


def forgotten(before: Memory, parts: Iterable[Part]) -> Memory:
    """The memory once nobody can tell any more what was written to these parts."""
    return msgspec.structs.replace(before, **dict.fromkeys(parts))


def changes(before: Memory, after: Memory) -> tuple[Change, ...]:
    """What changed, who joined first; the rules stand above."""
    return (
        *_changes_of_members(before.members, after.members),
        *_change_of(Kind.LOCATION, before.location, after.location),
        *_change_of(Kind.ACTION, before.action, after.action),
    )


def _with_known_looks(before: Iterable[Member], after: Iterable[Member]) -> tuple[Member, ...]:
    looks = {member.id: member.appearance for member in before if is_real(member.appearance)}
    return tuple(
        member
        if is_real(member.appearance) or member.id not in looks
        else msgspec.structs.replace(member, appearance=looks[member.id])
        for member in after
    )


def _change_of(kind: Kind, before: str | None, after: str | None) -> Iterator[Change]:
    if before is not None and after is not None and before != after:
        yield Change(kind, before, after)


def _changes_of_members(
    before: tuple[Member, ...] | None, after: tuple[Member, ...] | None
) -> Iterator[Change]:
    if before is None or after is None:
        return
    old, new = _by_id(before), _by_id(after)
    left = {who: member for who, member in old.items() if who not in new}
    for who, member in new.items():
        known = old.get(who)
        yield from _arrival(member, left) if known is None else _changes_of(known, member)
    yield from (Change(Kind.LEFT, member=member) for member in left.values())


def _by_id(members: Iterable[Member]) -> dict[str, Member]:
    return {member.id: member for member in members}


def _arrival(member: Member, left: dict[str, Member]) -> Iterator[Change]:
    """Somebody new, or somebody whose id became known: who then is not among the `left`."""
    name = fold(member.name)
    known = next((who for who, gone in left.items() if fold(gone.name) == name), None)
    if known is None:
        yield Change(Kind.JOINED, member=member)
    else:
        yield Change(Kind.IDENTIFIED, known, member.id, member)
        yield from _changes_of(left.pop(known), member)


def _changes_of(before: Member, after: Member) -> Iterator[Change]:
    if before.name != after.name:
        yield Change(Kind.RENAMED, before.name, after.name, after)
    if before.appearance != after.appearance:
        yield Change(Kind.APPEARANCE, before.appearance, after.appearance, after)
