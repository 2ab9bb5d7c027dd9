"""NPCs without a Letta agent, or whom Letta refuses: kept apart, so that they hold up nobody.

A command for such an NPC is answered with `failed` at once and kept here, the newest of each NPC.

    parked because    tried again
    ----------------  ------------------------------------------------------------------------------
    no Letta agent    when a look now and then finds one, when its roster entry changes
    refused           when its roster entry changes; both also with the NPC's next command, which a
                      force refresh brings at the latest
Looks are cheap and spread: one request asks for a batch of NPCs, those not looked for the longest
first, and one batch follows the other with a pause between. Pure: time is an argument.
"""

from dataclasses import dataclass, field

from streams.writer.stamp import Mark
from topics.models import UpdateCommand

INTERVAL = 10.0
"""Seconds between two looks for the same NPC."""

BATCH = 25
"""NPCs asked for in one request; their tags all stand in one URL."""

PAUSE = 0.2
"""Seconds between two batches, where more than one is due."""

_NEVER, _FAR = float("-inf"), float("inf")


@dataclass(slots=True)
class Spot:
    """A parked command."""

    command: UpdateCommand
    mark: Mark
    looked_at: float
    is_refused: bool = False


@dataclass(slots=True)
class Parking:
    """Parked commands by NPC. `interval`: seconds between two looks for one NPC."""

    interval: float = INTERVAL
    _spots: dict[str, Spot] = field(default_factory=dict)
    _next_look: float = _NEVER
    """No look is due before; it may be that none is due then."""

    def __len__(self) -> int:
        return len(self._spots)

    def __contains__(self, npc_id: object) -> bool:
        return npc_id in self._spots

    def put(self, command: UpdateCommand, mark: Mark, looked_at: float | None = None) -> None:
        """Parks a command in the place of an older one. None: nobody has looked yet."""
        when = _NEVER if looked_at is None else looked_at
        self._spots[command.npc_id] = Spot(command, mark, when)
        self._next_look = min(self._next_look, when + self.interval)

    def refuse(self, command: UpdateCommand, mark: Mark) -> None:
        """Parks a command that the same again would not help; nobody looks for its agent."""
        self._spots[command.npc_id] = Spot(command, mark, _NEVER, is_refused=True)

    def spot(self, npc_id: str) -> Spot | None:
        """What is parked for an NPC."""
        return self._spots.get(npc_id)

    def free(self, npc_id: str) -> None:
        """Forgets an NPC."""
        self._spots.pop(npc_id, None)

    def npc_ids(self) -> list[str]:
        """Everybody parked."""
        return list(self._spots)

    def is_due(self, npc_id: str, now: float) -> bool:
        """Whether an NPC may be looked for: it is not parked, or the last look is long ago."""
        spot = self._spots.get(npc_id)
        return spot is None or spot.looked_at + self.interval <= now

    def look(self, npc_id: str) -> None:
        """Something changed: the next look for this NPC need not wait."""
        if spot := self._spots.get(npc_id):
            spot.looked_at = _NEVER

    def next_look(self) -> float | None:
        """When to take the next batch; None: nobody is looked for."""
        return self._next_look if self._spots and self._next_look < _FAR else None

    def batch(self, now: float) -> list[str]:
        """Those to look for now, at most BATCH, who are then looked for."""
        missing = {npc_id: spot for npc_id, spot in self._spots.items() if not spot.is_refused}
        due = [npc_id for npc_id in missing if self.is_due(npc_id, now)]
        due.sort(key=lambda npc_id: self._spots[npc_id].looked_at)
        for npc_id in due[:BATCH]:
            self._spots[npc_id].looked_at = now
        oldest = min((spot.looked_at for spot in missing.values()), default=_FAR)
        self._next_look = max(oldest + self.interval, now + PAUSE)
        return due[:BATCH]
