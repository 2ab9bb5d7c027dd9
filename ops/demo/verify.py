"""Does an NPC's memory say what the game told last? Written apart from filter and writer.

Compared are, for each NPC: who stands there, each one's name and appearance, the summary, the
place in words, the action, the form of the other fields, and every note the NPC ever wrote.
A note about somebody who is not there may wait in the block's metadata or in the writer's Table.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ops.demo.game import Truth
from ops.demo.notes import GROUP, STATUS, Note, Notebook
from ops.demo.town import Town
from topics.models import Coordinates, PlayerProfile

_NEAR = (
    (5.0, "at the entrance to {}"),
    (15.0, "right outside {}"),
    (30.0, "near {}"),
    (50.0, "in the vicinity of {}"),
)


@dataclass(frozen=True, slots=True)
class MemoryBlock:
    """A block as Letta has it."""

    value: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expectation:
    """All there is to compare with: the town, the profiles sent, and what NPCs wrote themselves."""

    town: Town
    profiles: Mapping[str, PlayerProfile]
    notebook: Notebook

    def name_of(self, person: str) -> str:
        """The name a memory shall have."""
        npc = self.town.npcs.get(person)
        return (npc.display_name or npc.name) if npc else self.town.players[person].name

    def appearance_of(self, person: str) -> str:
        """The description a memory shall have; empty while the game has told none."""
        if npc := self.town.npcs.get(person):
            return npc.description
        profile = self.profiles.get(person)
        return profile.description if profile else ""

    def place_of(self, truth: Truth) -> str:
        """The place in words: the contract's distances."""
        if truth.place:
            return self.town.places[truth.place].name
        distance, name = min(
            (_distance(truth.position, place.coordinates), place.name)
            for place in self.town.places.values()
        )
        words = [text for bound, text in _NEAR if distance < bound]
        return words[0].format(name) if words else "in the open"


def _distance(a: Coordinates, b: Coordinates) -> float:
    return math.sqrt(sum((p - q) ** 2 for p, q in zip(a, b, strict=True)))


def differences(
    truth: Truth, blocks: Mapping[str, MemoryBlock], expected: Expectation, kept: str = ""
) -> Iterator[str]:
    """A sentence for each thing in which the blocks (by label) differ from the last snapshot.

    `kept`: what the writer's Table `notes` holds of this NPC, as text.
    """
    for label in (GROUP, STATUS):
        if label not in blocks:
            yield f"there is no block {label}"
    if GROUP in blocks:
        yield from _group(truth, blocks[GROUP], expected)
    if STATUS in blocks:
        yield from _status(truth, blocks[STATUS], expected)
    for note in expected.notebook.of(truth.npc_id):
        there = {*truth.members, *expected.notebook.made_up.get(truth.npc_id, ())}
        yield from _note(note, there, blocks, kept)


def _document(label: str, block: MemoryBlock) -> tuple[dict[str, Any], list[str]]:
    try:
        document = json.loads(block.value)
    except ValueError:
        return {}, [f"{label} is not JSON: {block.value[:80]!r}"]
    if not isinstance(document, dict):
        return {}, [f"{label} is no object: {block.value[:80]!r}"]
    return document, []


def _group(truth: Truth, block: MemoryBlock, expected: Expectation) -> Iterator[str]:
    document, faults = _document(GROUP, block)
    members = document.get("members")
    if faults or not isinstance(members, dict):
        yield from faults or [f"{GROUP} has no members: {block.value[:80]!r}"]
        return
    for who in truth.members:
        yield from _member(who, members.get(who), expected)
    allowed = {*truth.members, *expected.notebook.made_up.get(truth.npc_id, ())}
    for who in members.keys() - allowed:
        yield f"{who} is a member, but does not stand there"
    names = sorted(expected.name_of(who) for who in truth.members)
    summary = str(document.get("summary", ""))
    if _names_in(summary) != names:
        yield f"summary is {summary!r}, but there are {names}"
    updates = document.get("updates")
    if not isinstance(updates, list) or len(updates) > 10:
        yield f"updates is no list of at most 10: {str(updates)[:80]}"
    if not _is_time(document.get("last_updated")):
        yield f"last_updated is no time: {document.get('last_updated')!r}"


def _names_in(summary: str) -> list[str]:
    listed = summary.removeprefix("Current members: ")
    return sorted(listed.split(", ")) if listed not in ("", "none") else []


def _is_time(text: object) -> bool:
    try:
        return datetime.fromisoformat(str(text)).tzinfo is not None
    except ValueError:
        return False


def _member(who: str, entry: object, expected: Expectation) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield f"{who} ({expected.name_of(who)}) stands there, but is no member"
        return
    wanted = {"name": expected.name_of(who), "appearance": expected.appearance_of(who)}
    for name, value in wanted.items():
        if entry.get(name) != value:
            yield f"{name} of {who} is {entry.get(name)!r}, not {value!r}"
    if not isinstance(entry.get("notes"), str):
        yield f"notes of {who} are no text: {entry.get('notes')!r}"


def _status(truth: Truth, block: MemoryBlock, expected: Expectation) -> Iterator[str]:
    document, faults = _document(STATUS, block)
    yield from faults
    wanted = {"current_location": expected.place_of(truth), "current_action": truth.action}
    for name, value in wanted.items():
        if document.get(name) != value:
            yield f"{name} is {document.get(name)!r}, not {value!r}"
    if document.get("movement_state") not in ("moving", "stationary"):
        yield f"movement_state is {document.get('movement_state')!r}"
    if not isinstance(document.get("previous_location"), str):
        yield f"previous_location is {document.get('previous_location')!r}"


def _note(
    note: Note, there: set[str], blocks: Mapping[str, MemoryBlock], kept: str
) -> Iterator[str]:
    if note.member in there:
        place, found = f"the notes of {note.member}", _notes_of(note.member, blocks)
    elif note.member:
        place, found = "any block, its metadata or the Table of notes", _everything(blocks) + kept
    else:
        block = blocks.get(note.label)
        place, found = note.label, block.value if block else ""
    if note.text not in found:
        yield f"a note of its own is lost: {note.text!r} is not in {place}"


def _notes_of(who: str | None, blocks: Mapping[str, MemoryBlock]) -> str:
    block = blocks.get(GROUP)
    members = _document(GROUP, block)[0].get("members") if block else None
    entry = members.get(who) if isinstance(members, dict) else None
    return str(entry.get("notes", "")) if isinstance(entry, dict) else ""


def _everything(blocks: Mapping[str, MemoryBlock]) -> str:
    return "\n".join(f"{block.value}\n{json.dumps(block.metadata)}" for block in blocks.values())
