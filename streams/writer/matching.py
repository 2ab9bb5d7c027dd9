"""Who of the block is who of the command.

    an entry of the block                                stands for
    ---------------------------------------------------  -------------------------------------------
    its id is that of a desired member                   that member
    its id is a member's name, or `unnamed_` and a name  that member, unless we wrote it for another
                                                         name
    never written by us, its `name` is a member's        that member
    written by us, or by an earlier integration          somebody who left
    anything else                                        somebody the NPC made up, who stays

Names are compared without case. Two people of one name stay two: the id of somebody we wrote is
never taken for another.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streams.writer.document import Document
from streams.writer.members import MEMBERS, entry_of
from streams.writer.stamp import Stamp
from topics.models import Member
from topics.text import fold

NAME, APPEARANCE = MEMBER_FIELDS = ("name", "appearance")
_MADE_UP = "unnamed_"


@dataclass(frozen=True, slots=True)
class Entry:
    """A member as found in the block."""

    who: str
    found: object
    fields: Document
    is_known: bool
    """We wrote it once: our stamp says so."""
    is_ours: bool
    """We wrote it, or an earlier integration of the game did."""
    has_our_shape: bool
    """It looks as the game writes members: a name and an appearance, or plain text."""

    @property
    def name(self) -> str:
        """The name in the entry, else its id."""
        name = self.fields.get(NAME)
        return name if isinstance(name, str) and name else self.who


@dataclass(frozen=True, slots=True)
class Group:
    """The observed group beside the desired one."""

    desired: tuple[Member, ...]
    base: dict[str, tuple[str, str]]
    """What we wrote last: name and appearance by id."""
    claimed: dict[str, list[Entry]]
    """By id of the desired member: its own entry first, then those that turn out to mean it."""
    waiting: dict[str, dict[str, Document]]
    """By id of the desired member: what waits in the metadata for its return, by its id there."""
    leaving: list[Entry]
    staying: list[Entry]


def matched(found: Mapping[str, object], desired: tuple[Member, ...], stamp: Stamp) -> Group:
    """Sorts the entries of a block; the rules stand above."""
    base = base_of(stamp)
    ids = {member.id for member in desired}
    ids_by_name = _ids_by_name(desired)
    claimed: dict[str, list[Entry]] = {who: [] for who in ids}
    leaving, staying = [], []
    entries = _entries(found, {*ids_by_name, *(fold(name) for name, _ in base.values())}, stamp)
    for entry in sorted(entries, key=lambda entry: entry.who not in ids):
        member_id = entry.who if entry.who in ids else _meant(entry, ids_by_name)
        if member_id is not None:
            claimed[member_id].append(entry)
        elif entry.is_ours:
            leaving.append(entry)
        else:
            staying.append(entry)
    return Group(desired, base, claimed, _waiting(ids, ids_by_name, stamp), leaving, staying)


def base_of(stamp: Stamp) -> dict[str, tuple[str, str]]:
    """The members we wrote last, from a stamp that anybody may have damaged."""
    written = (stamp.base or {}).get(MEMBERS)
    rows = written if isinstance(written, list) else []
    return {
        row[0]: (row[1], row[2])
        for row in rows
        if isinstance(row, list) and len(row) == 3 and all(isinstance(part, str) for part in row)
    }


def _ids_by_name(desired: Iterable[Member]) -> dict[str, str]:
    ids: dict[str, str] = {}
    for member in desired:
        ids.setdefault(fold(member.name), member.id)
    ids.pop("", None)
    return ids


def _entries(found: Mapping[str, object], names: set[str], stamp: Stamp) -> list[Entry]:
    known = {*base_of(stamp), *stamp.gone, *stamp.absent}
    entries = []
    for who, value in found.items():
        fields = entry_of(who, value, names)
        has_our_shape = _has_our_shape(who, value, fields)
        is_ours = who in known or (stamp.base is None and has_our_shape)
        entries.append(Entry(who, value, fields, who in known, is_ours, has_our_shape))
    return entries


def _has_our_shape(who: str, found: object, fields: Document) -> bool:
    is_plain = isinstance(found, str) or set(fields) == {NAME}
    has_shape = all(isinstance(fields.get(name), str) for name in MEMBER_FIELDS)
    return (is_plain or has_shape) and not who.startswith(_MADE_UP)


def _meant(entry: Entry, ids_by_name: Mapping[str, str]) -> str | None:
    if entry.is_known:
        is_name = fold(entry.who) == fold(entry.name)
        return ids_by_name.get(fold(entry.who)) if is_name else None
    names = (entry.who, entry.who.removeprefix(_MADE_UP).replace("_", " "), entry.name)
    return next((ids_by_name[fold(name)] for name in names if fold(name) in ids_by_name), None)


def _waiting(
    ids: set[str], ids_by_name: Mapping[str, str], stamp: Stamp
) -> dict[str, dict[str, Document]]:
    waiting: dict[str, dict[str, Document]] = {who: {} for who in ids}
    for who, part in stamp.absent.items():
        member_id = who if who in ids else ids_by_name.get(fold(str(part.get(NAME, ""))))
        if member_id is not None:
            waiting[member_id][who] = part
    return waiting
