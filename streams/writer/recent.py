"""What was noted of NPCs lately, and nothing older. Pure: time is an argument."""

from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

_Note = TypeVar("_Note")


class _Noted(NamedTuple, Generic[_Note]):
    note: _Note
    at: float


@dataclass(slots=True)
class Recent(Generic[_Note]):
    """The last note on each NPC, for so many seconds; no more entries than notes in that time."""

    seconds: float
    _notes: dict[str, _Noted[_Note]] = field(default_factory=dict)
    """Oldest first."""

    def __len__(self) -> int:
        return len(self._notes)

    def put(self, npc_id: str, note: _Note, now: float) -> None:
        """Notes something in the place of what was noted before."""
        self._drop_old(now)
        self.forget(npc_id)
        self._notes[npc_id] = _Noted(note, now)

    def get(self, npc_id: str, now: float) -> _Note | None:
        """What was noted, if lately."""
        noted = self._notes.get(npc_id)
        return noted.note if noted is not None and now - noted.at < self.seconds else None

    def forget(self, npc_id: str) -> None:
        """It counts no more."""
        self._notes.pop(npc_id, None)

    def _drop_old(self, now: float) -> None:
        while self._notes:
            npc_id, noted = next(iter(self._notes.items()))
            if now - noted.at < self.seconds:
                return
            del self._notes[npc_id]
