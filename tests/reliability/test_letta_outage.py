"""Letta away in every way it can be: nothing lost, left alone meanwhile, all well soon after."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import psutil
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from ops.demo.lag import LagReader
from streams.topology import Role
from tests.fake_letta import FakeLetta
from tests.integration.harness import Town, new_prefix, until
from tests.reliability.figures import tell
from tests.reliability.orders import Orders, orders_for
from tests.reliability.proxy import FaultProxy, Road
from topics.connection import KafkaConnection

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

NPCS = 30
OUTAGE = 5.0
"""Seconds; long enough for the breaker to have settled."""

FAULTS = [road for road in Road if road is not Road.OPEN]


@dataclass
class Scene:
    town: Town
    proxy: FaultProxy
    fake: FakeLetta
    lag: LagReader

    def orders(self, npcs: int = NPCS) -> Orders:
        made = orders_for(self.town, npcs)
        self.proxy.upstream = self.fake.url
        for npc_id in made.npc_ids:
            self.fake.agent(f"npc:{npc_id}", group_members="", status="")
        return made

    def remembered(self, npc_id: str) -> str:
        """Who stands with an NPC, by its memory on the stand-in."""
        [agent] = [a for a in self.fake.agents.values() if f"npc:{npc_id}" in a["tags"]]
        value = self.fake.block(agent["id"], "group_members")["value"]
        return str(json.loads(value)["members"]["1001"]["name"]) if value else ""

    def all_remember(self, orders: Orders) -> bool:
        return all(self.remembered(npc) == f"Guest {n}" for npc, n in orders.newest.items())

    async def settled(self, orders: Orders) -> None:
        await until(lambda: self.all_remember(orders), "the newest command in every memory")
        await until(lambda: not orders.unanswered(), "a result for every command")

    async def breaker(self) -> float:
        return await self.town.workers["writer"].metric("rollcall_letta_breaker_state")

    async def asked(self) -> float:
        """Requests the writer has made so far, whether they reached anybody or not."""
        return await self.town.workers["writer"].metric("rollcall_letta_requests_total")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(
    kafka_address: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scene]:
    connection = KafkaConnection(broker=kafka_address, topic_prefix=new_prefix())
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        fake = await enter(FakeLetta().serving())
        proxy = await enter(FaultProxy(fake.url).serving())
        admin = AIOKafkaAdminClient(**connection.client_options())
        consumer = await enter(AIOKafkaConsumer(**connection.client_options()))
        town = await enter(Town(connection, tmp_path_factory.mktemp("town"), proxy.url))
        await admin.start()
        stack.push_async_callback(admin.close)
        town.start("writer", LETTA_TIMEOUT=2)
        yield Scene(town, proxy, fake, LagReader(connection, admin, consumer))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda road: road.name.lower())
async def test_a_letta_that(scene: Scene, fault: Road) -> None:
    orders = scene.orders()
    await orders.send()
    await scene.settled(orders)

    asked = await scene.asked()
    await scene.proxy.turn(fault)
    began = time.monotonic()
    await orders.send()
    await orders.send()
    await until(scene.breaker, "the breaker to open")
    await until(lambda: time.monotonic() > began + OUTAGE, "the outage to have lasted")
    asked = await scene.asked() - asked
    lag = await scene.lag.lag(Role.WRITER)
    await scene.proxy.turn(Road.OPEN)
    ended = time.monotonic()
    await until(lambda: scene.all_remember(orders), "the newest command in every memory")
    recovered = time.monotonic()
    await scene.settled(orders)
    await until(lambda: _is_closed(scene), "a closed breaker")

    tell(
        f"letta {fault.name.lower()}",
        outage_s=round(ended - began, 1),
        requests_during=asked,
        lag_during=lag,
        recovered_s=round(recovered - ended, 1),
    )
    assert orders.overtaken() == []
    assert lag >= NPCS
    # Five to open it, those on their way with them, then probes: 0.5, 1, 2 s ... apart.
    assert asked <= 5 + 4 + 10


async def test_a_long_outage_holds_one_command_per_npc_and_no_more(scene: Scene) -> None:
    orders = scene.orders()
    await orders.send()
    await scene.settled(orders)
    writer = scene.town.workers["writer"]
    memory = psutil.Process(writer.running.pid).memory_info
    await scene.proxy.turn(Road.REFUSING)
    await _superseded(orders, rounds=50)  # so that what grows once has grown
    before = memory().rss

    await _superseded(orders, rounds=600)

    grown, sent = memory().rss - before, 600 * NPCS
    assert await writer.metric("rollcall_write_queue") <= NPCS
    lag = await scene.lag.lag(Role.WRITER)
    await scene.proxy.turn(Road.OPEN)
    ended = time.monotonic()
    await scene.settled(orders)
    tell(
        "letta away for long",
        commands=sent,
        lag=lag,
        memory_grown_kib=grown // 1024,
        recovered_s=round(time.monotonic() - ended, 1),
    )


async def _superseded(orders: Orders, rounds: int) -> None:
    """So many commands more for each NPC, of which all but the last are told superseded."""
    for _ in range(rounds):
        await orders.send()
    await until(
        lambda: len(orders.unanswered()) <= len(orders.npc_ids), "all but the newest superseded"
    )


async def _is_closed(scene: Scene) -> bool:
    return await scene.breaker() == 0


async def test_what_letta_refuses_is_a_dead_letter_and_works_with_the_next_command(
    scene: Scene,
) -> None:
    orders = scene.orders(npcs=2)
    refused, fine = orders.npc_ids
    await orders.send()
    await scene.settled(orders)
    [agent] = [a for a in scene.fake.agents.values() if f"npc:{refused}" in a["tags"]]
    block = scene.fake.block(agent["id"], "group_members")
    scene.fake.fail(method="PATCH", path=block["id"], status=422)

    await orders.send()

    told = (await scene.town.finished(refused, 2))[-1]
    assert (told.outcome.value, "422" in (told.error or "")) == ("failed", True)
    [(letter, headers)] = await until(lambda: scene.town.dead_letters(refused), "a dead letter")
    assert headers.stage == "writer"
    assert json.loads(letter.value)["command_id"] == told.command_id
    parked = scene.town.workers["writer"]
    await until(lambda: parked.metric("rollcall_parked_npcs"), "the NPC to count as parked")
    assert scene.remembered(fine) == f"Guest {orders.newest[fine]}"

    await orders.send([refused])
    await scene.settled(orders)


async def test_a_refused_npc_is_tried_again_when_its_roster_entry_changes(scene: Scene) -> None:
    orders = scene.orders(npcs=1)
    [npc_id] = orders.npc_ids
    [agent] = [a for a in scene.fake.agents.values() if f"npc:{npc_id}" in a["tags"]]
    block = scene.fake.block(agent["id"], "group_members")
    scene.fake.fail(method="PATCH", path=block["id"], status=422)
    await orders.send()
    await scene.town.finished(npc_id, 1)

    await scene.town.publish.roster({"npc_id": npc_id, "name": "Greta", "agent_id": agent["id"]})
    await scene.town.publish.flush()

    await scene.town.finished(npc_id, 2)
    assert scene.all_remember(orders)
