"""One snapshot in, one observation out: the whole filter without Kafka.

    the snapshot is                              outcome
    of an NPC the roster has disabled            disabled
    older than what the state was made from      outdated
    a reason for a command                       sent
    nothing new                                  suppressed

The state of each NPC lives in the Table; what lies here may be lost at any time: confirmations
since the last checkpoint (`checkpoint`), changes that have not settled yet, and how often NPCs are
reported on.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from streams.filter.cadence import Cadence
from streams.filter.checkpoint import Sighted
from streams.filter.decide import Policy, decide, difference, is_stale
from streams.filter.members import continuing, members_of
from streams.filter.pace import Pace
from streams.filter.place import place
from streams.filter.players import Player, PlayerCache
from streams.filter.settle import Pending, settled
from streams.filter.standing import Outline, Stand, Standing
from streams.filter.state import GroupState
from streams.settings import Mode, Staleness
from topics.encode import encode_key
from topics.models import (
    Desired,
    Member,
    Reason,
    Snapshot,
    Source,
    UpdateCommand,
)
from topics.places import Places
from topics.roster import Roster
from topics.text import ID_LIMIT

_ID_PART = ID_LIMIT - 50
"""Characters of an NPC's id in a command's, which is an id too and no longer than one."""


class SnapshotOutcome(StrEnum):
    """What became of a snapshot; the label of `rollcall_snapshots_total`."""

    SENT = "sent"
    SUPPRESSED = "suppressed"
    OUTDATED = "outdated"
    DISABLED = "disabled"
    DEAD_LETTER = "dead_letter"


class Held(StrEnum):
    """Why a snapshot was suppressed; the label of `rollcall_suppressed_total`."""

    UNCHANGED = "unchanged"
    """Nothing differs, and nothing is due."""
    SETTLING = "settling"
    """Somebody came or went, and that has to last for a while."""
    PACED = "paced"
    """A forced refresh is due, and waits for its turn."""


class Observation(NamedTuple):
    """What a snapshot leads to.

    `state`: to be stored, None where the Table's stays. `sightings`: players to be stored.
    `held`: of a suppressed one, why.
    """

    outcome: SnapshotOutcome
    command: UpdateCommand | None = None
    state: GroupState | None = None
    sightings: tuple[Player, ...] = ()
    held: Held | None = None


@dataclass(slots=True)
class World:
    """What the filter knows besides the groups; kept up to date from the topics."""

    roster: Roster
    places: Places
    players: PlayerCache


class GroupFilter:
    """Turns snapshots into observations under one policy."""

    def __init__(
        self,
        world: World,
        policy: Policy,
        settle: float = 0.0,
        max_members: int = 100,
        npcs: Callable[[], int] = lambda: 1,
    ) -> None:
        """`npcs`: how many there are; forced refreshes are paced by it."""
        self._world, self._npcs = world, npcs
        self._policy = policy
        self._settle = settle
        self._max_members = max_members
        self._cadence = Cadence(policy.stale_data_threshold, policy.force_refresh_interval)
        self._pace = Pace(policy.force_refresh_interval)
        self._standing = Standing(
            world.roster, world.places, world.players, policy.stale_data_threshold / 3
        )
        self._pending: dict[str, Pending] = {}

    def observe(
        self,
        snapshot: Snapshot,
        state: GroupState | None,
        source: Source,
        issued_at: float,
    ) -> Observation:
        """Decide one snapshot. `issued_at` (s) only stamps the command; it decides nothing."""
        entry = self._world.roster.by_id(snapshot.npc_id)
        if entry is not None and not entry.enabled:
            return Observation(SnapshotOutcome.DISABLED)
        stand = self._standing.at(encode_key(snapshot.npc_id), source.partition)
        if state and _is_outdated(snapshot, state, _seen_at(state, stand), source):
            return Observation(SnapshotOutcome.OUTDATED)
        desired = self._desired(snapshot, state, stand, entry.home_location if entry else None)
        sightings = self._see_players(desired.members, snapshot.observed_at)
        judged = self._judge(snapshot, desired, state, stand, source, issued_at)
        return judged._replace(sightings=sightings) if sightings else judged

    def holds(self, key: bytes | None, value: bytes, latest: float) -> float:
        """The time of a record that tells what its NPC's last one told, 0: it is to be decided.

        What `observe` would say of it: suppressed, unchanged. `latest`: no time beyond this (s).
        """
        return self._standing.holds(key, value, latest)

    def stays(self, key: bytes, at: float, latest: float) -> bool:
        """As `holds`, of a record that is known to tell what the last one of its key told."""
        return self._standing.stays(key, at, latest)

    def overlook(self, key: bytes) -> None:
        """The last record of a key was not decided; the next is, whatever it tells again."""
        stand = self._standing.get(key)
        if stand:
            stand.shape = None

    def remember(
        self,
        key: bytes,
        value: bytes,
        snapshot: Snapshot,
        state: GroupState | None,
        seen: Observation,
        drawn: Outline | None = None,
    ) -> None:
        """A record was decided from this state; the next that tells the same need not be.

        `drawn`: the record's outline; None: it is drawn here.
        """
        stand = self._standing.get(key)
        if stand is None:
            return
        after = seen.state or state
        is_settled = seen.command is not None or seen.held is Held.UNCHANGED
        is_settled = is_settled and snapshot.npc_id not in self._pending
        if after and is_settled and self._is_recognisable(stand, snapshot, after):
            self._standing.draw(stand, value, snapshot, self._next_due(snapshot, after), drawn)
        else:
            stand.shape = None

    def _is_recognisable(self, stand: Stand, snapshot: Snapshot, state: GroupState) -> bool:
        """Not an NPC whose every gap counts, nor one with somebody who is looked up each time."""
        if stand.players is None:
            stand.players = self._players_of(state)
        decides_each = self._policy.mode is Mode.DIRECT or self._cadence.knows(snapshot.npc_id)
        return stand.named is not None and stand.players is not None and not decides_each

    def _next_due(self, snapshot: Snapshot, state: GroupState) -> float:
        policy, pushed = self._policy, state.last_force_refresh
        due = snapshot.observed_at + self._world.players.ttl / 8  # sightings are stored
        if policy.mode is Mode.CACHED:
            due = min(due, pushed + policy.force_refresh_interval)
            if policy.staleness is Staleness.SEED:
                due = min(due, pushed + policy.stale_data_threshold)
        return due

    def _players_of(self, state: GroupState) -> tuple[str, ...] | None:
        """The players among the members; None: one of them is not known."""
        world = self._world
        members = [one.id for one in state.desired.members if one.id not in world.roster]
        known = [player.id for player in map(world.players.get, members) if player]
        return tuple(known) if len(known) == len(members) else None

    def keep_players(self) -> None:
        """Before players are forgotten: those who stand somewhere were seen there."""
        self._standing.keep_players()

    def disturb(self, npc_id: str) -> None:
        """The NPC's state was changed by somebody else: its next record is decided."""
        stand = self._standing.get(encode_key(npc_id))
        if stand:
            self._standing.leave(stand)

    def profile_changed(self, npc_id: str, state: GroupState, issued_at: float) -> Observation:
        """Look again at an NPC nobody reports on just now: did a member's profile arrive?"""
        stand = self._standing.at(encode_key(npc_id), state.source.partition)
        self._standing.forget_look(stand)
        members = {member.id: member for member in map(self._refreshed, state.desired.members)}
        desired = msgspec.structs.replace(state.desired, members=tuple(members.values()))
        if difference(state.desired, desired) is None:
            return Observation(SnapshotOutcome.SUPPRESSED)
        now = self.last_seen(npc_id, state)
        seen = self._sent(npc_id, stand, now, Reason.PROFILE, desired, state.source, issued_at)
        assert seen.state is not None  # a command comes with one
        return seen._replace(state=msgspec.structs.replace(seen.state, silent=state.silent))

    def verification(
        self, npc_id: str, state: GroupState, issued_at: float
    ) -> UpdateCommand | None:
        """A command to compare an NPC's memory with what was pushed last, and mend it.

        It changes no state: nobody has reported anything. None for an NPC the roster has disabled.
        """
        if self.is_disabled(npc_id):
            return None
        now, source = self.last_seen(npc_id, state), state.source
        return _command(npc_id, now, Reason.VERIFY, state.desired, source, issued_at)

    def is_disabled(self, npc_id: str) -> bool:
        """Whether the roster says to leave this NPC alone."""
        entry = self._world.roster.by_id(npc_id)
        return entry is not None and not entry.enabled

    def last_seen(self, npc_id: str, state: GroupState) -> float:
        """When a snapshot confirmed the picture last, in seconds."""
        return _seen_at(state, self._standing.get(encode_key(npc_id)))

    def last_held(self, npc_id: str) -> float:
        """The time of the last snapshot that held the picture, 0: none that is known."""
        stand = self._standing.get(encode_key(npc_id))
        return stand.seen_at if stand else 0.0

    def everybody(self) -> Sequence[bytes]:
        """The keys of all NPCs that were heard of since the partitions moved."""
        return self._standing.keys()

    def sighted(self, keys: Iterable[bytes]) -> Iterator[Sighted]:
        """When those of the keys whose pictures were held were seen last."""
        for key in keys:
            stand = self._standing.get(key)
            if stand and stand.seen_at:
                yield Sighted(key, stand.partition, stand.seen_at)

    def recall(self, sighted: Sighted) -> None:
        """An NPC held its picture before its partition moved here."""
        stand = self._standing.at(sighted.key, sighted.partition)
        stand.seen_at = max(stand.seen_at, sighted.at)

    def forget_unsaved(self) -> None:
        """Partitions moved: what is not in the Table may belong to another worker now."""
        self._standing.clear()
        self._pending.clear()
        self._cadence.forget_all()

    def _desired(
        self, snapshot: Snapshot, state: GroupState | None, stand: Stand, home: str | None
    ) -> Desired:
        location = place(snapshot.location, snapshot.position, home, self._world.places)
        desired = Desired(
            members=self._members(snapshot, state, stand),
            location=location or (state.desired.location if state else ""),
            action=snapshot.action,
        )
        if not self._settle or state is None:
            return desired
        return self._without_flaps(snapshot, desired, state, stand)

    def _members(
        self, snapshot: Snapshot, state: GroupState | None, stand: Stand
    ) -> tuple[Member, ...]:
        if state is not None and self._standing.is_familiar(stand, snapshot):
            return state.desired.members
        before = state.desired.members if state else ()
        heard = self._standing.heard()
        found = members_of(snapshot, self._world.roster, self._world.players)
        self._standing.look(stand, snapshot, heard)
        return continuing(before, found, self._max_members)

    def _without_flaps(
        self, snapshot: Snapshot, desired: Desired, state: GroupState, stand: Stand
    ) -> Desired:
        pending = self._pending.pop(snapshot.npc_id, {})
        desired, waiting = settled(
            state.desired, desired, pending, snapshot.observed_at, self._settle
        )
        if waiting or pending:
            self._standing.forget_look(stand)
        if waiting:
            self._pending[snapshot.npc_id] = waiting
        # Who has not left for good may be there beside who has come for good.
        return msgspec.structs.replace(desired, members=desired.members[: self._max_members])

    def _judge(
        self,
        snapshot: Snapshot,
        desired: Desired,
        state: GroupState | None,
        stand: Stand,
        source: Source,
        issued_at: float,
    ) -> Observation:
        npc_id, now = snapshot.npc_id, snapshot.observed_at
        reason = self._reason(npc_id, state, stand, desired, now)
        if reason:
            return self._sent(npc_id, stand, now, reason, desired, source, issued_at)
        assert state is not None  # no state is always a reason
        stand.seen_at = now
        back = self._back(state, now, source) if state.silent else None
        return Observation(
            SnapshotOutcome.SUPPRESSED, state=back, held=self._held(npc_id, state, now)
        )

    def _held(self, npc_id: str, state: GroupState, now: float) -> Held:
        if npc_id in self._pending:
            return Held.SETTLING
        policy = self._policy
        is_due = now - state.last_force_refresh >= policy.force_refresh_interval
        return Held.PACED if is_due and policy.mode is Mode.CACHED else Held.UNCHANGED

    def _reason(
        self, npc_id: str, state: GroupState | None, stand: Stand, desired: Desired, now: float
    ) -> Reason | None:
        if state is None:
            return Reason.FIRST_SEEN
        seen_at = _seen_at(state, stand)
        stale_after = self._cadence.stale_after(npc_id)
        reason = decide(state, desired, now, self._policy, stale_after, seen_at)
        if self._policy.mode is not Mode.CACHED:
            return reason
        self._cadence.learn(npc_id, now - seen_at)
        if reason is Reason.FORCE_REFRESH and not self._may_refresh(state, now):
            return Reason.STALE if is_stale(seen_at, now, stale_after) else None
        return reason

    def _may_refresh(self, state: GroupState, now: float) -> bool:
        overdue = now - state.last_force_refresh - self._policy.force_refresh_interval
        return self._pace.lets_through(overdue, now, self._npcs())

    def _sent(
        self,
        npc_id: str,
        stand: Stand,
        now: float,
        reason: Reason,
        desired: Desired,
        source: Source,
        issued_at: float,
    ) -> Observation:
        self._standing.leave(stand)
        command = _command(npc_id, now, reason, desired, source, issued_at)
        state = GroupState(desired=desired, last_updated=now, last_force_refresh=now, source=source)
        return Observation(SnapshotOutcome.SENT, command, state)

    def _back(self, state: GroupState, now: float, source: Source) -> GroupState:
        """Who was marked silent has returned, which is worth a write at once."""
        return msgspec.structs.replace(state, last_updated=now, source=source, silent=False)

    def _refreshed(self, member: Member) -> Member:
        """The member as known today; a real appearance is never emptied."""
        world = self._world
        npc = world.roster.by_id(member.id)
        if npc:
            return msgspec.structs.replace(member, appearance=npc.description or member.appearance)
        player_id = world.players.id_of(member.name) if member.id == member.name else None
        appearance = world.players.appearance(player_id or member.id) or member.appearance
        return Member(id=player_id or member.id, name=member.name, appearance=appearance)

    def _see_players(self, members: Sequence[Member], at: float) -> tuple[Player, ...]:
        """Note the players among the members; those worth a changelog write."""
        roster, players = self._world.roster, self._world.players
        worthy = [m.id for m in members if m.id not in roster and players.see(m.id, m.name, at)]
        return tuple(p for p in map(players.get, worthy) if p) if worthy else ()


def _seen_at(state: GroupState, stand: Stand | None) -> float:
    """When a snapshot confirmed the picture last; the Table may not know of it yet."""
    return max(state.last_updated, stand.seen_at) if stand else state.last_updated


def _is_outdated(snapshot: Snapshot, state: GroupState, seen_at: float, source: Source) -> bool:
    """Older than the picture; or the very record it was made from, delivered again."""
    now = snapshot.observed_at
    repeated = source.offset <= state.source.offset and source.topic == state.source.topic
    return now < seen_at or (repeated and now <= seen_at)


def _command(
    npc_id: str,
    now: float,
    reason: Reason,
    desired: Desired,
    source: Source,
    issued_at: float,
) -> UpdateCommand:
    return UpdateCommand(
        command_id=_command_id(npc_id, source, desired),
        npc_id=npc_id,
        reason=reason,
        observed_at=now,
        issued_at=issued_at,
        source=source,
        desired=desired,
    )


def _command_id(npc_id: str, source: Source, desired: Desired) -> str:
    """The same record and desired state always give the same id, also when delivered twice."""
    digest = blake2b(msgspec.json.encode(desired), digest_size=4).hexdigest()
    return f"{npc_id[:_ID_PART]}.{source.partition}.{source.offset}.{digest}"
