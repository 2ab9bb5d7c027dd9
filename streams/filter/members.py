"""Who stands with an NPC, once each.

    named by                    is                                    id
    nearby_players              that player                           the player's
    cluster, same name          that nearby player again              (not repeated)
    cluster, in the roster      an NPC, by name or display_name       its npc_id
    cluster, in player cache    a player                              the player's
    cluster, nobody knows       a player not known yet                the name itself

The NPC itself is left out. A nearby player given by a bare id whose name nobody knows is left out
while `cluster` names people nobody knows either: it is one of them, and nobody stands there twice.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from streams.filter.players import PlayerCache
from topics.models import Member, PlayerRef, RosterEntry, Snapshot
from topics.roster import Roster
from topics.text import fold


def members_of(
    snapshot: Snapshot, roster: Roster, players: PlayerCache, limit: int
) -> tuple[Member, ...]:
    """The group of one snapshot, at most `limit` members, nearby players first."""
    nearby = [_known(player, players) for player in snapshot.nearby_players]
    standing = {fold(player.name) for player in nearby}
    itself = _own_names(snapshot.npc_id, roster.by_id(snapshot.npc_id))
    others = [name for name in snapshot.cluster if fold(name) not in standing | itself]
    known = {name: _by_name(name, roster, players) for name in others}
    if None in known.values():
        nearby = _told_by_name(nearby, snapshot.cluster)
    found = {player.id: _player(player.id, player.name, players) for player in nearby}
    for name, member in known.items():
        met = member or Member(id=name, name=name)
        found.setdefault(met.id, met)
    found.pop(snapshot.npc_id, None)
    return tuple(found.values())[:limit]


def continuing(before: Iterable[Member], members: tuple[Member, ...]) -> tuple[Member, ...]:
    """The same members: those of `before` in their old order, newcomers behind them.

    An appearance known before stays where none is known now.
    """
    old = {member.id: (rank, member.appearance) for rank, member in enumerate(before)}
    unseen = (len(old), "")
    ordered = sorted(members, key=lambda member: old.get(member.id, unseen)[0])
    return tuple(
        m if m.appearance else replace(m, appearance=old.get(m.id, unseen)[1]) for m in ordered
    )


def _known(player: PlayerRef, players: PlayerCache) -> PlayerRef:
    """The player with the cached name, where the game gave only the id; or the other way round."""
    if player.name != player.id:
        return player
    cached = players.get(player.id)
    if cached:
        return PlayerRef(id=player.id, name=cached.name)
    return PlayerRef(id=players.id_of(player.name) or player.id, name=player.name)


def _told_by_name(nearby: list[PlayerRef], cluster: tuple[str, ...]) -> list[PlayerRef]:
    """The nearby players less those of a bare id: `cluster` names them, nobody knows which."""
    names = {fold(name) for name in cluster}
    return [p for p in nearby if p.id != p.name or fold(p.name) in names]


def _by_name(name: str, roster: Roster, players: PlayerCache) -> Member | None:
    """The NPC or cached player with this name; None: nobody knows it."""
    npc = roster.by_name(name)
    if npc:
        return Member(id=npc.npc_id, name=npc.display_name or npc.name, appearance=npc.description)
    player_id = players.id_of(name)
    return _player(player_id, name, players) if player_id else None


def _player(player_id: str, name: str, players: PlayerCache) -> Member:
    return Member(id=player_id, name=name, appearance=players.appearance(player_id))


def _own_names(npc_id: str, entry: RosterEntry | None) -> set[str]:
    """Every way a game may name the NPC itself, casefolded."""
    names = {fold(npc_id)}
    if entry:
        names |= {fold(entry.name), fold(entry.display_name or entry.name)}
    return names
