"""What stands in an NPC's blocks now, beside what rollcall wrote there last. Pure.

verdict       the block
------------  --------------------------------------------------------------------------------
missing       is not there; the next write makes it
foreign       bears no stamp of ours: we never wrote it
as written    is byte for byte what we wrote
edited        was changed since, by the NPC or by anybody else; `changes` tells what became of
              the game's part of it, and is empty where only the NPC's own part was changed
"""

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from ops.history.memory import Change, Memory, changes
from streams.writer import group, status
from streams.writer.document import Document, read
from streams.writer.matching import APPEARANCE, MEMBER_FIELDS, NAME, base_of
from streams.writer.members import crowd_of, entry_of
from streams.writer.merge import npc_part, says_something
from streams.writer.stamp import Stamp, is_edited, read_stamp
from streams.writer.store import Block
from topics.models import Member
from topics.text import fold

LABELS = (group.LABEL, status.LABEL)
_GROUP_FIELDS = (group.SUMMARY, group.UPDATES, group.LAST_UPDATED)


class Verdict(StrEnum):
    """The table stands above."""

    MISSING = "missing"
    FOREIGN = "foreign"
    AS_WRITTEN = "as written"
    EDITED = "edited"


class Addition(NamedTuple):
    """Something that is the NPC's own: where it stands and what it says, as JSON would have it."""

    path: str
    value: object


class Standing(NamedTuple):
    """One block as it stands in Letta."""

    label: str
    verdict: Verdict
    memory: Memory = Memory()
    observed_at: float | None = None
    """When the game saw what the block says; None: never written by us."""
    changes: tuple[Change, ...] = ()
    """From what we wrote to what stands there."""
    additions: tuple[Addition, ...] = ()


class Live(NamedTuple):
    """Letta's answer. `trouble`: why there is none, as a sentence."""

    agent_id: str | None = None
    blocks: tuple[Standing, ...] = ()
    trouble: str | None = None


def standing(blocks: Mapping[str, Block]) -> tuple[Standing, ...]:
    """The game's blocks among all blocks of an agent."""
    return tuple(_standing(label, blocks.get(label)) for label in LABELS)


def _standing(label: str, block: Block | None) -> Standing:
    if block is None:
        return Standing(label, Verdict.MISSING)
    stamp, document = read_stamp(block.metadata), read(block.value).document
    is_group = label == group.LABEL
    found = _group_memory(document, stamp) if is_group else _status_memory(document)
    additions = _of_group(document, stamp) if is_group else _of_status(document)
    if stamp.base is None:
        return Standing(label, Verdict.FOREIGN, found, additions=tuple(additions))
    edited = is_edited(block.value, stamp)
    return Standing(
        label,
        Verdict.EDITED if edited else Verdict.AS_WRITTEN,
        found,
        stamp.observed_at,
        changes(_written(label, stamp), found) if edited else (),
        tuple(additions),
    )


def _written(label: str, stamp: Stamp) -> Memory:
    if label == status.LABEL:
        return _status_memory(stamp.base or {})
    return Memory(members=tuple(Member(id=who, name=n, appearance=a) for who, n, a in _rows(stamp)))


def _rows(stamp: Stamp) -> Iterator[tuple[str, str, str]]:
    yield from ((who, name, appearance) for who, (name, appearance) in base_of(stamp).items())


def _status_memory(document: Mapping[str, object]) -> Memory:
    return Memory(location=_text(document, status.LOCATION), action=_text(document, status.ACTION))


def _group_memory(document: Document, stamp: Stamp) -> Memory:
    """Who stands there: ours, and anybody that the NPC did not make up beside them."""
    entries = _entries(document, stamp).items()
    members = (_member(who, entry) for who, entry in entries if _is_of_the_game(who, stamp))
    return Memory(members=tuple(members))


def _member(who: str, entry: Document) -> Member:
    return Member(id=who, name=_text(entry, NAME) or who, appearance=_text(entry, APPEARANCE))


def _is_of_the_game(who: str, stamp: Stamp) -> bool:
    if stamp.base is None:
        return True
    return who in base_of(stamp) or who in stamp.gone


def _entries(document: Document, stamp: Stamp) -> dict[str, Document]:
    names = {fold(name) for _, name, _ in _rows(stamp)}
    found = crowd_of(document).members
    return {who: entry_of(who, value, names) for who, value in found.items()}


def _text(fields: Mapping[str, object], name: str) -> str:
    """A field as text, whatever somebody made of it; empty where it is gone."""
    value = fields.get(name)
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def _of_group(document: Document, stamp: Stamp) -> Iterator[Addition]:
    for who, entry in _entries(document, stamp).items():
        own = npc_part(entry, MEMBER_FIELDS) if _is_of_the_game(who, stamp) else entry
        yield from _additions(f"members.{who}", own)
    yield from _additions("", npc_part(crowd_of(document).others, _GROUP_FIELDS))
    for who, part in stamp.absent.items():
        yield from _additions(f"absent.{who}", npc_part(part, (NAME,)))


def _of_status(document: Document) -> Iterator[Addition]:
    yield from _additions("", npc_part(document, status.FIELDS))


def _additions(path: str, fields: Document) -> Iterator[Addition]:
    for name, value in fields.items():
        if says_something({name: value}):
            yield Addition(f"{path}.{name}".lstrip("."), value)
