"""What a Python game server imports: an async client that writes records of the contract to Kafka.

    async with Publisher(KafkaConnection.from_environment()) as publisher:
        await publisher.snapshot({"npc_id": "npc-7", "cluster": ["Alice"], "location": "inn"})

Every record is checked first, by decoding what would be sent: a wrong one raises `DecodeError` and
nothing is sent. What is right is handed to an idempotent producer that batches and retries. A call
returns once the record is in the batch, or, while `max_in_flight` records wait for the broker, once
there is room again. Whether the broker took it is known later: `flush` and `close` wait for all and
tell how many were sent and how many failed, and `on_failure` is called with each one that failed.
Records of one NPC keep the order of the calls.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import takewhile
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import structlog
from aiokafka.errors import KafkaError

from topics import trace
from topics.catalogue import (
    LOCATIONS,
    NPC_ROSTER,
    NPC_SNAPSHOTS,
    PLAYER_PROFILES,
    WORLD_SNAPSHOTS,
)
from topics.connection import KafkaConnection
from topics.decode import (
    DecodeError,
    decode_key,
    decode_location,
    decode_profile,
    decode_roster_entry,
    decode_snapshot,
    decode_world,
)
from topics.encode import encode, encode_key
from topics.handshake import demand_entry
from topics.models import (
    Location,
    Model,
    PlayerProfile,
    RosterEntry,
    Snapshot,
    WorldSnapshot,
)
from topics.producer import Producer
from topics.roster import Roster
from topics.text import clip
from topics.world import split

MAX_IN_FLIGHT: Final = 10_000
"""Records that may wait for the broker's answer before a call waits, too; about 5 MB."""

LINGER_MILLISECONDS: Final = 5
"""How long a batch waits for more records: the price of batching, small beside one Letta call."""

DELIVERY_TIMEOUT: Final = 30.0
"""Seconds in which the broker must have taken a record; after that it counts as failed. It may
arrive yet: an idempotent producer never gives a batch up that it has begun to send."""

DEFAULT_WORLD_ID: Final = "world"
"""Key of a world snapshot where the game has only one world."""

_ERROR_LIMIT = 200

log = structlog.get_logger()


class KafkaUnavailableError(ConnectionError):
    """No broker of the connection could be reached; the message names them."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A record that the broker did not take; `value` None was a deletion."""

    topic: str
    key: bytes
    value: bytes | None
    error: str


class PublishReport(msgspec.Struct, frozen=True, kw_only=True):
    """Records since the publisher started: acknowledged by the broker, and not."""

    sent: int = 0
    failed: int = 0


class Publisher:
    """Publishes to the topics a game writes to; use it as an async context.

    With a `roster`, world snapshots are split here and go to `npc-snapshots` at once; without one
    they go to `world-snapshots`, where the splitter takes them.
    """

    def __init__(
        self,
        connection: KafkaConnection | None = None,
        roster: Roster | None = None,
        *,
        on_failure: Callable[[Failure], None] | None = None,
        max_in_flight: int = MAX_IN_FLIGHT,
        linger_milliseconds: int = LINGER_MILLISECONDS,
        delivery_timeout: float = DELIVERY_TIMEOUT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection or KafkaConnection.from_environment()
        self._roster = roster
        self._on_failure = on_failure or _log_failure
        self._linger_milliseconds = linger_milliseconds
        self._delivery_timeout = delivery_timeout
        self._clock = clock
        self._room = asyncio.Semaphore(max_in_flight)
        self._in_flight: dict[asyncio.Future[Any], float] = {}  # when handed over; oldest first
        self._alarm: asyncio.TimerHandle | None = None
        self._producer: Producer | None = None
        self._sent = 0
        self._failed = 0

    # ---- life

    async def start(self) -> None:
        """Connects. KafkaUnavailableError: no broker answers; NoEntryError: one refuses us."""
        producer = Producer(
            **self._connection.client_options(),
            enable_idempotence=True,
            acks="all",
            linger_ms=self._linger_milliseconds,
            request_timeout_ms=int(self._delivery_timeout * 1000),
        )
        try:
            await producer.start()
        except KafkaError as error:
            await producer.stop()
            await demand_entry(self._connection)
            brokers = ", ".join(self._connection.bootstrap_servers)
            raise KafkaUnavailableError(f"cannot reach Kafka at {brokers}: {error}") from None
        self._producer = producer

    async def flush(self) -> PublishReport:
        """Waits until the broker has answered for every record handed over so far."""
        while self._in_flight:
            await asyncio.wait(set(self._in_flight))
        return self.report

    async def close(self) -> PublishReport:
        """Flushes and disconnects; a second call is harmless."""
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                await self.flush()
            finally:
                await self._stop(producer)
        return self.report

    async def _stop(self, producer: Producer) -> None:
        """What failed is still in the producer, and a broker that is away would keep it waiting."""
        try:
            async with asyncio.timeout(self._delivery_timeout):
                await producer.stop()
        except TimeoutError:
            await producer.abandon()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def report(self) -> PublishReport:
        """The counts so far; records still under way are in neither."""
        return PublishReport(sent=self._sent, failed=self._failed)

    # ---- what a game says

    async def snapshot(self, snapshot: Snapshot | Mapping[str, Any]) -> None:
        """What the game saw around one NPC. DecodeError."""
        value = _json(snapshot)
        npc_id = decode_snapshot(None, value, self._clock()).npc_id
        await self._send(NPC_SNAPSHOTS, npc_id, value)

    async def world(
        self, world: WorldSnapshot | Mapping[str, Any], world_id: str = DEFAULT_WORLD_ID
    ) -> int:
        """What the game saw around many NPCs, in either shape; the number of records it became.

        DecodeError. An NPC that the roster does not know by name counts as a player.
        """
        value = _json(world)
        decoded = decode_world(value, self._clock())
        if self._roster is None:
            await self._send(WORLD_SNAPSHOTS, _checked(world_id), value)
            return 1
        snapshots = split(decoded, self._roster)
        for snapshot in snapshots:
            await self._send(NPC_SNAPSHOTS, snapshot.npc_id, encode(snapshot))
        return len(snapshots)

    async def profile(self, profile: PlayerProfile | Mapping[str, Any]) -> None:
        """Who a player is. DecodeError."""
        value = _json(profile)
        await self._send(PLAYER_PROFILES, decode_profile(None, value).player_id, value)

    async def roster(self, entry: RosterEntry | Mapping[str, Any]) -> None:
        """An NPC of the game; the local roster, if there is one, learns it as well. DecodeError."""
        value = _json(entry)
        decoded = decode_roster_entry(None, value)
        if self._roster is not None:
            self._roster.put(decoded)
        await self._send(NPC_ROSTER, decoded.npc_id, value)

    async def location(self, location: Location | Mapping[str, Any]) -> None:
        """A place of the world. DecodeError."""
        value = _json(location)
        await self._send(LOCATIONS, decode_location(None, value).slug, value)

    async def delete_profile(self, player_id: str) -> None:
        """Forgets a player. DecodeError for an impossible id, as in all deletions."""
        await self._send(PLAYER_PROFILES, _checked(player_id), None)

    async def delete_roster(self, npc_id: str) -> None:
        """Takes an NPC off the roster, and off the local one."""
        if self._roster is not None:
            self._roster.remove(npc_id)
        await self._send(NPC_ROSTER, _checked(npc_id), None)

    async def delete_location(self, slug: str) -> None:
        """Removes a place of the world."""
        await self._send(LOCATIONS, _checked(slug), None)

    # ---- delivery

    async def _send(self, name: str, identity: str, value: bytes | None) -> None:
        topic, key = self._connection.topic(name), encode_key(identity)
        await self._room.acquire()
        try:
            producer, headers = self._open_producer(), trace.current()
            delivery = await producer.send(topic, value=value, key=key, headers=headers)
        except KafkaError as error:
            self._room.release()
            self._fail(topic, key, value, error)
        except BaseException:
            self._room.release()
            raise
        else:
            self._in_flight[delivery] = asyncio.get_running_loop().time()
            self._set_alarm()
            delivery.add_done_callback(partial(self._settle, topic, key, value))

    def _set_alarm(self) -> None:
        """One alarm at a time, for the oldest record in flight."""
        if self._alarm is None and self._in_flight:
            oldest = next(iter(self._in_flight.values()))
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_at(oldest + self._delivery_timeout, self._give_up_late)

    def _give_up_late(self) -> None:
        self._alarm = None
        limit = asyncio.get_running_loop().time() - self._delivery_timeout
        for delivery, _ in takewhile(lambda entry: entry[1] <= limit, self._in_flight.items()):
            delivery.cancel()
        self._set_alarm()

    def _open_producer(self) -> Producer:
        if self._producer is None:
            raise RuntimeError("the publisher is not open: use it as `async with Publisher(...)`")
        return self._producer

    def _settle(
        self, topic: str, key: bytes, value: bytes | None, delivery: asyncio.Future[Any]
    ) -> None:
        self._in_flight.pop(delivery, None)
        self._room.release()
        late = TimeoutError(f"the broker did not answer within {self._delivery_timeout:g} s")
        error = late if delivery.cancelled() else delivery.exception()
        if error is None:
            self._sent += 1
        else:
            self._fail(topic, key, value, error)

    def _fail(self, topic: str, key: bytes, value: bytes | None, error: BaseException) -> None:
        self._failed += 1
        reason = clip(str(error), _ERROR_LIMIT) or type(error).__name__
        self._on_failure(Failure(topic=topic, key=key, value=value, error=reason))


def _log_failure(failure: Failure) -> None:
    log.error(
        "record_not_delivered",
        topic=failure.topic,
        key=failure.key.decode(errors="replace"),
        error=failure.error,
    )


def _json(record: Model | Mapping[str, Any]) -> bytes:
    """The record as it will be sent; fields that the contract does not name are kept."""
    try:
        plain = msgspec.to_builtins(record if isinstance(record, Model) else dict(record))
        # Not msgspec's encoder: it would turn NaN into null, and so into "absent".
        return json.dumps(
            plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise DecodeError(f"the record is not JSON: {clip(str(error), _ERROR_LIMIT)}") from None


def _checked(identity: str) -> str:
    return decode_key(encode_key(identity))
