"""The NPCs of the game, found by id or by the names that the game writes into groups.

A `Roster` is a plain in-memory index without I/O: the splitter keeps one up to date from
`npc-roster`, a publisher fills one from a file. Names are compared without case, by
`topics.text.fold`.

Where several NPCs share a name, whether as `name` or as `display_name`, the name means exactly one
of them: an enabled one before a disabled one, then the smallest `npc_id` (compared as text).
"""

from bisect import insort
from collections.abc import Iterable, Iterator

from topics.models import RosterEntry
from topics.text import fold

# Sorted, so that the first claim is the one that counts: (disabled, npc_id).
_Claim = tuple[bool, str]


class Roster:
    """NPCs by id and by name; `put` and `remove` keep both in step."""

    def __init__(self, entries: Iterable[RosterEntry] = ()) -> None:
        self.version = 0
        """Grows with every change."""
        self._by_id: dict[str, RosterEntry] = {}
        # Most names are one NPC's: a list for each would be a third of a roster's memory.
        self._by_name: dict[str, RosterEntry | list[_Claim]] = {}
        for entry in entries:
            self.put(entry)

    def by_id(self, npc_id: str) -> RosterEntry | None:
        """The NPC of this id, enabled or not."""
        return self._by_id.get(npc_id)

    def by_name(self, name: str) -> RosterEntry | None:
        """The NPC that this name means, by `name` or `display_name`, enabled or not."""
        found = self._by_name.get(fold(name))
        return self._by_id[found[0][1]] if isinstance(found, list) else found

    def put(self, entry: RosterEntry) -> None:
        """Adds an NPC, or takes the newer entry of one that is known."""
        self.remove(entry.npc_id)
        self.version += 1
        self._by_id[entry.npc_id] = entry
        for name in _folded_names(entry):
            self._claim_name(name, entry)

    def remove(self, npc_id: str) -> None:
        """Forgets an NPC; an id that is not there is no error."""
        entry = self._by_id.pop(npc_id, None)
        if entry is None:
            return
        self.version += 1
        for name in _folded_names(entry):
            self._give_up_name(name, entry)

    def _claim_name(self, name: str, entry: RosterEntry) -> None:
        there = self._by_name.get(name)
        if there is None:
            self._by_name[name] = entry
        elif isinstance(there, list):
            insort(there, _claim(entry))
        else:
            self._by_name[name] = sorted((_claim(there), _claim(entry)))

    def _give_up_name(self, name: str, entry: RosterEntry) -> None:
        there = self._by_name[name]
        if isinstance(there, list) and len(there) > 1:
            there.remove(_claim(entry))
        else:
            del self._by_name[name]

    def __contains__(self, npc_id: object) -> bool:
        return npc_id in self._by_id

    def __iter__(self) -> Iterator[RosterEntry]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)


def _claim(entry: RosterEntry) -> _Claim:
    return (not entry.enabled, entry.npc_id)


def _folded_names(entry: RosterEntry) -> set[str]:
    return {fold(entry.name), fold(entry.display_name)} - {""}
