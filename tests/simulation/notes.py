"""The Table `notes` as its changelog has it: what would be there after the next crash.

A token that an NPC wrote is safe in the value of its block, in the metadata, or here. A record of
the changelog may lose one only where its writer could not know of it: written after the read of the
block from which the record was made.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.simulation.kafka import Record

if TYPE_CHECKING:
    from tests.simulation.letta import Stored
    from tests.simulation.process import Process
    from tests.simulation.world import World

OUR_KEY = "rollcall"
CHANGELOG = "npc-update-commands-notes-changelog"


class Shelf:
    """Newest values by block, and what their writers knew."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._texts: dict[tuple[str, str], str] = {}
        self._known: dict[bytes, int] = {}
        """By value on its way: the version of the block its writer had read last."""
        world.broker.log(CHANGELOG).watchers.append(self._appended)

    def text(self, block: Stored, metadata: dict[str, Any] | None = None) -> str:
        """What is kept of a block's notes and counts. `metadata`: that the block is to have."""
        text = self._texts.get((block.npc_id, block.label), "")
        noted = (block.metadata if metadata is None else metadata).get(OUR_KEY) or {}
        given_back = noted.get("given_back")
        return _without(text, given_back) if text and given_back else text

    def sent(self, process: Process, changelog: str, key: bytes, value: bytes | None) -> None:
        """A process sends a change of a Table."""
        if changelog == CHANGELOG and value is not None:
            block = self._block(_place(key))
            self._known[value] = process.store.known(block.id) if block else -1

    def _appended(self, record: Record) -> None:
        assert record.key is not None
        assert record.value is not None
        place, text = _place(record.key), record.value.decode()
        before, self._texts[place] = self._texts.get(place, ""), text
        block = self._block(place)
        if block is not None and before:
            known = self._known.pop(record.value, -1)
            self._world.letta.look_for_notes(
                block, block.value, block.metadata, known, "the notes Table"
            )

    def _block(self, place: tuple[str, str]) -> Stored | None:
        npc_id, label = place
        letta = self._world.letta
        return letta.agents.get(letta.tags.get(npc_id, ""), {}).get(label)


def _without(text: str, given_back: list[str]) -> str:
    kept = json.loads(text)
    absent = {who: part for who, part in kept["absent"].items() if who not in given_back}
    return json.dumps({**kept, "absent": absent})


def _place(key: bytes) -> tuple[str, str]:
    _, label, npc_id = key.decode().split("/", 2)
    return npc_id, label
