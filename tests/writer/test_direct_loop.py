import asyncio

import pytest

from streams.writer.direct_loop import DirectLoop
from streams.writer.letta import LettaStore
from tests.fake_letta import FakeLetta
from tests.writer.commands import command
from topics.models import Outcome, UpdateCommand, UpdateResult


@pytest.fixture
def told() -> list[UpdateResult]:
    return []


def loop_on(letta: LettaStore, told: list[UpdateResult], agent_id: str | None) -> DirectLoop:
    async def publish(result: UpdateResult) -> None:
        told.append(result)

    return DirectLoop(letta, publish, lambda _: agent_id)


async def finished(loop: DirectLoop, *commands: UpdateCommand) -> None:
    left = len(commands)
    over = asyncio.Event()

    def done() -> None:
        nonlocal left
        left -= 1
        if not left:
            over.set()

    for one in commands:
        loop.submit(one, done)
    async with asyncio.timeout(20):
        await over.wait()


async def test_every_command_is_written_in_order_with_four_calls_each(
    fake: FakeLetta, letta: LettaStore, told: list[UpdateResult]
) -> None:
    agent_id = fake.agent(group_members="", status="")
    loop = loop_on(letta, told, agent_id)

    await finished(loop, *(command(offset=offset) for offset in range(5)))

    assert [4] * 5 == [result.calls for result in told]
    assert {Outcome.APPLIED} == {result.outcome for result in told}


async def test_an_npc_without_an_agent_has_failed(
    fake: FakeLetta, letta: LettaStore, told: list[UpdateResult]
) -> None:
    loop = loop_on(letta, told, None)

    await finished(loop, command())

    assert [Outcome.FAILED] == [result.outcome for result in told]
