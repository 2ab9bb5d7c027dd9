"""Where the state of each NPC's group lives: in a Table, or in memory only.

mode                store       a restart or a rebalance
cached              the Table   finds every state again
filtered, direct    memory      finds none: every NPC is seen for the first time
"""

from collections.abc import Iterable
from typing import Protocol

from streams.filter.state import GroupState, dump, read
from streams.outbox import Outbox, RawTable
from streams.settings import Mode
from topics.encode import encode_key


class Groups(Protocol):
    """States by NPC id."""

    def get(self, npc_id: str, outbox: Outbox) -> GroupState | None:
        """The state as the batch at hand has left it. Raises DamagedStateError."""
        ...

    def put(self, npc_id: str, partition: int, state: GroupState, outbox: Outbox) -> None:
        """The new state, stored once the batch has been delivered."""
        ...

    def drop(self, npc_id: str, partition: int, outbox: Outbox) -> None:
        """No state any more, once the batch has been delivered."""
        ...

    def npc_ids(self) -> Iterable[str]:
        """Everybody there is a state of just now; may be gone through later, and once."""
        ...

    def forget(self) -> None:
        """Partitions moved: what is not durable may belong to another worker now."""
        ...


class TableGroups:
    """States in a changelog-backed Table."""

    def __init__(self, table: RawTable) -> None:
        self._table = table

    def get(self, npc_id: str, outbox: Outbox) -> GroupState | None:
        return read(outbox.staged(self._table, encode_key(npc_id)))

    def put(self, npc_id: str, partition: int, state: GroupState, outbox: Outbox) -> None:
        outbox.change(self._table, partition, encode_key(npc_id), dump(state))

    def drop(self, npc_id: str, partition: int, outbox: Outbox) -> None:
        outbox.change(self._table, partition, encode_key(npc_id), None)

    def npc_ids(self) -> Iterable[str]:
        return (key.decode(errors="replace") for key in list(self._table.data))

    def forget(self) -> None:
        """The Table sees to it itself."""


class MemoryGroups:
    """States that a restart forgets. A batch that fails ends the process, so none waits for it."""

    def __init__(self) -> None:
        self._states: dict[str, GroupState] = {}

    def get(self, npc_id: str, _: Outbox) -> GroupState | None:
        return self._states.get(npc_id)

    def put(self, npc_id: str, _partition: int, state: GroupState, _: Outbox) -> None:
        self._states[npc_id] = state

    def drop(self, npc_id: str, _partition: int, _: Outbox) -> None:
        self._states.pop(npc_id, None)

    def npc_ids(self) -> Iterable[str]:
        return list(self._states)

    def forget(self) -> None:
        self._states.clear()


def groups_for(mode: Mode, table: RawTable) -> Groups:
    """The store that a mode asks for."""
    return TableGroups(table) if mode is Mode.CACHED else MemoryGroups()
