"""Who stood with each NPC when it was looked at last, so that the same need not be looked up again.

Most snapshots name the people whom the one before them named, and whom they mean changes only when
somebody is heard of. Remembered of an NPC are a hash of what the game said and how old that is:

    the snapshot names                       and since then                   its members are
    ---------------------------------------  -------------------------------  --------------------
    others, or nobody was remembered         whatever                         to be looked up
    the same people                          nobody was heard of              those of the state
    the same people                          somebody, but none of these      those of the state
    the same people                          one of these, or somebody left   to be looked up

Invariant: what is remembered led to the members that the NPC's state has now. Whoever gives a state
other members than the newest snapshot led to calls `forget`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.filter.players import PlayerCache
from topics.models import Snapshot
from topics.roster import Roster


class Heard(NamedTuple):
    """How much had been heard of NPCs and players at some moment."""

    roster: int
    players: int


class _Look(NamedTuple):
    named: int
    heard: Heard


@dataclass(slots=True)
class Familiar:
    """The newest look at each NPC."""

    roster: Roster
    players: PlayerCache
    _looks: dict[str, _Look] = field(default_factory=dict)

    def heard(self) -> Heard:
        """What a look at this moment knows."""
        return Heard(self.roster.version, self.players.version)

    def is_same(self, snapshot: Snapshot) -> bool:
        """Whether looking the members up again would give those that the state has."""
        look = self._looks.get(snapshot.npc_id)
        if look is None or look.named != _named(snapshot):
            return False
        now = self.heard()
        if look.heard == now:
            return True
        if look.heard.roster != now.roster or self._has_news(snapshot, look.heard.players):
            return False
        self._looks[snapshot.npc_id] = _Look(look.named, now)
        return True

    def heard_when_looked(self, npc_id: str) -> Heard | None:
        """How much had been heard when the members of an NPC were looked up; None: not yet."""
        look = self._looks.get(npc_id)
        return look.heard if look else None

    def remember(self, snapshot: Snapshot, heard: Heard) -> None:
        """The members were looked up when so much had been heard, and the state has them."""
        self._looks[snapshot.npc_id] = _Look(_named(snapshot), heard)

    def forget(self, npc_id: str) -> None:
        """The state of an NPC has other members now."""
        self._looks.pop(npc_id, None)

    def forget_all(self) -> None:
        """Partitions moved."""
        self._looks.clear()

    def _has_news(self, snapshot: Snapshot, since: int) -> bool:
        players = self.players
        return players.lost_at > since or any(
            players.changed_at(told) > since for told in _told(snapshot)
        )


def _told(snapshot: Snapshot) -> Iterator[str]:
    yield from snapshot.cluster
    for player in snapshot.nearby_players:
        yield player.id
        yield player.name


def _named(snapshot: Snapshot) -> int:
    return hash((snapshot.cluster, snapshot.nearby_players))
