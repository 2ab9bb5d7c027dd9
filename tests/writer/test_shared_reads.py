"""Who shares a request, and who does not."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from streams.writer.shared_reads import MOST, Blocks, SharedReads, TaggedBlocks
from streams.writer.store import Block, TemporaryError


@dataclass
class Server:
    """Answers when it is told to; `hidden` agents are in no list."""

    requests: list[tuple[str, ...]] = field(default_factory=list)
    hidden: frozenset[str] = frozenset()
    poison: str | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    version: int = 0

    async def one(self, agent_id: str) -> TaggedBlocks:
        self.requests.append((agent_id,))
        seen = self.version
        await self.gate.wait()
        tag = None if agent_id.startswith("untagged") else f"npc:{agent_id}"
        return TaggedBlocks(self._blocks(agent_id, seen), tag)

    async def several(self, tags: Mapping[str, str]) -> dict[str, Blocks]:
        assert {agent_id: f"npc:{agent_id}" for agent_id in tags} == tags
        self.requests.append(tuple(tags))
        seen = self.version
        await self.gate.wait()
        if self.poison in tags:
            raise TemporaryError("stumbled")
        return {who: self._blocks(who, seen) for who in tags if who not in self.hidden}

    def _blocks(self, agent_id: str, version: int) -> Blocks:
        return {"status": Block(id=agent_id, label="status", value=str(version))}


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def reads() -> SharedReads:
    return SharedReads({name: f"npc:{name}" for name in [*"abcdef", *map(str, range(40))]})


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def asked(reads: SharedReads, server: Server, *agents: str) -> list[asyncio.Task[Blocks]]:
    return [asyncio.create_task(reads.read(who, server.one, server.several)) for who in agents]


async def test_who_asks_while_nobody_reads_is_read_at_once_and_alone(
    reads: SharedReads, server: Server
) -> None:
    server.gate.set()

    blocks = await reads.read("a", server.one, server.several)

    assert "a" == blocks["status"].id
    assert [("a",)] == server.requests


async def test_all_who_ask_while_a_request_is_on_its_way_share_the_next(
    reads: SharedReads, server: Server
) -> None:
    tasks = asked(reads, server, "a")
    await settled()
    tasks += asked(reads, server, "b", "c", "d")
    await settled()
    server.gate.set()

    answers = await asyncio.gather(*tasks)

    assert ["a", "b", "c", "d"] == [blocks["status"].id for blocks in answers]
    assert [("a",), ("b", "c", "d")] == server.requests


async def test_no_read_is_answered_by_a_request_sent_before_it_was_asked_for(
    reads: SharedReads, server: Server
) -> None:
    tasks = asked(reads, server, "a")
    await settled()
    server.version = 1
    tasks += asked(reads, server, "a")
    server.gate.set()

    answers = await asyncio.gather(*tasks)

    assert ["0", "1"] == [blocks["status"].value for blocks in answers]


async def test_an_agent_without_a_tag_waits_for_nobody(reads: SharedReads, server: Server) -> None:
    asked(reads, server, "a")
    await settled()
    asked(reads, server, "untagged-1", "untagged-2")
    await settled()

    assert [("a",), ("untagged-1",), ("untagged-2",)] == server.requests
    await reads.close()


async def test_a_first_read_tells_the_tag_that_later_ones_are_shared_by(server: Server) -> None:
    reads = SharedReads()
    server.gate.set()

    await asyncio.gather(*asked(reads, server, "a", "b", "untagged"))

    assert {"a": "npc:a", "b": "npc:b"} == reads.tags


async def test_an_agent_that_no_list_tells_of_is_read_alone(
    reads: SharedReads, server: Server
) -> None:
    server.hidden = frozenset({"c"})
    tasks = asked(reads, server, "a", "b", "c")
    server.gate.set()

    answers = await asyncio.gather(*tasks)

    assert ["a", "b", "c"] == [blocks["status"].id for blocks in answers]
    assert [("a", "b", "c"), ("c",)] == server.requests


async def test_an_agent_that_fails_a_shared_request_fails_nobody_twice(
    reads: SharedReads, server: Server
) -> None:
    server.poison = "b"
    server.gate.set()
    first = asked(reads, server, "a", "b", "c")
    assert [True] * 3 == [
        isinstance(answer, TemporaryError)
        for answer in await asyncio.gather(*first, return_exceptions=True)
    ]
    server.requests.clear()

    again = await asyncio.gather(*asked(reads, server, "a", "c"))

    assert ["a", "c"] == [blocks["status"].id for blocks in again]
    assert [("a",), ("c",)] == server.requests


async def test_a_request_is_for_so_many_agents_at_most(reads: SharedReads, server: Server) -> None:
    server.gate.set()

    await asyncio.gather(*asked(reads, server, *map(str, range(MOST + 3))))

    assert [MOST, 3] == [len(request) for request in server.requests]


async def test_who_goes_away_keeps_nobody_from_an_answer(
    reads: SharedReads, server: Server
) -> None:
    tasks = asked(reads, server, "a", "b", "c")
    await settled()
    tasks[1].cancel()
    server.gate.set()

    answers = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(answers[1], asyncio.CancelledError)
    assert isinstance(answers[0], dict)
    assert isinstance(answers[2], dict)
