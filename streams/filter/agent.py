"""The filter on Faust: records in, the core decides, the outbox delivers.

Everything that changes what we know takes turns in one flusher: snapshots as they come, wishes to
have an NPC verified, ticks for profiles that arrived, for players to forget and for the survey
(`streams.filter.survey`). The core (`streams.filter.core`) does the thinking.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic, time
from typing import Any

import faust
import structlog
from faust.types import StreamT

from streams.barrier import OrderedAcks, Taken
from streams.broadcast import Broadcast, Entry
from streams.faust_layer.app import (
    ack_offset,
    batches,
    generation_of,
    is_settled,
    owns,
    when_revoked,
)
from streams.faust_layer.batch import Message, single
from streams.faust_layer.channels import raw_table
from streams.filter import checkpoint, sighting
from streams.filter.checkpoint import Rounds
from streams.filter.core import GroupFilter, Held, Observation, SnapshotOutcome, World
from streams.filter.decide import Policy
from streams.filter.groups import groups_for
from streams.filter.judge import Judge
from streams.filter.players import Player, PlayerCache
from streams.filter.state import GroupState
from streams.filter.surveyor import Surveyor
from streams.filter.tally import Tally
from streams.flusher import Flusher
from streams.garbage import spare_what_is_here
from streams.health import Work
from streams.metrics import Metrics
from streams.outbox import Outbox, RawTable, Record
from streams.partitioned_key import partitioned_key, split_key
from streams.reference import LocationTable, RosterTable, skip_unreadable
from streams.settings import Mode, Settings
from streams.topology import RawTopics
from topics import trace
from topics.catalogue import (
    DEAD_LETTERS,
    LOCATIONS,
    NPC_ROSTER,
    NPC_SNAPSHOTS,
    NPC_UPDATE_COMMANDS,
    NPC_VERIFY_REQUESTS,
    PARTITIONS,
    PLAYER_PROFILES,
)
from topics.connection import KafkaConnection
from topics.decode import (
    DecodeError,
    decode_key,
    decode_profile,
    decode_snapshot,
    decode_verify_request,
)
from topics.encode import encode, encode_key
from topics.models import Snapshot, Source, UpdateCommand
from topics.text import fold

log = structlog.get_logger()

BATCH = 8_000
"""Records that are delivered together at most, give or take a batch; fewer wherever fewer wait.
What they lead to is in memory until all of it is delivered."""

TICK_SECONDS = 0.5
SURVEY_SECONDS = 0.5
EXPIRY_SECONDS = 30.0
RECALL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ProfilesChanged:
    """A tick: these players or NPCs look different, or have a name now (folded)."""

    ids: frozenset[str]


class Expire:
    """A tick: forget players whom nobody sees any more."""


class LookAround:
    """A tick: survey the next few states."""


class Sample:
    """A tick: have the memory of a few NPCs compared with their states."""


Item = Taken | ProfilesChanged | Expire | LookAround | Sample


class FilterAgent:
    """The filter role of a worker."""

    def __init__(
        self,
        app: faust.App,
        settings: Settings,
        connection: KafkaConnection,
        metrics: Metrics,
    ) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._tally = Tally(metrics)
        self._changed: set[str] = set()
        self._has_learnt = False
        self._newest = 0.0
        self._topics = RawTopics(app, connection.topic_prefix)
        self._roster = RosterTable(on_change=self._changed.add)
        self._locations = LocationTable()
        self._players = PlayerCache(settings.player_cache_ttl)
        self._core = GroupFilter(
            World(self._roster.roster, self._locations.places, self._players),
            Policy.of(settings),
            settings.settle_seconds,
            settings.max_group_members,
            lambda: len(self._table_of_groups.data),
        )
        self._table_of_groups = self._table("groups")
        self._groups = groups_for(settings.mode, self._table_of_groups)
        self._surveyor = Surveyor(
            settings, self._core, self._groups, self._owns, self._send, metrics
        )
        self._verify_requests = self._topics.names([NPC_VERIFY_REQUESTS])[0]
        self._sightings = self._table("players")
        self._sightings.on_recover(self._restore_players)
        self._rounds = Rounds()
        self._seen = self._table("seen")
        self._seen.on_recover(self._recall_sighted)
        self._acks = OrderedAcks(lambda: generation_of(app), partial(ack_offset, app))
        self._flusher: Flusher[Item] = Flusher(
            self._flush, batch=BATCH, waiting=2 * BATCH, weigh=_size
        )
        self._broadcast = Broadcast(
            connection,
            self._topics.names([NPC_ROSTER, LOCATIONS, PLAYER_PROFILES]),
            skip_unreadable(self._hear),
        )
        self._judge = Judge(app, self._topics, metrics)
        app.agent(self._topics[NPC_SNAPSHOTS], name="filter")(self._take)
        app.agent(self._topics[NPC_VERIFY_REQUESTS], name="verify")(self._take)
        app.task(self._run)
        when_revoked(app, self._core.forget_unsaved)
        when_revoked(app, self._rounds.begin_anew)
        when_revoked(app, self._groups.forget)
        when_revoked(app, self._surveyor.begin_anew)

    def _table(self, name: str) -> RawTable:
        return raw_table(self._app, name, PARTITIONS, f"filter: {name}")

    async def learn(self) -> None:
        """Reads the reference topics; nobody waits for a partition of ours meanwhile."""
        if not self._has_learnt:
            await self._broadcast.start()
            self._has_learnt = True
            self._changed.clear()
            self._players.settle()

    def work(self) -> Work:
        """What it has in hand, for its health."""
        return Work(self._broadcast.is_ready, len(self._acks), self._acks.finished)

    # records and ticks

    async def _take(self, stream: StreamT[Any]) -> None:
        async for event in batches(stream):
            await self._flusher.put(self._acks.take(event))

    async def _run(self) -> None:
        await self.learn()
        spare_what_is_here()
        await asyncio.gather(
            self._flusher.run(),
            self._broadcast.failed(),
            _every(TICK_SECONDS, self._tell_changes),
            _every(min(EXPIRY_SECONDS, self._settings.player_cache_ttl), self._tell_expiry),
            _every(RECALL_SECONDS, self._recall_players),
            _every(SURVEY_SECONDS, self._tell_survey),
            *self._sampling(),
        )

    def _sampling(self) -> list[Awaitable[None]]:
        settings = self._settings
        if settings.mode is not Mode.CACHED or not settings.verify_sample:
            return []
        return [_every(settings.verify_interval, self._tell_sample)]

    async def _tell_changes(self) -> None:
        if self._changed:
            ids = frozenset(self._changed)
            self._changed.clear()
            await self._flusher.put(ProfilesChanged(ids))

    async def _tell_expiry(self) -> None:
        await self._flusher.put(Expire())

    async def _tell_survey(self) -> None:
        if not self._flusher.is_behind:
            await self._flusher.put(LookAround())

    async def _tell_sample(self) -> None:
        if not self._flusher.is_behind:
            await self._flusher.put(Sample())

    async def _recall_players(self) -> None:
        missing = self._players.take_missing()
        if missing:
            keys = {encode_key(player_id) for player_id in missing}
            await self._broadcast.recall(self._topics.names([PLAYER_PROFILES])[0], keys)

    # what the broadcast tells

    def _hear(self, entry: Entry) -> None:
        name = entry.topic
        if name.endswith(NPC_ROSTER):
            self._roster.apply(entry)
        elif name.endswith(LOCATIONS):
            self._locations.apply(entry)
        else:
            self._hear_profile(entry)

    def _hear_profile(self, entry: Entry) -> None:
        if entry.value is None:
            self._players.forget(decode_key(entry.key or b""))
            return
        profile = decode_profile(entry.key, entry.value)
        if self._players.learn(profile, entry.timestamp):
            self._changed |= {profile.player_id, fold(profile.name)}

    async def _restore_players(self) -> None:
        for key, value in self._sightings.data.items():
            player = sighting.load(key, value)
            if player:
                self._players.restore(player.id, self._newer_name(player), player.last_seen)

    def _newer_name(self, player: Player) -> str:
        """The stored name, unless the profile, which has been read before, is newer."""
        known = self._players.get(player.id)
        is_older = known is not None and known.last_seen > player.last_seen
        return known.name if known is not None and is_older else player.name

    async def _recall_sighted(self) -> None:
        """When NPCs held their pictures, as far as the worker before wrote it down."""
        keys = list(self._table_of_groups.data)
        for sighted in checkpoint.recalled(self._pieces(), keys):
            self._core.recall(sighted)

    def _pieces(self) -> Iterator[tuple[int, dict[int, float]]]:
        for key, value in self._seen.data.items():
            try:
                partition = split_key(key)[0]
            except ValueError:  # none of ours
                continue
            facts = checkpoint.load(value)
            if facts is None:
                log.warning("checkpoint_not_read", partition=partition)
            elif self._owns(partition):
                yield partition, facts

    # the flush

    async def _flush(self, items: Sequence[Item]) -> None:
        outbox = Outbox()
        self._write_down(items, outbox)
        for item in items:
            self._take_up(item, outbox)
        if not await outbox.deliver(self._acks):
            self._core.forget_unsaved()  # it goes by states that were not stored
        self._tally.report()
        self._count_tables()

    def _take_up(self, item: Item, outbox: Outbox) -> None:
        match item:
            case Taken() if self._acks.is_ours(item):
                self._receive(item, outbox)
            case ProfilesChanged() if is_settled(self._app):
                self._look_again(item.ids, outbox)
            case ProfilesChanged():
                self._changed |= item.ids  # while Tables recover, they show an older state
            case Expire() if is_settled(self._app):
                self._expire(outbox)
            case LookAround() if is_settled(self._app):
                self._surveyor.look(outbox)
            case Sample() if is_settled(self._app):
                self._surveyor.sample(outbox, time())

    def _write_down(self, items: Sequence[Item], outbox: Outbox) -> None:
        """When the next few NPCs were seen: all of it has been delivered by now.

        Nothing while nobody reports, which may be for days.
        """
        reports = any(isinstance(item, Taken) for item in items)
        if not reports or self._settings.mode is not Mode.CACHED or not is_settled(self._app):
            return
        number, keys = self._rounds.next(self._newest, monotonic(), self._core.everybody)
        for partition, value in checkpoint.by_partition(self._core.sighted(keys)):
            if self._owns(partition):
                key = partitioned_key(partition, str(number))
                outbox.change(self._seen, partition, key, value)

    def _receive(self, taken: Taken, outbox: Outbox) -> None:
        """A batch of either topic."""
        outbox.finished.append(taken)
        message = taken.event.message
        if message.topic == self._verify_requests:
            for record in message.value.records:
                self._receive_one(single(message, record), self._verify, outbox)
        else:
            self._receive_snapshots(message, outbox)

    def _receive_snapshots(self, message: Any, outbox: Outbox) -> None:
        """Most of them hold the picture, and nothing is made of those."""
        holds, ahead = self._core.holds, self._settings.max_clock_ahead
        held, newest = 0, 0.0
        for record in message.value.records:
            value = record.value
            if value is None:
                continue
            at = holds(record.key, value, record.timestamp / 1000 + ahead)
            if at:
                held += 1
                newest = max(newest, at)
            else:
                self._receive_one(single(message, record), self._observe, outbox)
        if held:
            self._note_time(min(newest, message.timestamp), newest)
            self._tally.count(SnapshotOutcome.SUPPRESSED, Held.UNCHANGED, held)

    def _receive_one(
        self, message: Message, take: Callable[[Message, Outbox], None], outbox: Outbox
    ) -> None:
        """One that cannot be read is given up."""
        if message.value is None:
            return
        try:
            take(message, outbox)
        except DecodeError as error:
            self._give_up(message, error, outbox)
            if take == self._observe:
                self._tally.count(SnapshotOutcome.DEAD_LETTER)

    def _note_time(self, observed_at: float, newest: float) -> None:
        self._newest = max(self._newest, newest)
        self._surveyor.hear(observed_at)

    def _observe(self, message: Message, outbox: Outbox) -> None:
        assert message.value is not None  # nobody calls it with none
        snapshot = self._decoded(message.key, message.value, message.timestamp)
        npc_id, partition = snapshot.npc_id, message.partition
        source = Source(topic=message.topic, partition=partition, offset=message.offset)
        self._note_time(min(snapshot.observed_at, message.timestamp), snapshot.observed_at)
        state = self._surveyor.state(npc_id, outbox, partition)
        seen = self._core.observe(snapshot, state, source, time())
        if state:
            self._surveyor.welcome(npc_id, state, seen.state)
        if message.key is not None:
            self._core.remember(message.key, message.value, snapshot, state, seen)
        self._stage(npc_id, partition, seen, outbox, message.headers)
        self._tally.count(seen.outcome, seen.held)

    def _verify(self, message: Message, outbox: Outbox) -> None:
        assert message.value is not None  # as above
        request = decode_verify_request(message.key, message.value, message.timestamp)
        self._surveyor.answer(request.npc_id, message.partition, outbox, time())

    def _decoded(self, key: bytes | None, value: bytes, timestamp: float) -> Snapshot:
        snapshot = decode_snapshot(key, value, timestamp)
        ahead = snapshot.observed_at - timestamp
        if ahead > self._settings.max_clock_ahead:
            message = f"observed_at: {ahead:.0f} s ahead of the record's own time"
            raise DecodeError(message)
        return snapshot

    def _give_up(self, message: Message, error: DecodeError, outbox: Outbox) -> None:
        outbox.dead_letter(self._topics[DEAD_LETTERS], "filter", error, message)
        self._metrics.dead_letters.labels(stage="filter").inc()
        self._metrics.errors.labels(stage="filter").inc()

    def _stage(
        self,
        npc_id: str,
        partition: int,
        seen: Observation,
        outbox: Outbox,
        headers: trace.Given | None = None,
    ) -> None:
        """`headers`: of the record that led to it, if one did."""
        if seen.command and headers:
            with trace.span("rollcall.decide", headers, seen.command.issued_at) as onward:
                self._send(seen.command, outbox, onward)
        elif seen.command:
            self._send(seen.command, outbox)
        if seen.state:
            self._groups.put(npc_id, partition, seen.state, outbox)
        for player in seen.sightings:
            outbox.change(self._sightings, partition, *sighting.dump(partition, player))

    def _send(
        self, command: UpdateCommand, outbox: Outbox, headers: trace.Headers | None = None
    ) -> None:
        topic, key = self._topics[NPC_UPDATE_COMMANDS], encode_key(command.npc_id)
        outbox.records.append(Record(topic, key, encode(command), headers))
        self._tally.sent(command.reason)

    def _look_again(self, ids: frozenset[str], outbox: Outbox) -> None:
        """Push the NPCs of ours that stand with somebody who looks different now."""
        for npc_id in self._groups.npc_ids():
            state = self._surveyor.state(npc_id, outbox)
            if state and _stands_with(state, ids) and self._owns(state.source.partition):
                seen = self._core.profile_changed(npc_id, state, time())
                if seen.command:
                    self._stage(npc_id, state.source.partition, seen, outbox)

    def _expire(self, outbox: Outbox) -> None:
        """Forget whom nobody saw for long, and what is stored of anybody who is forgotten."""
        self._core.keep_players()
        gone = self._players.expire(self._newest)
        self._metrics.evictions.labels(cache="players").inc(len(gone))
        for key in outbox.keys(self._sightings):
            partition, player_id = split_key(key)
            if self._players.get(player_id) is None and self._owns(partition):
                outbox.change(self._sightings, partition, key, None)

    def _owns(self, partition: int) -> bool:
        return owns(self._app, self._table_of_groups, partition)

    # what is counted

    def _count_tables(self) -> None:
        hits, misses = self._players.take_counts()
        self._metrics.cache_requests.labels(cache="players", result="hit").inc(hits)
        self._metrics.cache_requests.labels(cache="players", result="miss").inc(misses)
        sizes = {
            "groups": len(self._table_of_groups.data),
            "players": len(self._players),
            "roster": len(self._roster.roster),
            "locations": len(self._locations.places),
        }
        for table, size in sizes.items():
            self._metrics.table_entries.labels(table=table).set(size)


def _stands_with(state: GroupState, ids: frozenset[str]) -> bool:
    return any(m.id in ids or fold(m.name) in ids for m in state.desired.members)


def _size(item: Item) -> int:
    """Records of a batch; a tick counts as one."""
    return len(item.event.message.value.records) if isinstance(item, Taken) else 1


async def _every(seconds: float, do: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await do()
