"""What an NPC owns in its memory blocks, taken out of one layout and put into the other. Pure.

    shared                                      split: in the JSON object of `group_notes`
    ------------------------------------------  ------------------------------------------------
    notes and own fields of a member            `about`: {id: {"name": ..., fields}}
    notes of absent players, in the metadata    `about_absent`: {id: fields}
    members the NPC made up                     `about_others`: {id: as it was}
    own fields of `status`                      `about_me`
    other own fields of `group_members`,        at the top, under their names; in `loose` where a
    `unsorted_notes` above all                  name is one of these

On the way back a person who is not in the group waits in the metadata; a name or a field that the
game owns becomes `noted_...`; what the NPC made of `group_notes` itself is read by the rules of
`streams.writer.document`, and what has no place joins `unsorted_notes`.

Putting in is a union: what is there already is not put in again, of two accounts both stay. So
"does it hold all this?" is the same as "does putting it in change nothing?".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from streams.writer.budget import DoesNotFitError, checked, fitted, limit_of
from streams.writer.document import (
    DEPTH_LIMIT,
    UNSORTED,
    Document,
    is_among,
    read,
    render,
    with_note,
)
from streams.writer.group import LABEL as GROUP
from streams.writer.group import LAST_UPDATED, NOTES, SUMMARY, UPDATES
from streams.writer.matching import MEMBER_FIELDS, NAME, Entry, base_of, matched
from streams.writer.members import MEMBERS, crowd_of, entry_of
from streams.writer.merge import npc_part, says_something, united
from streams.writer.stamp import KEY, Stamp, hash_of, read_stamp
from streams.writer.status import FIELDS, with_labelled_line
from streams.writer.status import LABEL as STATUS
from streams.writer.store import Block
from topics.text import fold

ABOUT, ABSENT, OTHERS, ME = "about", "about_absent", "about_others", "about_me"
LOOSE = "loose"
SECTIONS = (ABOUT, ABSENT, OTHERS, ME, LOOSE)

_GAME_FIELDS = (MEMBERS, SUMMARY, UPDATES, LAST_UPDATED)


@dataclass(frozen=True, slots=True)
class Notes:
    """All that an NPC owns, by whom or what it is about. People by id."""

    about: Document = field(default_factory=dict)
    absent: Document = field(default_factory=dict)
    others: Document = field(default_factory=dict)
    me: Document = field(default_factory=dict)
    loose: Document = field(default_factory=dict)

    def values(self) -> Iterator[object]:
        """Every field's value; a text the NPC wrote in place of fields counts as one."""
        for entry in (*self.about.values(), *self.absent.values(), *self.others.values()):
            yield from npc_part(entry, (NAME,)).values() if isinstance(entry, dict) else [entry]
        for fields in (self.me, self.loose):
            for name, value in fields.items():
                yield from value if name == UNSORTED and isinstance(value, list) else [value]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is left of a block without what the NPC owns."""

    value: str
    metadata: Document


# -- out of the shared layout ----------------------------------------------------------------------


def notes_in(blocks: Mapping[str, Block]) -> Notes:
    """What the NPC owns in the blocks that the game writes to."""
    group = _group_apart(blocks[GROUP])[0] if GROUP in blocks else Notes()
    me = _status_apart(blocks[STATUS])[0] if STATUS in blocks else {}
    return replace(group, me=_bounded(me, DEPTH_LIMIT - 1))


def facts_of(block: Block) -> Facts:
    """One of these blocks without the NPC's part. Nothing to take out: as it is, byte for byte."""
    if block.label == STATUS:
        fields, document = _status_apart(block)
        return _facts(block, document) if fields else Facts(block.value, block.metadata)
    notes, facts, has_blanks = _group_apart(block)
    if notes == Notes() and not has_blanks:
        return Facts(block.value, block.metadata)
    return _facts(block, facts)


def _facts(block: Block, document: Document) -> Facts:
    value = render(document)
    return Facts(value, _noted(block, value, {}))


def _status_apart(block: Block) -> tuple[Document, Document]:
    found = with_labelled_line(read(block.value).document)
    return npc_part(found, FIELDS), {k: v for k, v in found.items() if k in FIELDS}


def _group_apart(block: Block) -> tuple[Notes, Document, bool]:
    """The NPC's part, the game's, and whether that lost a `notes` that says nothing."""
    stamp = read_stamp(block.metadata)
    crowd = crowd_of(read(block.value).document)
    group = matched(crowd.members, (), stamp)
    owned = {entry.who: _owned(entry) for entry in group.leaving}
    made_up = {entry.who: entry.found for entry in group.staying}
    named = {entry.who: entry.name for entry in group.leaving}
    notes = Notes(
        about={who: {NAME: named[who], **part} for who, part in owned.items() if part},
        absent=_bounded(stamp.absent, DEPTH_LIMIT - 1),
        others=made_up,
        loose=npc_part(crowd.others, _GAME_FIELDS),
    )
    members = {entry.who: _bare(entry) for entry in group.leaving}
    has_blanks = any(members[entry.who] != entry.found for entry in group.leaving)
    facts = {MEMBERS: members, **{k: v for k, v in crowd.others.items() if k in _GAME_FIELDS}}
    return notes, facts, has_blanks


def _owned(entry: Entry) -> Document:
    """The NPC's fields. A bare text that nobody of us wrote is left for the writer to make out."""
    if not isinstance(entry.found, dict) and not entry.is_known:
        return {}
    part = npc_part(entry.fields, MEMBER_FIELDS)
    return {name: value for name, value in part.items() if (name, value) != (NOTES, "")}


def _bare(entry: Entry) -> object:
    if not isinstance(entry.found, dict) and not _owned(entry):
        return entry.found
    return {name: value for name, value in entry.fields.items() if name in MEMBER_FIELDS}


# -- into group_notes ------------------------------------------------------------------------------


def noted(document: Document, notes: Notes) -> Document:
    """The object of `group_notes` with all these notes in it."""
    document = _with_entries(document, ABOUT, notes.about)
    document = _with_entries(document, ABSENT, notes.absent)
    document = _with_entries(document, OTHERS, notes.others)
    document = _with_fields(document, ME, notes.me)
    named_alike = {name: value for name, value in notes.loose.items() if name in SECTIONS}
    document = _with_fields(document, LOOSE, _bounded(named_alike, DEPTH_LIMIT - 1))
    for name, value in npc_part(notes.loose, SECTIONS).items():
        document = _with(document, name, value)
    return document


def shown(document: Document) -> str:
    """The object as the NPC reads it; nothing at all for an empty one."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() if document else ""


def _with_entries(document: Document, section: str, entries: Document) -> Document:
    document, present = _opened(document, section) if entries else (document, {})
    for who, entry in entries.items():
        if who in present:
            entry = _both(present[who], entry, keeps_name=section == ABOUT)
        present = {**present, who: entry}
    return {**document, section: present} if entries else document


def _with_fields(document: Document, section: str, fields: Document) -> Document:
    if not fields:
        return document
    document, present = _opened(document, section)
    for name, value in fields.items():
        present = _with(present, name, value)
    return {**document, section: present}


def _opened(document: Document, section: str) -> tuple[Document, Document]:
    """A section to put something in. What the NPC put in its place becomes an unsorted note."""
    present = document.get(section, {})
    if isinstance(present, dict):
        return document, present
    if present in ("", None, []):
        return document, {}
    note = {section: _bounded(present, DEPTH_LIMIT - 3)}
    return with_note({**document, section: {}}, note), {}


# -- out of group_notes ----------------------------------------------------------------------------


def notes_of(text: str) -> Notes:
    """What stands in a `group_notes` block, whatever the NPC made of it."""
    document = read(text).document
    sections = {name: document.get(name) for name in SECTIONS}
    loose = npc_part(document, SECTIONS)
    for name, found in sections.items():
        if not isinstance(found, dict) and found not in ("", None, []):
            loose = with_note(loose, {name: _bounded(found, DEPTH_LIMIT - 3)})
    about, absent, others, me, more = (
        found if isinstance(found, dict) else {} for found in sections.values()
    )
    for name, value in more.items():
        loose = _with(loose, name, value)
    return Notes(about, absent, others, me, loose)


# -- into the shared layout ------------------------------------------------------------------------


def returned(notes: Notes, blocks: Mapping[str, Block]) -> dict[str, Facts]:
    """Value and metadata of `group_members` and `status` with all these notes in them.

    A missing block is one without a text. Raises DoesNotFitError.
    """
    group = blocks.get(GROUP) or Block(id="", label=GROUP, value="")
    status = blocks.get(STATUS) or Block(id="", label=STATUS, value="")
    return {GROUP: _group_with(notes, group), STATUS: _status_with(notes.me, status)}


def _status_with(fields: Document, block: Block) -> Facts:
    found = with_labelled_line(read(block.value).document)
    document = found
    for name, value in fields.items():
        document = _with(document, _own(name, FIELDS), value)
    if _is_same(document, found):
        return Facts(block.value, block.metadata)
    value = render(_named(STATUS, checked, document, limit_of(block.limit)))
    return Facts(value, _noted(block, value, read_stamp(block.metadata).absent))


def _group_with(notes: Notes, block: Block) -> Facts:
    stamp = read_stamp(block.metadata)
    crowd = crowd_of(read(block.value).document)
    people = _People(crowd.members, dict(stamp.absent), stamp)
    for who, found in notes.about.items():
        people.note(who, {NAME: who, **_as_fields(found)}, found)
    for who, found in notes.absent.items():
        people.note(who, _as_fields(found), found)
    for who, found in notes.others.items():
        people.make_up(who, found)
    others = crowd.others
    for name, value in notes.loose.items():
        others = _with(others, _own(name, _GAME_FIELDS), value)
    is_same = _is_same(people.members, crowd.members) and _is_same(others, crowd.others)
    if is_same and _is_same(people.absent, stamp.absent):
        return Facts(block.value, block.metadata)
    document = {MEMBERS: people.members, **others}
    value = block.value if is_same else render(_short(document, people.ours, block))
    return Facts(value, _noted(block, value, people.absent))


class _People:
    """The members of a block and those who are absent, while notes come back to them."""

    def __init__(self, members: Document, absent: dict[str, Document], stamp: Stamp) -> None:
        self.members, self.absent = dict(members), absent
        self._names = {fold(name) for name, _ in base_of(stamp).values()}
        self.ours = {entry.who for entry in matched(members, (), stamp).leaving}

    def note(self, who: str, fields: Document, found: object) -> None:
        """Something about somebody who is here, or waits for their return."""
        if who in self.ours:
            self._note_member(who, _as_fields(found))
        elif who in self.absent:
            self.absent[who] = _both_fields(self.absent[who], fields, keeps_name=True)
        elif says_something(fields):
            self.absent[who] = fields

    def make_up(self, who: str, found: object) -> None:
        """Somebody whom the NPC made up."""
        if who in self.ours:
            self._note_member(who, _as_fields(found))
        elif who in self.members:
            self.members[who] = _both(self.members[who], found)
        else:
            self.members[who] = found

    def _note_member(self, who: str, fields: Document) -> None:
        entry = entry_of(who, self.members[who], self._names)
        told = {name: entry[name] for name in MEMBER_FIELDS if name in entry}
        own = {
            _own(name, MEMBER_FIELDS): value
            for name, value in fields.items()
            if name not in MEMBER_FIELDS or not _is_same_text(value, entry.get(name, who))
        }
        self.members[who] = {**told, **united([npc_part(entry, MEMBER_FIELDS), own])}


def _short(document: Document, ours: set[str], block: Block) -> Document:
    """Within the block's limit: what the game can say again is shortened, as on a write of ours."""
    limit = limit_of(block.limit)
    if not isinstance(document.get(UPDATES), list):
        return _named(GROUP, checked, document, limit)
    appearances = {
        who: entry["appearance"]
        for who, entry in document[MEMBERS].items()
        if who in ours and isinstance(entry, dict) and isinstance(entry.get("appearance"), str)
    }
    return _named(GROUP, fitted, document, limit, appearances)


def _named(label: str, fit: Any, *asked: object) -> Document:
    try:
        document: Document = fit(*asked)
    except DoesNotFitError as error:
        raise DoesNotFitError(f"{label} {error}") from error
    return document


# -- small things ----------------------------------------------------------------------------------


def _with(document: Document, name: str, value: object) -> Document:
    """One field more; an unsorted note joins the others."""
    if name not in document:
        return {**document, name: value}
    if name != UNSORTED:
        return united([document, {name: value}])
    for note in value if isinstance(value, list) else [value]:
        document = with_note(document, note)
    return document


def _both(first: object, second: object, *, keeps_name: bool = False) -> object:
    """Two accounts of the same person."""
    if is_among(first, [second]):
        return first
    return _both_fields(_as_fields(first), _as_fields(second), keeps_name=keeps_name)


def _both_fields(first: Document, second: Document, *, keeps_name: bool) -> Document:
    if keeps_name and first.get(NAME):
        second = npc_part(second, (NAME,))
    return united([first, second])


def _as_fields(found: object) -> Document:
    return found if isinstance(found, dict) else {} if found is None else {NOTES: found}


def _own(name: str, game_fields: tuple[str, ...]) -> str:
    return f"noted_{name}" if name in game_fields else name


def _is_same_text(value: object, other: object) -> bool:
    is_text = isinstance(value, str) and isinstance(other, str)
    return value in ("", None) or (is_text and fold(str(value)) == fold(str(other)))


def _is_same(one: Document, other: Document) -> bool:
    return render(one) == render(other)


def _noted(block: Block, value: str, absent: Mapping[str, Document]) -> Document:
    """The metadata beside a value that we put right ourselves."""
    found = block.metadata.get(KEY)
    stamp = {**found} if isinstance(found, dict) else {}
    if stamp.get("absent") or absent:
        stamp["absent"] = dict(absent)
    if "hash" in stamp:
        stamp["hash"] = hash_of(value)
    return {**block.metadata, KEY: stamp} if stamp else block.metadata


def _bounded(value: Any, levels: int) -> Any:
    """The same, with what nests deeper than a document may written out as text."""
    if not isinstance(value, dict | list):
        return value
    if levels <= 0:
        return orjson.dumps(value).decode()
    if isinstance(value, list):
        return [_bounded(item, levels - 1) for item in value]
    return {name: _bounded(item, levels - 1) for name, item in value.items()}
