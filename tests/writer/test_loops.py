"""Two servers, each with a loop of its own, and NPCs that move from one to the other."""

import pytest

from streams.letta_servers import UnknownServerError
from streams.writer.breaker import BreakerState
from streams.writer.loops import Loops
from streams.writer.stamp import UNKNOWN
from streams.writer.store import PermanentError, TemporaryError
from tests.writer.commands import NOON, command
from tests.writer.test_loop import Scene, quiet
from topics.models import Outcome


class TwoServers:
    """The scenes of two loops, and a roster that says who is where."""

    def __init__(self) -> None:
        self.first, self.second = Scene(failures=1), Scene(failures=1)
        self.on: dict[str, int] = {}
        self.loops = Loops([self.first.loop, self.second.loop], lambda who: self.on.get(who, 0))
        self.done: list[str] = []

    def submit(self, npc_id: str, offset: int = 10) -> None:
        sent = command(npc_id=npc_id, offset=offset, observed_at=NOON + offset)
        self.loops.submit(sent, lambda: self.done.append(sent.command_id), offset, UNKNOWN)

    def move(self, npc_id: str, server: int) -> None:
        self.on[npc_id] = server
        self.loops.wake(npc_id)

    def written(self) -> tuple[list[str], list[str]]:
        """Who was written where."""
        return (
            [told.npc_id for told in self.first.results if told.outcome is Outcome.APPLIED],
            [told.npc_id for told in self.second.results if told.outcome is Outcome.APPLIED],
        )


@pytest.fixture
async def two() -> TwoServers:
    return TwoServers()


async def test_each_npc_is_written_on_its_own_server(two: TwoServers) -> None:
    two.on["b"] = 1
    two.submit("a")
    two.submit("b")
    await quiet()

    assert (["a"], ["b"]) == two.written()


async def test_a_server_that_is_away_holds_up_nobody_on_the_other(two: TwoServers) -> None:
    two.on["b"] = 1
    two.first.answers["a"] = TemporaryError("no connection to Letta")
    two.submit("a")
    two.submit("b")
    await quiet()

    assert ([], ["b"]) == two.written()
    assert two.loops.breaker_state is BreakerState.OPEN
    assert [BreakerState.OPEN, BreakerState.CLOSED] == [
        loop.breaker_state for _, loop in two.loops.parts()
    ]


async def test_what_waits_moves_with_its_npc(two: TwoServers) -> None:
    two.first.answers["a"] = TemporaryError("busy", delay=100.0)
    two.submit("a")
    await quiet()
    two.move("a", 1)
    await quiet()

    assert ([], ["a"]) == two.written()
    assert ["a@10"] == two.done
    assert 0 == two.first.loop.standing().waiting


async def test_what_is_under_way_is_done_once_and_written_on_the_new_server_too(
    two: TwoServers,
) -> None:
    two.first.hold("a")
    two.submit("a")
    await quiet()
    two.move("a", 1)
    await quiet()
    assert ([], []) == two.written()

    two.first.release("a")
    await quiet()

    assert (["a"], ["a"]) == two.written()
    assert ["a@10"] == two.done


async def test_what_is_under_way_and_fails_is_tried_on_the_new_server(two: TwoServers) -> None:
    two.first.hold("a")
    two.first.answers["a"] = TemporaryError("timeout")
    two.submit("a")
    await quiet()
    two.move("a", 1)
    two.first.release("a")
    await quiet()

    assert ([], ["a"]) == two.written()
    assert ["a@10"] == two.done


async def test_a_newer_command_that_came_meanwhile_is_what_counts(two: TwoServers) -> None:
    two.first.hold("a")
    two.first.answers["a"] = TemporaryError("timeout")
    two.submit("a", offset=10)
    await quiet()
    two.move("a", 1)
    two.submit("a", offset=11)
    await quiet()
    two.first.release("a")
    await quiet()

    assert [("a@11", "applied"), ("a@10", "outdated")] == two.second.outcomes()
    assert ["a@11", "a@10"] == two.done


async def test_a_parked_npc_is_written_once_it_is_on_the_server_that_has_its_agent(
    two: TwoServers,
) -> None:
    two.first.roster["a"] = None
    two.submit("a")
    await quiet()
    assert "a" in two.first.parked

    two.second.parked = two.first.parked  # one Table for all
    two.move("a", 1)
    await quiet()

    assert ([], ["a"]) == two.written()
    assert {} == two.first.parked
    assert 0 == two.first.loop.standing().parked


async def test_an_npc_on_a_server_that_there_is_not_is_refused_until_the_roster_changes(
    two: TwoServers,
) -> None:
    def agent_of(npc_id: str) -> str:
        if npc_id not in two.on:
            raise PermanentError(str(UnknownServerError("no such server")))
        return "agent-1"

    two.first.loop._search._agents.roster = agent_of
    two.submit("a")
    await quiet()
    assert [("a@10", "no such server", 10)] == two.first.given_up
    assert ["a@10"] == two.done

    two.second.parked = two.first.parked
    two.move("a", 1)
    await quiet()

    assert ([], ["a"]) == two.written()


async def test_stopping_stops_all_and_counts_what_is_left(two: TwoServers) -> None:
    two.on["b"] = 1
    for scene, npc_id in ((two.first, "a"), (two.second, "b")):
        scene.hold(npc_id)
        two.submit(npc_id)
    await quiet()

    assert 2 == await two.loops.stop(0.01)
