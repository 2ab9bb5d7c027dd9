"""Who stands with an NPC, once each.

    named by                    is                                    id
    nearby_players              that player                           the player's
    cluster, same name          that nearby player again              (not repeated)
    cluster, in the roster      an NPC, by name or display_name       its npc_id
    cluster, in player cache    a player                              the player's
    cluster, nobody knows       a player not known yet                the name itself

The NPC itself is left out. A name in another case is the same name; a nearby player given by name
alone is the one of that name with an id, if there is one. A nearby player given by a bare id whose
name nobody knows is left out while `cluster` names people nobody knows either: it is one of them,
and nobody stands there twice.
"""

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from streams.filter.players import PlayerCache
from topics.models import Member, PlayerRef, RosterEntry, Snapshot
from topics.roster import Roster
from topics.text import fold


def members_of(snapshot: Snapshot, roster: Roster, players: PlayerCache) -> tuple[Member, ...]:
    """The group of one snapshot, nearby players first."""
    nearby = _nearby(snapshot.nearby_players, players)
    passed = _own_names(snapshot.npc_id, roster.by_id(snapshot.npc_id))
    passed.update([fold(player.name) for player in nearby])
    known = {
        name: _by_name(name, roster, players) for name in _first_spellings(snapshot.cluster, passed)
    }
    if None in known.values():
        nearby = _told_by_name(nearby, snapshot.cluster)
    found = {player.id: _player(player.id, player.name, players) for player in nearby}
    for name, member in known.items():
        met = member or Member(id=name, name=name)
        found.setdefault(met.id, met)
    found.pop(snapshot.npc_id, None)
    return tuple(_less_known_twice(found.values()))


def continuing(
    before: Sequence[Member], members: tuple[Member, ...], limit: int
) -> tuple[Member, ...]:
    """The same members: those of `before` in their old order, newcomers behind them.

    At most `limit` of them: a crowd that the game tells in another order each time is the same.
    An appearance known before stays where none is known now.
    """
    if not before:
        return members[:limit]
    old = {member.id: (rank, member.appearance) for rank, member in enumerate(before)}
    unseen = (len(old), "")
    ordered = sorted(members, key=lambda member: old.get(member.id, unseen)[0])
    return tuple(
        m if m.appearance else replace(m, appearance=old.get(m.id, unseen)[1])
        for m in ordered[:limit]
    )


def _less_known_twice(members: Iterable[Member]) -> Iterable[Member]:
    """The members less those of a bare name that somebody with an id turned out to have."""
    members = list(members)
    if all([member.id != member.name for member in members]):  # noqa: C419 - faster than a generator
        return members
    taken = {fold(member.name) for member in members if member.id != member.name}
    return [m for m in members if m.id != m.name or fold(m.name) not in taken]


def _nearby(told: tuple[PlayerRef, ...], players: PlayerCache) -> Sequence[PlayerRef]:
    """The nearby players, each with the name or the id that the cache has for it."""
    given = {player.id for player in told if player.id != player.name}
    if len(given) == len(told):
        return told
    return _once(_known(player, given, players) for player in told)


def _known(player: PlayerRef, given: set[str], players: PlayerCache) -> PlayerRef:
    """The player with the cached name, where the game gave only the id; or the other way round.

    `given`: ids the game itself gave a name: what the cache remembers of these does not count.
    """
    if player.name != player.id:
        return player
    cached = players.get(player.id)
    if cached:
        return PlayerRef(id=player.id, name=cached.name)
    cached_id = players.id_of(player.name)
    known_id = cached_id if cached_id and cached_id not in given else player.id
    return PlayerRef(id=known_id, name=player.name)


def _once(nearby: Iterable[PlayerRef]) -> list[PlayerRef]:
    """The nearby players less those of a bare name that another one has as well."""
    nearby = list(nearby)
    taken = {fold(player.name) for player in nearby if player.id != player.name}
    kept = []
    for player in nearby:
        if player.id != player.name or fold(player.name) not in taken:
            kept.append(player)
            taken.add(fold(player.name))
    return kept


def _first_spellings(names: Iterable[str], passed: set[str]) -> Iterator[str]:
    """Each name that was not passed yet (folded), once, as it was spelt first."""
    for name in names:
        folded = fold(name)
        if folded not in passed:
            passed.add(folded)
            yield name


def _told_by_name(nearby: Sequence[PlayerRef], cluster: tuple[str, ...]) -> list[PlayerRef]:
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
