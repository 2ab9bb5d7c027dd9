"""The `group_members` document: what the game says of the group, around what the NPC noted.

The rules of ownership stand in `merge`. Two rules keep it stable: a document in which nothing but
`last_updated` or the order of fields would change is left byte for byte as it is; and the lines of
`updates` come from comparing this very document with the command, so a command applied twice adds
nothing.
"""

import itertools
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from streams.settings import ConflictPolicy, Layout
from streams.writer.aside import Owned, Piece, Shelf
from streams.writer.blame import facts_found, facts_of
from streams.writer.budget import LIMIT, fitted_aside
from streams.writer.document import Document, Reading, read, render
from streams.writer.matching import (
    APPEARANCE,
    MEMBER_FIELDS,
    NAME,
    Entry,
    Group,
    base_of,
    matched,
)
from streams.writer.members import MEMBERS, Crowd, crowd_of
from streams.writer.merge import (
    Claim,
    Judge,
    Rendered,
    conflict_over,
    is_base_news,
    is_real,
    npc_part,
    says_something,
    united,
)
from streams.writer.recall import (
    documents_in,
    own_members,
    own_part,
    recalled,
    recalled_members,
)
from streams.writer.rules import DEFAULT_RULES, Rules
from streams.writer.stamp import UNSTAMPED, Stamp, is_replaced, with_replaced
from topics.models import Conflict, Desired, Member
from topics.text import DESCRIPTION_LIMIT, NAME_LIMIT, fold

LABEL = "group_members"
NOTES, SUMMARY, UPDATES, LAST_UPDATED = "notes", "summary", "updates", "last_updated"

UPDATES_LIMIT = 10
"""Lines of `updates`, newest first."""

_LIMITS = {NAME: NAME_LIMIT, APPEARANCE: DESCRIPTION_LIMIT}
"""Characters of what an NPC may put in place of the game's."""

_GONE_LIMIT = 50
_TIME_LIMIT = 40
"""Characters of a time as anybody writes it; more is no time."""
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
    reading = read(theirs, (*_GAME_FIELDS, *MEMBER_FIELDS))
    crowd = crowd_of(reading.document)
    group = matched(crowd.members, desired.members, stamp)
    judge = _judge(theirs, rules.policy, group, stamp)
    if stamp.own and (judge.stale or is_replaced(theirs, stamp)):
        crowd, stamp = _recalled(crowd, stamp)
        group = matched(crowd.members, desired.members, stamp)
    kept = _kept(group, judge)
    draft = _draft(group, _shown(group, kept), crowd.others, rules.layout)
    document, aside = _settled(reading, draft, group, Shelf(stamp.aside, observed_at), limit)
    said = _said(group, kept, document[MEMBERS])
    base: Document = {MEMBERS: [[who, *texts.values()] for who, texts in said.items()]}
    facts = facts_of(_texts_of({m.id: document[MEMBERS][m.id] for m in group.desired}))
    is_same = _is_observed(document, reading)
    return Rendered(
        value=theirs if is_same else render(document),
        base=base,
        conflicts=_conflicts(group, said, document, crowd.others, judge),
        absent=_absent(group, stamp),
        aside=(*stamp.aside, *aside),
        gone=_gone(group, stamp),
        kept={fact: facts[fact] for fact in _texts_of(kept)},
        before=judge.remembers(facts),
        is_base_news=is_same and is_base_news(rules.policy, stamp.base, base),
        own=_own_of(document),
        replaced=with_replaced(theirs, stamp),
    )


def iso_time(observed_at: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, to the millisecond. Raises ValueError."""
    try:
        return datetime.fromtimestamp(observed_at, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(f"observed_at {observed_at} is a time that no calendar has") from error


def summary_of(names: Iterable[str]) -> str:
    """One sentence for the prompt; names in the game's order."""
    return "Current members: " + (", ".join(names) or "none")


def _settled(
    reading: Reading, draft: Document, group: Group, shelf: Shelf, limit: int
) -> tuple[Document, tuple[Piece, ...]]:
    now, shown = iso_time(shelf.observed_at), draft[MEMBERS]
    own = {
        m.id: shown[m.id][APPEARANCE]
        for m in group.desired
        if not is_real(m.appearance) or shown[m.id][APPEARANCE] == m.appearance
    }
    owned = Owned((MEMBERS, *_GAME_FIELDS), {m.id for m in group.desired}, MEMBER_FIELDS)
    document, aside = fitted_aside(draft, limit, own, owned, shelf)
    if _is_observed(document, reading):
        return document, aside
    return fitted_aside({**draft, LAST_UPDATED: now}, limit, own, owned, shelf)


def _is_observed(document: Document, reading: Reading) -> bool:
    return reading.exact and document == reading.document


def _draft(group: Group, shown: Iterable[Member], others: Document, layout: Layout) -> Document:
    blank = {NOTES: ""} if layout is Layout.SHARED else {}
    members: dict[str, object] = {m.id: _member(m, group, blank) for m in shown}
    members.update((entry.who, entry.found) for entry in group.staying)
    last_updated = others.get(LAST_UPDATED)
    return {
        MEMBERS: members,
        SUMMARY: summary_of(member.name for member in group.desired),
        UPDATES: _updates(group, others.get(UPDATES))[:UPDATES_LIMIT],
        LAST_UPDATED: last_updated if _is_short(last_updated) else None,
        **npc_part(others, _GAME_FIELDS),
    }


# -- a member --------------------------------------------------------------------------------------


def _member(member: Member, group: Group, blank: Document) -> Document:
    claimed, waiting = group.claimed[member.id], group.waiting[member.id].values()
    noted = (npc_part(entry.fields, MEMBER_FIELDS) for entry in claimed)
    called = (_called_before(entry, member) for entry in claimed)
    returning = (npc_part(part, MEMBER_FIELDS) for part in waiting)
    appearance = _appearance(member, [*(entry.fields for entry in claimed), *waiting])
    part = united([*noted, *called, *returning])
    return {NAME: member.name, APPEARANCE: appearance, **blank, **part}


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


def _is_short(text: object) -> bool:
    return isinstance(text, str) and len(text) <= _TIME_LIMIT


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


# -- what a write-back took ------------------------------------------------------------------------


def _own_of(document: Document) -> Document:
    members = own_members(document[MEMBERS], MEMBER_FIELDS)
    others = own_part(document, (MEMBERS, *_GAME_FIELDS))
    return {**others, **({MEMBERS: members} if members else {})}


def _recalled(crowd: Crowd, stamp: Stamp) -> tuple[Crowd, Stamp]:
    """What the NPC had here when we wrote last, beside what stands there now."""
    own = npc_part(stamp.own, (MEMBERS,))
    noted = documents_in(stamp.own.get(MEMBERS))
    members, waiting = recalled_members(crowd.members, noted, {*base_of(stamp), *stamp.gone})
    absent = {who: united([part, stamp.absent.get(who, {})]) for who, part in waiting.items()}
    back = msgspec.structs.replace(stamp, absent={**stamp.absent, **absent})
    return Crowd(members, recalled(crowd.others, own)), back


# -- whose value stays -----------------------------------------------------------------------------


def _judge(theirs: str, policy: ConflictPolicy, group: Group, stamp: Stamp) -> Judge:
    base = {who: _base_texts(who, group) for who in group.base}
    last = {**facts_of(_texts_of(base)), **stamp.kept}
    entries = itertools.chain(*group.claimed.values(), group.leaving)
    told = {e.who: e.fields for e in entries if e.is_ours or e.who in group.claimed}
    return Judge.over(policy, last, facts_found(_texts_of(told), theirs), stamp.before)


def _kept(group: Group, judge: Judge) -> dict[str, dict[str, str]]:
    """By member id: the fields that stay as somebody made them. Only members who have some."""
    kept = {m.id: _kept_fields(m, group, judge) for m in group.desired if m.id in group.base}
    return {who: fields for who, fields in kept.items() if fields}


def _kept_fields(member: Member, group: Group, judge: Judge) -> dict[str, str]:
    own, base = _own(member.id, group), _base_texts(member.id, group)
    ours = _game_texts(member, group)
    found = own.fields if own else {}
    return {
        name: found[name]
        for name, limit in _LIMITS.items()
        if judge.lets_stand(
            _fact(member.id, name), Claim(base[name], ours[name], found.get(name)), limit
        )
    }


def _shown(group: Group, kept: Mapping[str, dict[str, str]]) -> list[Member]:
    return [msgspec.structs.replace(m, **kept.get(m.id, {})) for m in group.desired]


def _said(
    group: Group, kept: Mapping[str, dict[str, str]], written: Mapping[str, Document]
) -> dict[str, dict[str, str]]:
    """What the game says of each member: what is written, but where somebody's own text stays."""
    return {
        m.id: {
            name: _game_texts(m, group)[name] if name in kept.get(m.id, {}) else written[m.id][name]
            for name in MEMBER_FIELDS
        }
        for m in group.desired
    }


def _game_texts(member: Member, group: Group) -> dict[str, str]:
    """Name and appearance; an appearance that the game has forgotten is the one it told last."""
    told = _base_texts(member.id, group)[APPEARANCE] if member.id in group.base else ""
    appearance = member.appearance if is_real(member.appearance) else told
    return {NAME: member.name, APPEARANCE: appearance}


def _base_texts(who: str, group: Group) -> dict[str, str]:
    return dict(zip(MEMBER_FIELDS, group.base[who], strict=True))


def _own(who: str, group: Group) -> Entry | None:
    """The entry under a member's own id."""
    return next((entry for entry in group.claimed[who] if entry.who == who), None)


def _fact(who: str, name: str) -> str:
    return f"{who}.{name}"


def _texts_of(members: Mapping[str, Mapping[str, Any]]) -> dict[str, object]:
    """The game's part of members, by fact."""
    return {
        _fact(who, name): fields[name]
        for who, fields in members.items()
        for name in MEMBER_FIELDS
        if name in fields
    }


# -- what goes along with the value ----------------------------------------------------------------


def _conflicts(
    group: Group,
    said: Mapping[str, dict[str, str]],
    document: Document,
    others: Document,
    judge: Judge,
) -> tuple[Conflict, ...]:
    known = [member.id for member in group.desired if member.id in group.base]
    members = [
        conflict
        for who in known
        for conflict in _conflicts_over(who, group, said[who], document[MEMBERS][who], judge)
    ]
    returned = [_returned(entry, judge) for entry in _come_back(group)]
    return (*members, *returned) or _conflict_over_summary(group, others, judge)


def _conflicts_over(
    who: str, group: Group, ours: dict[str, str], written: Document, judge: Judge
) -> list[Conflict]:
    path = f"{LABEL}.{MEMBERS}.{who}"
    base = _base_texts(who, group)
    own = _own(who, group)
    if own is None:
        return conflict_over(path, Claim(base, ours, None), ours, judge.author(_fact(who, NAME)))
    return [
        conflict
        for name in MEMBER_FIELDS
        for conflict in conflict_over(
            f"{path}.{name}",
            Claim(base[name], ours[name], own.fields.get(name)),
            written[name],
            judge.author(_fact(who, name)),
        )
    ]


def _come_back(group: Group) -> list[Entry]:
    """Those we had taken out, and who stand there again without the game saying so."""
    entries = itertools.chain(*group.claimed.values(), group.leaving)
    return [e for e in entries if e.is_known and e.who not in {*group.claimed, *group.base}]


def _returned(entry: Entry, judge: Judge) -> Conflict:
    return Conflict(
        path=f"{LABEL}.{MEMBERS}.{entry.who}",
        base=None,
        ours=None,
        theirs={name: entry.fields[name] for name in MEMBER_FIELDS if name in entry.fields},
        kept=None,
        by=judge.author(_fact(entry.who, NAME)),
    )


def _conflict_over_summary(group: Group, others: Document, judge: Judge) -> tuple[Conflict, ...]:
    """Told only where no member's is: it says the same as they do."""
    if not group.base:
        return ()
    ours = summary_of(member.name for member in group.desired)
    base = summary_of(name for name, _ in group.base.values())
    claim = Claim(base, ours, others.get(SUMMARY))
    return tuple(conflict_over(f"{LABEL}.{SUMMARY}", claim, ours, judge.author(SUMMARY)))


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
