"""The survey and verify requests, on the real Kafka."""

import json
from collections.abc import Iterable

import httpx
import pytest
from aiokafka import AIOKafkaConsumer

from streams.filter.state import dump, load
from streams.home import home_of
from streams.topology import Role, changelog
from tests.integration.conftest import ALICE
from tests.integration.harness import Town, Worker, new_id, until
from topics.catalogue import NPC_VERIFY_REQUESTS
from topics.encode import encode
from topics.models import VerifyRequest

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

GROUPS = changelog(Role.FILTER, "groups")


def start_filter(town: Town, name: str, **settings: object) -> Worker:
    """A filter of a name, so that there may be several."""
    worker = town.start("filter", **settings)
    town.workers[name] = town.workers.pop("filter")
    return worker


async def metric(worker: Worker, name: str, **labels: str) -> float | None:
    """None while the worker starts."""
    try:
        return await worker.metric(name, **labels)
    except httpx.ConnectError:
        return None


def events(worker: Worker, name: str, npc_id: str) -> list[dict[str, object]]:
    """The log lines of an event about an NPC."""
    lines = [json.loads(line) for line in worker.words().splitlines() if line.startswith("{")]
    return [x for x in lines if x.get("event") == name and x.get("npc_id") == npc_id]


async def last_states(town: Town) -> dict[bytes, bytes | None]:
    """The last value of each key of the changelog, None for a deleted one."""
    last: dict[bytes, bytes | None] = {}
    consumer = AIOKafkaConsumer(
        town.connection.topic(GROUPS),
        **town.connection.client_options(),
        auto_offset_reset="earliest",
    )
    async with consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                last |= {record.key: record.value for record in records}
    return last


async def ask(town: Town, npc_ids: Iterable[str]) -> None:
    for npc_id in npc_ids:
        request = encode(VerifyRequest(npc_id=npc_id, requested_at=0.0))
        await town.raw(NPC_VERIFY_REQUESTS, npc_id, request)


async def test_a_request_reaches_the_worker_that_holds_the_state(
    lone_town: Town, now: float
) -> None:
    town, npcs = lone_town, [new_id() for _ in range(24)]
    workers = [start_filter(town, name, VERIFY_SAMPLE=0) for name in ("one", "two")]

    async def states() -> list[float]:
        name = "rollcall_table_entries"
        return [await metric(worker, name, table="groups") or 0.0 for worker in workers]

    async def both_hold_states() -> bool:
        for npc_id in npcs:
            await town.see(npc_id, now, ALICE)
        return all(await states()) and sum(await states()) >= len(npcs)

    await until(both_hold_states, "both filters to hold states")
    for npc_id in npcs:
        await town.reasons(npc_id, 1)

    await ask(town, npcs)

    async def verified(worker: Worker) -> float:
        return await worker.metric("rollcall_decisions_total", reason="verify")

    async def all_are_verified() -> bool:
        return sum([await verified(worker) for worker in workers]) == len(npcs)

    await until(all_are_verified, "a command for each request")
    assert all([await verified(worker) for worker in workers])
    for npc_id in npcs:
        reasons = [command.reason.value for command in town.commands(npc_id)]
        assert reasons.count("verify") == 1


async def test_a_hostile_request_is_a_dead_letter_and_the_next_is_answered(
    lone_town: Town, now: float
) -> None:
    npc_id = new_id()
    lone_town.start("filter", VERIFY_SAMPLE=0)
    await lone_town.see(npc_id, now, ALICE)
    await lone_town.reasons(npc_id, 1)

    await lone_town.raw(NPC_VERIFY_REQUESTS, npc_id, b'{"npc_id": ["')
    await ask(lone_town, [npc_id])

    assert await lone_town.reasons(npc_id, 2) == ["first_seen", "verify"]
    [(record, told)] = await until(lambda: lone_town.dead_letters(npc_id), "a dead letter")
    assert record.value == b'{"npc_id": ["'
    assert (told.stage, told.topic.endswith(NPC_VERIFY_REQUESTS)) == ("filter", True)


async def test_a_state_damaged_in_the_changelog_is_dropped_and_rebuilt(
    lone_town: Town, now: float
) -> None:
    town, npc_id, other = lone_town, new_id(), new_id()
    first = town.start("filter")
    for one in (npc_id, other):
        await town.see(one, now, ALICE)
        await town.reasons(one, 1)
    first.stop()
    good = (await last_states(town))[npc_id.encode()]
    assert good
    damaged = good.replace(b"Alice", b"Mlice")
    await town._producer.send_and_wait(
        town.connection.topic(GROUPS), damaged, npc_id.encode(), partition=home_of(npc_id)
    )

    worker = town.start("filter")
    await until(lambda: events(worker, "state_dropped", npc_id), "the damaged state to be dropped")

    async def is_deleted() -> bool:
        return (await last_states(town))[npc_id.encode()] is None

    await until(is_deleted, "the damaged state to leave the changelog")
    assert await worker.metric("rollcall_states_dropped_total") == 1
    await town.see(npc_id, now + 3, ALICE)
    await town.see(other, now + 3, ALICE, action="waving")
    assert await town.reasons(npc_id, 2) == ["first_seen", "first_seen"]
    assert await town.reasons(other, 2) == ["first_seen", "action"]
    rebuilt = load((await last_states(town))[npc_id.encode()])
    assert rebuilt
    assert rebuilt.desired.members[0].name == "Alice"


async def test_a_silent_npc_is_marked_once_over_a_restart_and_unmarked_when_it_returns(
    lone_town: Town, now: float
) -> None:
    town, npc_id, other = lone_town, new_id(), new_id()
    settings = {"SILENT_AFTER": 20, "STALE_DATA_THRESHOLD": 1000, "VERIFY_SAMPLE": 0}
    began = now - 200

    async def silent() -> bool:
        return await metric(town.workers["filter"], "rollcall_silent_npcs") == 1

    async def nobody() -> bool:
        return await metric(town.workers["filter"], "rollcall_silent_npcs") == 0

    worker = town.start("filter", **settings)
    await town.see(npc_id, began, ALICE)
    for at in range(0, 60, 3):
        await town.see(other, began + at, ALICE)
    await until(silent, "the silent NPC to be counted")
    worker.stop()
    marked = load((await last_states(town))[npc_id.encode()])
    assert marked
    assert marked == load(dump(marked))
    assert marked.silent

    worker = town.start("filter", **settings)
    await until(silent, "the mark to survive a restart")
    await town.see(npc_id, began + 90, ALICE)
    await until(nobody, "the NPC to return")

    assert len(events(worker, "npc_silent", npc_id)) == 1
    assert len(events(worker, "npc_returned", npc_id)) == 1
    assert [command.reason for command in town.commands(npc_id)] == ["first_seen"]


async def test_a_sample_is_verified_now_and_then(lone_town: Town, now: float) -> None:
    npcs = [new_id() for _ in range(3)]
    lone_town.start("filter", VERIFY_SAMPLE=2, VERIFY_INTERVAL=1)
    for npc_id in npcs:
        await lone_town.see(npc_id, now - 9, ALICE)
        await lone_town.see(npc_id, now - 5, ALICE)

    for npc_id in npcs:
        assert (await lone_town.reasons(npc_id, 3))[:3] == ["first_seen", "verify", "verify"]
