"""The `group_members` document: what the game says of the group, around what the NPC noted.

The rules of ownership stand in `merge`. Two rules keep it stable: a document in which nothing but
`last_updated` or the order of fields would change is left byte for byte as it is; and the lines of
`updates` come from comparing this very document with the command, so a command applied twice adds
nothing.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from streams.writer.aside import Owned, Piece, Shelf
from streams.writer.budget import LIMIT, fitted_aside
from streams.writer.document import Document, Reading, read, render
from streams.writer.matching import APPEARANCE, MEMBER_FIELDS, NAME, Entry, Group, matched
from streams.writer.members import MEMBERS, crowd_of
from streams.writer.merge import (
    Rendered,
    conflict_over,
    is_real,
    npc_part,
    says_something,
    united,
)
from streams.writer.rules import DEFAULT_RULES, Rules
from streams.writer.stamp import UNSTAMPED, Stamp
from topics.models import Conflict, Desired, Member
from topics.text import fold

LABEL = "group_members"
NOTES, SUMMARY, UPDATES, LAST_UPDATED = "notes", "summary", "updates", "last_updated"

UPDATES_LIMIT = 10
"""Lines of `updates`, newest first."""

_GONE_LIMIT = 50
_GAME_FIELDS = (SUMMARY, UPDATES, LAST_UPDATED)


def group_document(
    theirs: str,
    desired: Desired,
    observed_at: float,
    stamp: Stamp = UNSTAMPED,
    limit: int = LIMIT,
    rules: Rules = DEFAULT_RULES,
) -> Rendered:
    """What the block shall hold, from what it holds. `observed_at`: seconds since the epoch.

    Raises DoesNotFitError, or ValueError for a time that no calendar has.
    """
    reading = read(theirs)
    crowd = crowd_of(reading.document)
    group = matched(crowd.members, desired.members, stamp)
    draft, shelf = _draft(group, crowd.others), Shelf(stamp.aside, observed_at)
    document, aside = _settled(reading, draft, group, shelf, limit)
    return Rendered(
        value=theirs if _is_observed(document, reading) else render(document),
        base={MEMBERS: [_base_row(member, document) for member in desired.members]},
        conflicts=_conflicts(group, document[MEMBERS]),
        absent=_absent(group, stamp),
        aside=(*stamp.aside, *aside),
        gone=_gone(group, stamp),
    )


def iso_time(observed_at: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, to the millisecond. Raises ValueError."""
    try:
        return datetime.fromtimestamp(observed_at, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(f"observed_at {observed_at} is a time that no calendar has") from error


def summary_of(members: Iterable[Member]) -> str:
    """One sentence for the prompt; names in the game's order."""
    return "Current members: " + (", ".join(member.name for member in members) or "none")


def _settled(
    reading: Reading, draft: Document, group: Group, shelf: Shelf, limit: int
) -> tuple[Document, tuple[Piece, ...]]:
    now = iso_time(shelf.observed_at)
    own = {m.id: m.appearance for m in group.desired if is_real(m.appearance)}
    owned = Owned((MEMBERS, *_GAME_FIELDS), {m.id for m in group.desired}, MEMBER_FIELDS)
    document, aside = fitted_aside(draft, limit, own, owned, shelf)
    if _is_observed(document, reading):
        return document, aside
    return fitted_aside({**draft, LAST_UPDATED: now}, limit, own, owned, shelf)


def _is_observed(document: Document, reading: Reading) -> bool:
    return reading.exact and document == reading.document


def _draft(group: Group, others: Document) -> Document:
    members: dict[str, object] = {m.id: _member(m, group) for m in group.desired}
    members.update((entry.who, entry.found) for entry in group.staying)
    last_updated = others.get(LAST_UPDATED)
    return {
        MEMBERS: members,
        SUMMARY: summary_of(group.desired),
        UPDATES: _updates(group, others.get(UPDATES))[:UPDATES_LIMIT],
        LAST_UPDATED: last_updated if isinstance(last_updated, str) else None,
        **npc_part(others, _GAME_FIELDS),
    }


# -- a member --------------------------------------------------------------------------------------


def _member(member: Member, group: Group) -> Document:
    claimed, waiting = group.claimed[member.id], group.waiting[member.id].values()
    noted = (npc_part(entry.fields, MEMBER_FIELDS) for entry in claimed)
    called = (_called_before(entry, member) for entry in claimed)
    returning = (npc_part(part, MEMBER_FIELDS) for part in waiting)
    appearance = _appearance(member, [*(entry.fields for entry in claimed), *waiting])
    part = united([*noted, *called, *returning])
    return {NAME: member.name, APPEARANCE: appearance, NOTES: "", **part}


def _appearance(member: Member, accounts: Iterable[Document]) -> str:
    if is_real(member.appearance):
        return member.appearance
    told = [account.get(APPEARANCE) for account in accounts]
    real = (text for text in told if isinstance(text, str) and is_real(text))
    return next(real, member.appearance)


def _called_before(entry: Entry, member: Member) -> Document:
    """How the NPC itself named and described somebody before the game said who that is."""
    if entry.who == member.id or entry.is_ours:
        return {}
    ours = {NAME: member.name, APPEARANCE: member.appearance}
    return {
        f"noted_{name}": value
        for name, value in entry.fields.items()
        if name in ours and is_real(ours[name]) and not _is_same_text(value, ours[name])
    }


def _is_same_text(value: object, ours: str) -> bool:
    return value in ("", None) or (isinstance(value, str) and fold(value) == fold(ours))


# -- news ------------------------------------------------------------------------------------------


def _updates(group: Group, found: Any) -> list[Any]:
    earlier = found if isinstance(found, list) else [found] if found else []
    joined = [m.name for m in group.desired if not _was_here(m, group)]
    news = [_line(joined, "joined"), _line(_leavers(group), "left")]
    return [*filter(None, news), *earlier]


def _was_here(member: Member, group: Group) -> bool:
    entries = group.claimed[member.id]
    return any(entry.who == member.id or entry.is_ours for entry in entries)


def _leavers(group: Group) -> list[str]:
    """Names of those whom we, or this document, said to be here, in that order."""
    seen = {entry.who for entries in group.claimed.values() for entry in entries}
    names = {fold(member.name) for member in group.desired}
    left = {
        who: name
        for who, (name, _) in group.base.items()
        if who not in group.claimed and who not in seen and fold(who) not in names
    }
    shown = {e.who: e.name for e in group.leaving if e.has_our_shape}
    return list({**shown, **left}.values())


def _line(names: list[str], did: str) -> str:
    return f"{', '.join(names)} {did} the group" if names else ""


# -- what goes along with the value ----------------------------------------------------------------


def _base_row(member: Member, document: Document) -> list[str]:
    written = document[MEMBERS][member.id]
    return [member.id, written[NAME], written[APPEARANCE]]


def _conflicts(group: Group, written: Mapping[str, Document]) -> tuple[Conflict, ...]:
    known = [member for member in group.desired if member.id in group.base]
    return tuple(conflict for m in known for conflict in _conflicts_over(m, group, written[m.id]))


def _conflicts_over(member: Member, group: Group, written: Document) -> list[Conflict]:
    path = f"{LABEL}.{MEMBERS}.{member.id}"
    base = dict(zip(MEMBER_FIELDS, group.base[member.id], strict=True))
    ours = {name: written[name] for name in MEMBER_FIELDS}
    own = next((entry for entry in group.claimed[member.id] if entry.who == member.id), None)
    if own is None:
        return conflict_over(path, base, ours, None)
    return [
        conflict
        for name in MEMBER_FIELDS
        for conflict in conflict_over(
            f"{path}.{name}", base[name], ours[name], own.fields.get(name)
        )
    ]


def _absent(group: Group, stamp: Stamp) -> dict[str, Document]:
    returned = {who for parts in group.waiting.values() for who in parts}
    absent = {who: part for who, part in stamp.absent.items() if who not in returned}
    for entry in group.leaving:
        part = _kept_of(entry)
        if says_something(npc_part(part, (NAME,))) or not entry.is_known:
            absent[entry.who] = united([part, absent.get(entry.who, {})])
    return absent


def _kept_of(entry: Entry) -> Document:
    """The NPC's part of an entry of ours, all of anybody else's. A name only where it is what
    tells who it was: it brings the notes back to whoever is called so.
    """
    if not entry.is_known:
        return {NAME: entry.name, **entry.fields}
    part = npc_part(entry.fields, MEMBER_FIELDS)
    return {NAME: entry.name, **part} if fold(entry.who) == fold(entry.name) else part


def _gone(group: Group, stamp: Stamp) -> tuple[str, ...]:
    left = (*stamp.gone, *group.base, *(entry.who for entry in group.leaving))
    return tuple(dict.fromkeys(who for who in left if who not in group.claimed))[-_GONE_LIMIT:]
