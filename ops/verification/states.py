"""What the filter's changelog says of NPCs, without a filter: who has a state, who is silent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from streams.filter.state import DamagedStateError, read


@dataclass(slots=True)
class Known:
    """NPC ids by what their states are."""

    well: dict[str, None] = field(default_factory=dict)
    silent: list[str] = field(default_factory=list)
    """Of those that are well: marked by the survey."""
    damaged: dict[str, str] = field(default_factory=dict)
    """And what is wrong with each."""

    def __contains__(self, npc_id: object) -> bool:
        return npc_id in self.well or npc_id in self.damaged

    def __bool__(self) -> bool:
        return bool(self.well or self.damaged)


def known(table: Mapping[bytes, bytes]) -> Known:
    """The states of a `groups` Table, in the order of ids."""
    found = Known()
    for key, value in sorted(table.items()):
        npc_id = key.decode(errors="backslashreplace")
        try:
            state = read(value)
        except DamagedStateError as error:
            found.damaged[npc_id] = str(error)
            continue
        found.well[npc_id] = None
        if state and state.silent:
            found.silent.append(npc_id)
    return found


def unknown(npc_ids: Iterable[str], of: Known) -> list[str]:
    """Those whom the filter has never seen; nobody where it keeps no states at all."""
    return [npc_id for npc_id in npc_ids if npc_id not in of] if of else []
