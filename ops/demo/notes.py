"""What the demo's NPCs write into their own memory, and must find there again at the end.

Every sixth NPC starts with the same kind of memory, all of them found in the wild:

    bare       no blocks at all
    known      the contract's document, with notes about players it met before, a diary, and
               somebody the NPC made up itself
    players    `players` in place of `members`
    prose      plain sentences instead of JSON
    fields     empty group, a mood in the status
    names      members as a list of names
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ops.demo.town import Town, number_of

GROUP, STATUS = "group_members", "status"
BLOCK_LIMIT = 5000
_STRANGER = "unnamed_stranger"

_REMARKS = (
    "owes me three coins",
    "asked for the way to the harbour",
    "promised to bring honey",
    "laughs at every joke",
    "wants to learn my trade",
)


@dataclass(frozen=True, slots=True)
class Note:
    """Something an NPC wrote. `member`: the person it is about, None for the NPC's own matters."""

    npc_id: str
    label: str
    text: str
    member: str | None = None


@dataclass(slots=True)
class Notebook:
    """All notes of all NPCs. `made_up`: members an NPC invented, by npc_id."""

    notes: dict[str, list[Note]] = field(default_factory=dict)
    made_up: dict[str, set[str]] = field(default_factory=dict)

    def add(self, note: Note) -> None:
        """Remember what must not be lost."""
        self.notes.setdefault(note.npc_id, []).append(note)

    def of(self, npc_id: str) -> list[Note]:
        """Everything this NPC wrote."""
        return self.notes.get(npc_id, [])


def first_memory(npc_id: str, town: Town, notebook: Notebook) -> dict[str, str]:
    """The blocks an NPC starts with, by label; what it wrote in them goes to the notebook."""
    kinds = (_bare, _known, _players, _prose, _fields, _names)
    return kinds[number_of(npc_id) % len(kinds)](npc_id, town, notebook)


def with_note(value: str, note: Note) -> str:
    """A block's text as the NPC leaves it after adding a note. ValueError if it is no document."""
    document = json.loads(value)
    if note.member is None:
        document["diary"] = _joined(document.get("diary"), note.text)
    else:
        entry = document["members"][note.member]
        entry["notes"] = _joined(entry.get("notes"), note.text)
    return _json(document)


def remark(npc_id: str, number: int) -> str:
    """A sentence that occurs nowhere else."""
    return f"{_REMARKS[number % len(_REMARKS)]} (note {number} of {npc_id})"


def _bare(_npc_id: str, _town: Town, _notebook: Notebook) -> dict[str, str]:
    return {}


def _known(npc_id: str, town: Town, notebook: Notebook) -> dict[str, str]:
    members = {
        who: {"name": town.players[who].name, "appearance": "", "notes": text}
        for who, text in _met_before(npc_id, town, notebook).items()
    }
    members[_STRANGER] = {"name": "A hooded stranger", "notes": remark(npc_id, len(members))}
    notebook.add(Note(npc_id, GROUP, members[_STRANGER]["notes"], _STRANGER))
    notebook.made_up[npc_id] = {_STRANGER}
    diary = _own(npc_id, GROUP, "I shall ask for higher wages", notebook)
    return {GROUP: _json({"members": members, "diary": diary}), STATUS: _json({})}


def _players(npc_id: str, town: Town, notebook: Notebook) -> dict[str, str]:
    players = {
        who: {"name": town.players[who].name, "appearance": "", "notes": text}
        for who, text in _met_before(npc_id, town, notebook).items()
    }
    return {GROUP: _json({"players": players}), STATUS: ""}


def _prose(npc_id: str, _town: Town, notebook: Notebook) -> dict[str, str]:
    group = _own(npc_id, GROUP, "I met a kind stranger at the gate yesterday", notebook)
    status = _own(npc_id, STATUS, "My knee hurts when it rains", notebook)
    return {GROUP: group, STATUS: status}


def _fields(npc_id: str, _town: Town, notebook: Notebook) -> dict[str, str]:
    mood = _own(npc_id, STATUS, "cheerful", notebook)
    return {GROUP: "", STATUS: _json({"mood": mood, "current_action": "idle"})}


def _names(npc_id: str, town: Town, notebook: Notebook) -> dict[str, str]:
    names = [town.players[who].name for who in _acquaintances(npc_id, town)]
    plans = _own(npc_id, GROUP, "The stranger must not know of the cellar", notebook)
    return {GROUP: _json({"members": names, "plans": plans}), STATUS: _json({})}


def _met_before(npc_id: str, town: Town, notebook: Notebook) -> dict[str, str]:
    told = {}
    for number, who in enumerate(_acquaintances(npc_id, town)):
        told[who] = remark(npc_id, number)
        notebook.add(Note(npc_id, GROUP, told[who], who))
    return told


def _acquaintances(npc_id: str, town: Town) -> list[str]:
    players = list(town.players)
    first = number_of(npc_id) % len(players)
    return [players[first], players[(first + 1) % len(players)]]


def _own(npc_id: str, label: str, sentence: str, notebook: Notebook) -> str:
    text = f"{sentence} (own note of {npc_id})"
    notebook.add(Note(npc_id, label, text))
    return text


def _joined(before: Any, text: str) -> str:
    return f"{before}; {text}" if before else text


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False)
