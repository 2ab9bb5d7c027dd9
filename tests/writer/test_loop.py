"""The loop with a clock that only the test moves, and a Letta that does as the test says."""

import asyncio
import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Self, cast

import pytest
import structlog
from structlog.testing import CapturingLogger

from streams.writer.breaker import Breaker, BreakerState
from streams.writer.limit import FixedLimit
from streams.writer.loop import WriteLoop
from streams.writer.outcome import Effort, result
from streams.writer.queue import Backoff
from streams.writer.stamp import UNKNOWN, Mark
from streams.writer.store import (
    AgentMissingError,
    AgentRun,
    BlockStore,
    ConflictError,
    OnCall,
    PermanentError,
    StoreError,
    TemporaryError,
)
from tests.writer.commands import ALICE, BOB, NOON, command
from topics.models import Member, Outcome, Reason, UpdateCommand, UpdateResult


class Alarm:
    def __init__(self, then: Callable[[], None]) -> None:
        self.then: Callable[[], None] | None = then

    def cancel(self) -> None:
        self.then = None


class HandClock:
    """Time that stands still until it is advanced."""

    def __init__(self) -> None:
        self.time = 0.0
        self.alarms: list[tuple[float, int, Alarm]] = []
        self.numbers = itertools.count()

    def now(self) -> float:
        return NOON + self.time

    def steady(self) -> float:
        return self.time

    def call_later(self, seconds: float, then: Callable[[], None]) -> Alarm:
        alarm = Alarm(then)
        heapq.heappush(self.alarms, (self.time + seconds, next(self.numbers), alarm))
        return alarm

    async def advance(self, seconds: float) -> None:
        end = self.time + seconds
        await quiet()
        while self.alarms and self.alarms[0][0] <= end:
            self.time, _, alarm = heapq.heappop(self.alarms)
            if alarm.then is not None:
                alarm.then()
            await quiet()
        self.time = end
        await quiet()


async def quiet() -> None:
    """Lets everything run that can run without time passing."""
    for _ in range(30):
        await asyncio.sleep(0)


Answer = Outcome | Exception


class Scene:
    """A loop with everything around it in the test's hand."""

    def __init__(self, concurrency: int = 4, failures: int = 100) -> None:
        self.clock = HandClock()
        self.roster: defaultdict[str, str | None] = defaultdict(lambda: "agent-1")
        self.tagged: dict[str, str] = {}
        self.looks: list[list[str]] = []
        self.look_error: StoreError | None = None
        self.results: list[UpdateResult] = []
        self.parked: dict[str, UpdateCommand] = {}
        self.events: list[tuple[str, str]] = []
        self.answers: dict[str, Answer | Callable[[str], Answer]] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.running: set[str] = set()
        self.most = 0
        self.updates: list[tuple[str, int, str]] = []
        self.publish_failures = 0
        self.park_failures = 0
        self.given_up: list[tuple[str, str, object]] = []
        self.leaves_doubt = False
        self.rivals: list[bool] = []
        self.listed_runs: list[AgentRun] = []
        self.runs_asked = 0
        self.runs_error: StoreError | None = None
        self.logger = CapturingLogger()
        self.loop = WriteLoop(
            cast(BlockStore, self),
            self.publish,
            lambda npc_id: self.roster[npc_id],
            self.park,
            self.unpark,
            update=self.update,
            limit=FixedLimit(concurrency),
            backoff=Backoff(first=1.0, longest=30.0, chance=lambda: 1.0),
            breaker=Breaker(failures, concurrency, first=1.0, longest=5.0, chance=lambda: 1.0),
            give_up=self.give_up,
            clock=self.clock,
            log=structlog.wrap_logger(self.logger, processors=[lambda log, name, event: event]),
        )

    # what the loop calls

    async def update(
        self,
        command: UpdateCommand,
        agent_id: str,
        store: object,
        now: Callable[[], float],
        effort: Effort,
        mark: Mark,
    ) -> UpdateResult:
        npc_id = command.npc_id
        assert npc_id not in self.running, "two workers on one NPC"
        self.running.add(npc_id)
        self.most = max(self.most, len(self.running))
        self.updates.append((npc_id, command.source.offset, agent_id))
        try:
            if npc_id in self.gates:
                await self.gates[npc_id].wait()
            effort.count_call("read", "200", 0.01)
            effort.is_doubtful = self.leaves_doubt
            self.rivals.append(effort.has_rivals)
            return result(command, self.answer(npc_id, agent_id), effort, now())
        finally:
            self.running.discard(npc_id)

    def answer(self, npc_id: str, agent_id: str) -> Outcome:
        answer = self.answers.get(npc_id, Outcome.APPLIED)
        if not isinstance(answer, Outcome | Exception):
            answer = answer(agent_id)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def find_agents(self, npc_ids: Sequence[str]) -> dict[str, str]:
        self.looks.append(list(npc_ids))
        if self.look_error is not None:
            raise self.look_error
        return {npc_id: self.tagged[npc_id] for npc_id in npc_ids if npc_id in self.tagged}

    async def runs(self) -> list[AgentRun]:
        self.runs_asked += 1
        if self.runs_error is not None:
            raise self.runs_error
        return list(self.listed_runs)

    def observed_by(self, on_call: OnCall) -> Self:
        return self

    async def publish(self, told: UpdateResult) -> None:
        if self.publish_failures:
            self.publish_failures -= 1
            raise ConnectionError("no broker")
        self.results.append(told)
        self.events.append(("published", told.command_id))

    async def park(self, parked: UpdateCommand, mark: Mark) -> None:
        if self.park_failures:
            self.park_failures -= 1
            raise ConnectionError("no broker")
        self.parked[parked.npc_id] = parked
        self.events.append(("parked", parked.command_id))

    async def give_up(
        self, refused: UpdateCommand, mark: Mark, why: PermanentError, origin: object
    ) -> None:
        await self.park(refused, mark)
        self.given_up.append((refused.command_id, str(why), origin))

    async def unpark(self, npc_id: str) -> None:
        del self.parked[npc_id]
        self.events.append(("unparked", npc_id))

    # what the test says

    def submit(
        self,
        npc_id: str,
        *members: Member,
        offset: int = 10,
        observed_at: float = NOON,
        reason: Reason = Reason.MEMBERS,
        own_offset: int = UNKNOWN,
    ) -> None:
        sent = command(
            *members, npc_id=npc_id, offset=offset, observed_at=observed_at, reason=reason
        )
        self.loop.submit(
            sent, lambda: self.events.append(("done", sent.command_id)), offset, own_offset
        )

    def hold(self, npc_id: str) -> None:
        self.gates[npc_id] = asyncio.Event()

    def release(self, npc_id: str) -> None:
        self.gates.pop(npc_id).set()

    def outcomes(self) -> list[tuple[str, str]]:
        return [(told.command_id, str(told.outcome)) for told in self.results]

    def lines(self) -> list[dict[str, Any]]:
        return [call.kwargs | {"level": call.method_name} for call in self.logger.calls]


@pytest.fixture
async def scene() -> Scene:
    return Scene()


async def test_a_command_is_done_once_its_result_is_published(scene: Scene) -> None:
    scene.submit("npc-1", ALICE)
    await quiet()

    assert scene.events == [("published", "npc-1@10"), ("done", "npc-1@10")]
    (told,) = scene.results
    assert (told.outcome, told.calls, told.attempts) == (Outcome.APPLIED, 1, 1)


async def test_one_line_is_logged_per_command_and_none_of_its_text(scene: Scene) -> None:
    scene.submit("npc-1", ALICE)
    await quiet()

    (line,) = scene.lines()
    assert line == {
        "event": "command_finished", "level": "info", "npc_id": "npc-1", "reason": "members",
        "outcome": "applied", "calls": 1, "blocks": [], "conflicts": 0, "attempts": 1,
        "seconds": 0.0,
    }  # fmt: skip


async def test_newer_commands_supersede_those_that_wait(scene: Scene) -> None:
    scene.hold("npc-1")
    for offset in (10, 11, 12, 13):
        scene.submit("npc-1", ALICE, offset=offset)
        await quiet()
    assert scene.outcomes() == [("npc-1@11", "superseded"), ("npc-1@12", "superseded")]
    scene.release("npc-1")
    await quiet()

    assert scene.outcomes()[2:] == [("npc-1@10", "applied"), ("npc-1@13", "applied")]
    assert [offset for _, offset, _ in scene.updates] == [10, 13]
    assert [what for what, _ in scene.events].count("done") == 4


async def test_a_late_older_command_is_outdated_without_a_request(scene: Scene) -> None:
    scene.submit("npc-1", ALICE, offset=20, observed_at=NOON)
    await quiet()
    scene.submit("npc-1", BOB, offset=15, observed_at=NOON - 9)
    await quiet()

    assert scene.outcomes() == [("npc-1@20", "applied"), ("npc-1@15", "outdated")]
    assert len(scene.updates) == 1
    assert scene.results[1].calls == 0


async def test_of_two_commands_of_one_record_the_one_sent_later_counts(scene: Scene) -> None:
    scene.submit("npc-1", ALICE, offset=20, own_offset=8)
    await quiet()
    scene.submit("npc-1", BOB, offset=20, own_offset=7)
    await quiet()

    assert ["applied", "outdated"] == [outcome for _, outcome in scene.outcomes()]


async def test_an_older_command_never_takes_the_place_of_a_newer_one_that_waits(
    scene: Scene,
) -> None:
    scene.hold("npc-1")
    scene.submit("npc-1", offset=10)
    scene.submit("npc-1", offset=20)
    scene.submit("npc-1", offset=15, observed_at=NOON - 1)
    await quiet()
    scene.release("npc-1")
    await quiet()

    assert [offset for _, offset, _ in scene.updates] == [10, 20]


async def test_no_more_npcs_are_written_at_once_than_allowed() -> None:
    scene = Scene(concurrency=3)
    for number in range(9):
        scene.hold(f"npc-{number}")
        scene.submit(f"npc-{number}")
    await quiet()
    assert scene.loop.standing().active == 3
    for number in range(9):
        scene.release(f"npc-{number}")
    await quiet()

    assert scene.most == 3
    assert len(scene.results) == 9


async def test_the_urgent_go_first() -> None:
    scene = Scene(concurrency=1)
    scene.hold("first")
    scene.submit("first")
    for reason in (Reason.FORCE_REFRESH, Reason.PROFILE, Reason.MEMBERS, Reason.LOCATION):
        scene.submit(f"npc-{reason}", reason=reason)
    scene.release("first")
    await quiet()

    assert [npc_id for npc_id, _, _ in scene.updates][1:] == [
        "npc-members", "npc-location", "npc-profile", "npc-force_refresh",
    ]  # fmt: skip


async def test_an_npc_with_a_player_goes_before_npcs_among_themselves() -> None:
    scene = Scene(concurrency=1)
    scene.hold("first")
    scene.submit("first")
    scene.submit("alone", reason=Reason.MEMBERS)
    scene.submit("watched", ALICE, reason=Reason.ACTION)
    scene.release("first")
    await quiet()

    assert ["watched", "alone"] == [npc_id for npc_id, _, _ in scene.updates][1:]


async def begun_together(scene: Scene, *npc_ids: str) -> None:
    """Submits them at one time, and lets that pass in which they are written."""
    for npc_id in npc_ids:
        scene.hold(npc_id)
        scene.submit(npc_id)
    await quiet()


async def test_those_who_wait_begin_together_when_the_last_before_them_has_ended() -> None:
    scene = Scene(concurrency=2)
    await begun_together(scene, "a", "b", "c", "d")
    await scene.clock.advance(0.1)
    scene.release("a")
    await quiet()
    assert ["a", "b"] == [npc_id for npc_id, _, _ in scene.updates]

    scene.release("b")
    await quiet()

    assert ["a", "b", "c", "d"] == [npc_id for npc_id, _, _ in scene.updates]


async def test_who_hangs_does_not_hold_back_those_who_wait() -> None:
    scene = Scene(concurrency=2)
    await begun_together(scene, "hangs", "b", "c", "d")
    await scene.clock.advance(0.1)
    scene.release("b")
    await quiet()
    assert 2 == len(scene.updates)

    await scene.clock.advance(0.2)

    assert ["hangs", "b", "c"] == [npc_id for npc_id, _, _ in scene.updates]


async def test_one_who_comes_while_few_wait_begins_at_once() -> None:
    scene = Scene(concurrency=3)
    await begun_together(scene, "a", "b", "c", "d")
    await scene.clock.advance(0.1)
    scene.release("a")
    await quiet()

    assert ["a", "b", "c", "d"] == [npc_id for npc_id, _, _ in scene.updates]


async def test_a_refresh_right_after_a_verification_asks_letta_for_nothing(scene: Scene) -> None:
    scene.answers["npc-1"] = Outcome.UNCHANGED
    scene.submit("npc-1", ALICE, offset=10, reason=Reason.VERIFY)
    await quiet()

    scene.submit("npc-1", ALICE, offset=11, reason=Reason.FORCE_REFRESH)
    await quiet()

    assert [("npc-1@10", "unchanged"), ("npc-1@11", "unchanged")] == scene.outcomes()
    assert 1 == len(scene.updates)
    assert 0 == scene.results[1].calls
    assert 2 == [what for what, _ in scene.events].count("done")


async def test_a_refresh_is_not_spared_while_something_newer_waits() -> None:
    scene = Scene(concurrency=1)
    scene.answers["npc-1"] = Outcome.UNCHANGED
    scene.submit("npc-1", ALICE, offset=10, reason=Reason.VERIFY)
    await quiet()
    scene.hold("busy")
    scene.submit("busy")
    scene.submit("npc-1", BOB, offset=11)
    scene.submit("npc-1", ALICE, offset=12, reason=Reason.STALE)
    scene.release("busy")
    await quiet()

    assert ("npc-1", 12, "agent-1") == scene.updates[-1]


async def test_a_group_that_goes_back_and_forth_is_held_while_others_wait() -> None:
    scene = Scene(concurrency=1)
    scene.submit("flapping", offset=1)
    await quiet()
    scene.submit("flapping", ALICE, offset=2)
    await quiet()
    scene.hold("busy")
    scene.submit("busy")
    scene.submit("patient", reason=Reason.STALE)
    await scene.clock.advance(6.0)

    scene.submit("flapping", offset=3)
    scene.release("busy")
    await quiet()
    assert ["busy", "patient"] == [npc_id for npc_id, _, _ in scene.updates][2:]
    await scene.clock.advance(2.0)

    assert ("flapping", 3, "agent-1") == scene.updates[-1]


async def test_a_failing_npc_waits_longer_each_time_and_holds_up_nobody(scene: Scene) -> None:
    scene.answers["bad"] = TemporaryError("Letta answered 500 to a read")
    scene.submit("bad")
    await quiet()
    for second in range(7):
        scene.submit("good", offset=second, observed_at=NOON + second)
        await scene.clock.advance(1.0)
    assert [npc_id for npc_id, _, _ in scene.updates].count("bad") == 4  # at 0, 1, 3 and 7 s
    assert [npc_id for npc_id, _, _ in scene.updates].count("good") == 7
    assert ("bad@10", "failed") not in scene.outcomes()

    del scene.answers["bad"]
    await scene.clock.advance(8.0)

    (told,) = (told for told in scene.results if told.npc_id == "bad")
    assert (told.outcome, told.attempts, told.calls) == (Outcome.APPLIED, 5, 5)


async def test_letta_may_ask_for_a_longer_wait(scene: Scene) -> None:
    scene.answers["npc-1"] = TemporaryError("busy", delay=20.0)
    scene.submit("npc-1")
    await scene.clock.advance(19.0)
    assert len(scene.updates) == 1

    await scene.clock.advance(1.0)

    assert len(scene.updates) == 2


async def test_a_newer_command_supersedes_one_that_keeps_failing(scene: Scene) -> None:
    scene.answers["npc-1"] = TemporaryError("busy")
    scene.submit("npc-1", offset=10)
    await quiet()
    scene.submit("npc-1", offset=11)
    await quiet()
    assert scene.outcomes() == [("npc-1@10", "superseded")]
    scene.hold("npc-1")
    await scene.clock.advance(1.0)
    scene.submit("npc-1", offset=12)
    scene.release("npc-1")
    await quiet()

    assert scene.outcomes()[1:] == [("npc-1@11", "superseded")]


async def test_what_letta_refuses_for_good_fails_with_the_reason(scene: Scene) -> None:
    scene.answers["npc-1"] = PermanentError("Letta answered 422 to a write")
    scene.submit("npc-1")
    await scene.clock.advance(100.0)

    (told,) = scene.results
    assert (told.outcome, told.error) == (Outcome.FAILED, "Letta answered 422 to a write")
    assert scene.events[-1] == ("done", "npc-1@10")
    assert len(scene.updates) == 1


async def test_a_fault_of_our_own_fails_one_command_and_quotes_nothing(scene: Scene) -> None:
    scene.answers["npc-1"] = KeyError("the diary of Greta")
    scene.submit("npc-1")
    scene.submit("npc-2")
    await quiet()

    assert scene.outcomes() == [("npc-1@10", "failed"), ("npc-2@10", "applied")]
    assert (scene.results[0].error or "").startswith("a fault of the writer: KeyError in answer:")
    assert "diary" not in str(scene.lines())


async def test_a_result_the_broker_does_not_take_is_sent_again_before_done(scene: Scene) -> None:
    scene.publish_failures = 2
    scene.submit("npc-1")
    await scene.clock.advance(0.9)
    assert scene.events == []
    assert scene.loop.standing().unannounced == 1

    await scene.clock.advance(1.2)

    assert scene.events == [("published", "npc-1@10"), ("done", "npc-1@10")]
    assert scene.loop.standing() == (0, 0, 0, 0)


# -- agents ----------------------------------------------------------------------------------------


async def test_without_a_roster_entry_the_agent_is_found_by_its_tag_and_remembered(
    scene: Scene,
) -> None:
    scene.roster["npc-1"] = None
    scene.tagged["npc-1"] = "agent-tagged"
    for offset in (10, 11):
        scene.submit("npc-1", offset=offset)
        await quiet()

    assert [agent_id for _, _, agent_id in scene.updates] == ["agent-tagged"] * 2
    assert scene.looks == [["npc-1"]]


async def test_an_agent_made_anew_is_found_after_a_404(scene: Scene) -> None:
    scene.roster["npc-1"] = None
    scene.tagged["npc-1"] = "agent-old"
    scene.submit("npc-1", offset=10)
    await quiet()
    scene.tagged["npc-1"] = "agent-new"
    scene.answers["npc-1"] = lambda agent_id: (
        AgentMissingError("404") if agent_id == "agent-old" else Outcome.APPLIED
    )

    scene.submit("npc-1", offset=11)
    await quiet()

    assert scene.outcomes()[-1] == ("npc-1@11", "applied")
    assert scene.updates[-1] == ("npc-1", 11, "agent-new")


async def test_a_roster_agent_letta_does_not_know_is_passed_over_until_the_roster_changes(
    scene: Scene,
) -> None:
    scene.roster["npc-1"] = "agent-wrong"
    scene.tagged["npc-1"] = "agent-tagged"
    scene.answers["npc-1"] = lambda agent_id: (
        AgentMissingError("404") if agent_id == "agent-wrong" else Outcome.APPLIED
    )
    for offset in (10, 11):
        scene.submit("npc-1", offset=offset)
        await quiet()
    assert [agent_id for _, _, agent_id in scene.updates] == [
        "agent-wrong", "agent-tagged", "agent-tagged",
    ]  # fmt: skip
    scene.roster["npc-1"] = "agent-right"
    scene.loop.wake("npc-1")

    scene.submit("npc-1", offset=12)
    await quiet()

    assert scene.updates[-1] == ("npc-1", 12, "agent-right")


async def test_an_npc_without_an_agent_is_parked_durably_before_it_is_done(scene: Scene) -> None:
    scene.roster["npc-1"] = None
    scene.submit("npc-1")
    await quiet()

    assert scene.events == [
        ("parked", "npc-1@10"),
        ("published", "npc-1@10"),
        ("done", "npc-1@10"),
    ]
    (told,) = scene.results
    assert told.outcome is Outcome.FAILED
    assert (told.error or "").startswith("parked: ")
    assert scene.loop.standing() == (0, 0, 1, 0)


async def test_a_parked_npc_is_written_once_its_agent_appears(scene: Scene) -> None:
    scene.roster["npc-1"] = None
    scene.submit("npc-1")
    await scene.clock.advance(25.0)
    assert len(scene.looks) == 3
    scene.tagged["npc-1"] = "agent-late"

    await scene.clock.advance(10.0)

    assert scene.outcomes() == [("npc-1@10", "failed"), ("npc-1@10", "applied")]
    assert scene.events[-2:] == [("published", "npc-1@10"), ("unparked", "npc-1")]
    assert [what for what, _ in scene.events].count("done") == 1
    assert scene.parked == {}
    await scene.clock.advance(60.0)
    assert len(scene.looks) == 4


async def test_more_commands_for_a_parked_npc_cost_no_requests_and_the_newest_counts(
    scene: Scene,
) -> None:
    scene.roster["npc-1"] = None
    for offset in range(10, 15):
        scene.submit("npc-1", offset=offset)
        await scene.clock.advance(1.0)
    assert len(scene.looks) == 1
    assert len(scene.results) == 5
    scene.tagged["npc-1"] = "agent-late"

    await scene.clock.advance(11.0)

    assert scene.updates == [("npc-1", 14, "agent-late")]
    assert scene.parked == {}


async def test_a_change_of_the_roster_wakes_a_parked_npc_at_once(scene: Scene) -> None:
    scene.roster["npc-1"] = None
    scene.submit("npc-1")
    await quiet()
    scene.roster["npc-1"] = "agent-5"

    scene.loop.wake("npc-1")
    await quiet()

    assert scene.updates == [("npc-1", 10, "agent-5")]
    assert scene.parked == {}


async def test_what_was_parked_before_a_restart_is_taken_up(scene: Scene) -> None:
    scene.parked["npc-1"] = parked = command(ALICE, npc_id="npc-1")
    scene.roster["npc-1"] = None
    scene.tagged["npc-1"] = "agent-9"

    scene.loop.restore(parked)
    await quiet()

    assert scene.outcomes() == [("npc-1@10", "applied")]
    assert scene.parked == {}


async def test_many_parked_npcs_are_looked_for_in_batches_that_hold_up_nobody(scene: Scene) -> None:
    for number in range(60):
        scene.roster[f"npc-{number}"] = None
        scene.submit(f"npc-{number}")
    await quiet()
    scene.looks.clear()
    await scene.clock.advance(10.0)
    assert [len(look) for look in scene.looks] == [25]
    scene.submit("other")
    await quiet()
    assert scene.updates == [("other", 10, "agent-1")]

    await scene.clock.advance(0.5)

    assert [len(look) for look in scene.looks] == [25, 25, 10]
    assert len({npc_id for look in scene.looks for npc_id in look}) == 60
    await scene.clock.advance(9.0)
    assert len(scene.looks) == 3


async def test_a_look_that_fails_is_repeated_an_interval_later(scene: Scene) -> None:
    scene.roster["npc-1"] = None
    scene.submit("npc-1")
    await quiet()
    scene.looks.clear()
    scene.look_error = TemporaryError("no connection")
    await scene.clock.advance(11.0)
    scene.look_error, scene.tagged["npc-1"] = None, "agent-3"

    await scene.clock.advance(10.0)

    assert len(scene.looks) == 2
    assert scene.outcomes()[-1] == ("npc-1@10", "applied")


async def test_a_command_parked_meanwhile_survives_the_result_of_an_older_one(scene: Scene) -> None:
    scene.publish_failures = 1
    scene.submit("npc-1", offset=10)
    await quiet()
    scene.roster["npc-1"], scene.answers["npc-1"] = None, AgentMissingError("404")
    scene.submit("npc-1", offset=11)

    await scene.clock.advance(2.0)

    assert scene.parked["npc-1"].source.offset == 11
    assert scene.loop.standing().parked == 1


async def test_a_command_that_cannot_be_parked_is_tried_again(scene: Scene) -> None:
    scene.roster["npc-1"] = None
    scene.park_failures = 1
    scene.submit("npc-1")
    await quiet()
    assert scene.results == []

    await scene.clock.advance(1.0)

    assert scene.results[0].outcome is Outcome.FAILED
    assert "npc-1" in scene.parked


# -- refused ---------------------------------------------------------------------------------------


async def test_a_refused_command_is_given_up_and_parked_before_it_is_done(scene: Scene) -> None:
    scene.answers["npc-1"] = PermanentError("422")
    scene.submit("npc-1", offset=10)
    await quiet()

    assert scene.events == [
        ("parked", "npc-1@10"),
        ("published", "npc-1@10"),
        ("done", "npc-1@10"),
    ]
    assert scene.given_up == [("npc-1@10", "422", 10)]
    assert scene.loop.standing() == (0, 0, 1, 0)


async def test_nobody_looks_for_the_agent_of_a_refused_npc(scene: Scene) -> None:
    scene.answers["npc-1"] = PermanentError("422")
    scene.submit("npc-1")

    await scene.clock.advance(1000.0)

    assert scene.looks == []
    assert len(scene.updates) == 1


async def test_a_refused_npc_is_tried_again_when_its_roster_entry_changes(scene: Scene) -> None:
    scene.answers["npc-1"] = PermanentError("422")
    scene.submit("npc-1")
    await quiet()
    del scene.answers["npc-1"]

    scene.loop.wake("npc-1")
    await quiet()

    assert scene.outcomes() == [("npc-1@10", "failed"), ("npc-1@10", "applied")]
    assert scene.parked == {}
    assert [what for what, _ in scene.events].count("done") == 1


async def test_a_refused_npc_is_tried_again_with_its_next_command(scene: Scene) -> None:
    scene.answers["npc-1"] = PermanentError("422")
    scene.submit("npc-1", offset=10)
    await quiet()
    del scene.answers["npc-1"]

    scene.submit("npc-1", offset=11)
    await quiet()

    assert scene.outcomes() == [("npc-1@10", "failed"), ("npc-1@11", "applied")]
    assert scene.parked == {}


async def test_a_refused_npc_known_by_its_tag_is_looked_for_with_its_next_command(
    scene: Scene,
) -> None:
    scene.roster["npc-1"], scene.tagged["npc-1"] = None, "agent-7"
    scene.answers["npc-1"] = PermanentError("422")
    scene.submit("npc-1", offset=10)
    await quiet()
    scene.loop.wake("npc-1")
    await quiet()
    del scene.answers["npc-1"]

    scene.submit("npc-1", offset=11)
    await quiet()

    assert scene.updates[-1] == ("npc-1", 11, "agent-7")
    assert scene.parked == {}


async def test_a_second_refusal_of_the_same_command_is_no_second_dead_letter(scene: Scene) -> None:
    scene.answers["npc-1"] = PermanentError("422")
    scene.submit("npc-1")
    await quiet()

    scene.loop.wake("npc-1")
    await quiet()

    assert len(scene.updates) == 2
    assert len(scene.given_up) == len(scene.results) == 1
    assert "npc-1" in scene.parked


async def test_what_cannot_be_given_up_is_tried_again(scene: Scene) -> None:
    scene.answers["npc-1"], scene.park_failures = PermanentError("422"), 1
    scene.submit("npc-1")
    await quiet()
    assert scene.results == []

    await scene.clock.advance(1.0)

    assert scene.outcomes() == [("npc-1@10", "failed")]
    assert len(scene.given_up) == 1


# -- an outage of Letta ----------------------------------------------------------------------------


def away(scene: Scene, npcs: int, answer: Answer | None = None) -> None:
    for number in range(npcs):
        scene.answers[f"npc-{number}"] = answer or TemporaryError("no connection")


async def test_in_an_outage_nobody_asks_but_a_probe_now_and_then() -> None:
    scene = Scene(concurrency=4, failures=5)
    away(scene, npcs=50)
    for number in range(50):
        scene.submit(f"npc-{number}")

    await scene.clock.advance(100.0)

    assert scene.loop.breaker_state is BreakerState.OPEN
    assert len(scene.updates) <= 5 + 3 + 3 + 100 / 5
    assert scene.results == []


async def test_an_outage_that_ends_ends_for_all_within_seconds_and_without_a_herd() -> None:
    scene = Scene(concurrency=4, failures=5)
    away(scene, npcs=50)
    for number in range(50):
        scene.submit(f"npc-{number}")
    await scene.clock.advance(100.0)
    scene.answers.clear()
    scene.most = 0
    for number in range(50):
        scene.hold(f"npc-{number}")

    await scene.clock.advance(5.0)

    at_once = []
    while scene.gates:
        at_once.append(len(scene.running))
        for npc_id in list(scene.running):
            scene.release(npc_id)
        await quiet()
    assert at_once[:2] == [1, 2]
    assert scene.most == 4
    assert {outcome for _, outcome in scene.outcomes()} == {"applied"}
    assert scene.loop.breaker_state is BreakerState.CLOSED
    assert [line["event"] for line in scene.lines() if "breaker" in line["event"]] == [
        "breaker_opened", "breaker_closed",
    ]  # fmt: skip


@pytest.mark.parametrize("then", [Outcome.APPLIED, PermanentError("422")])
async def test_after_a_long_outage_nobody_sits_out_the_wait_of_past_failures(then: Answer) -> None:
    scene = Scene(failures=5)
    away(scene, npcs=6)
    for number in range(6):
        scene.submit(f"npc-{number}")
    await scene.clock.advance(400.0)
    assert scene.results == []

    away(scene, npcs=6, answer=then)
    await scene.clock.advance(5.0)

    assert len(scene.results) == 6
    assert scene.loop.breaker_state is BreakerState.CLOSED


async def test_a_few_npcs_open_no_breaker_and_are_back_with_their_own_backoff() -> None:
    scene = Scene(failures=5)
    away(scene, npcs=2)
    scene.submit("npc-0")
    scene.submit("npc-1")
    await scene.clock.advance(20.0)

    assert scene.loop.breaker_state is BreakerState.CLOSED


async def test_a_pause_that_letta_asks_one_for_holds_for_all() -> None:
    scene = Scene()
    scene.answers["npc-0"] = TemporaryError("429", delay=20.0)
    scene.submit("npc-0")
    await quiet()
    for number in range(1, 9):
        scene.submit(f"npc-{number}")
    await scene.clock.advance(19.9)
    assert len(scene.updates) == 1
    scene.answers.clear()

    await scene.clock.advance(0.2)

    assert len(scene.results) == 9


async def test_conflicts_of_many_npcs_are_no_outage() -> None:
    scene = Scene(failures=3)
    away(scene, 9, ConflictError("somebody else wrote"))
    for number in range(9):
        scene.submit(f"npc-{number}")
    await quiet()

    assert scene.loop.breaker_state is BreakerState.CLOSED


async def test_refusals_of_many_npcs_are_no_outage() -> None:
    scene = Scene(failures=3)
    away(scene, 9, PermanentError("422"))
    for number in range(9):
        scene.submit(f"npc-{number}")
    await quiet()

    assert len(scene.results) == 9


async def test_nobody_looks_for_agents_during_an_outage() -> None:
    scene = Scene(failures=3)
    scene.roster["lost"] = None
    scene.submit("lost")
    await quiet()
    away(scene, npcs=9)
    for number in range(9):
        scene.submit(f"npc-{number}")
    await quiet()
    scene.looks.clear()

    scene.look_error = TemporaryError("no connection")
    await scene.clock.advance(60.0)

    assert len(scene.looks) + len(scene.updates) <= 3 + 2 + 60 / 5 + 4


async def test_a_look_serves_as_the_probe_where_nothing_else_waits() -> None:
    scene = Scene(failures=1)
    scene.roster["lost"] = None
    scene.submit("lost")
    await quiet()
    scene.look_error = TemporaryError("no connection")
    await scene.clock.advance(11.0)
    assert scene.loop.breaker_state is not BreakerState.CLOSED
    scene.look_error, scene.tagged["lost"] = None, "agent-1"

    await scene.clock.advance(12.0)

    assert scene.outcomes()[-1] == ("lost@10", "applied")


# -- the end ---------------------------------------------------------------------------------------


async def test_stopping_finishes_what_has_begun_and_begins_nothing() -> None:
    scene = Scene(concurrency=1)
    scene.hold("npc-1")
    scene.submit("npc-1")
    scene.submit("npc-2")
    await quiet()
    stopping = asyncio.create_task(scene.loop.stop(5.0))
    await quiet()
    scene.submit("npc-3")
    scene.release("npc-1")

    left = await stopping

    assert scene.outcomes() == [("npc-1@10", "applied")]
    assert left == 1


async def test_stopping_gives_up_what_does_not_end(scene: Scene) -> None:
    scene.hold("npc-1")
    scene.submit("npc-1")
    await quiet()

    left = await scene.loop.stop(0.0)

    assert left == 1
    assert scene.events == []
    assert scene.running == set()


async def test_stopping_gives_up_results_the_broker_does_not_take(scene: Scene) -> None:
    scene.publish_failures = 100
    scene.submit("npc-1")
    await quiet()

    assert await scene.loop.stop(0.0) == 1
    assert scene.events == []


async def test_npcs_of_another_worker_are_forgotten_without_a_result() -> None:
    scene = Scene(concurrency=1)
    scene.hold("npc-1")
    scene.roster["npc-3"] = None
    scene.submit("npc-3")
    await quiet()
    for npc_id in ("npc-1", "npc-2", "npc-4"):
        scene.submit(npc_id)
    await quiet()
    scene.results.clear()

    scene.loop.withdraw(lambda npc_id: npc_id == "npc-4")
    scene.release("npc-1")
    await scene.clock.advance(60.0)

    assert scene.outcomes() == [("npc-1@10", "applied"), ("npc-4@10", "applied")]
    assert scene.loop.standing() == (0, 0, 0, 0)


async def test_a_partition_that_comes_back_may_bring_its_commands_again() -> None:
    scene = Scene(concurrency=1)
    scene.hold("busy")
    scene.submit("busy")
    scene.submit("npc-1", offset=20)
    scene.loop.withdraw(lambda npc_id: npc_id == "busy")

    scene.submit("npc-1", offset=10)
    scene.submit("npc-1", offset=20)
    scene.release("busy")
    await quiet()

    assert scene.updates[1:] == [("npc-1", 20, "agent-1")]


async def test_a_storm_of_commands_costs_no_more_than_two_writes_an_npc() -> None:
    scene = Scene(concurrency=4)
    for number in range(50):
        scene.hold(f"npc-{number}")
    for offset in range(40):
        for number in range(50):
            scene.submit(f"npc-{number}", offset=offset, observed_at=NOON + offset)
    await quiet()
    for number in range(50):
        scene.release(f"npc-{number}")
    for _ in range(40):
        await quiet()

    assert len(scene.results) == 2000
    assert len(scene.updates) <= 54
    newest = {npc_id: offset for npc_id, offset, _ in scene.updates}
    assert set(newest.values()) == {39}
    assert [what for what, _ in scene.events].count("done") == 2000


# -- runs of agents --------------------------------------------------------------------------------


def running(number: int = 1, agent_id: str = "agent-1", *, is_active: bool = True) -> AgentRun:
    return AgentRun(id=f"run-{number}", agent_id=agent_id, is_active=is_active)


async def test_an_npc_whose_agent_has_a_run_waits_for_the_end_of_it(scene: Scene) -> None:
    scene.listed_runs = [running()]
    scene.submit("npc-1")
    await scene.clock.advance(3.0)
    assert scene.updates == []

    scene.listed_runs = [running(is_active=False)]
    await scene.clock.advance(1.0)

    assert scene.outcomes() == [("npc-1@10", "applied")]
    assert scene.results[0].attempts == 1


async def test_a_run_that_does_not_end_holds_an_npc_up_for_so_long_and_no_longer(
    scene: Scene,
) -> None:
    scene.listed_runs = [running()]
    scene.submit("npc-1", offset=10)
    await scene.clock.advance(6.0)
    scene.submit("npc-1", offset=11)

    await scene.clock.advance(5.0)

    assert scene.updates == [("npc-1", 11, "agent-1")]


async def test_the_run_of_one_agent_holds_up_no_other_npc(scene: Scene) -> None:
    scene.roster["npc-2"] = "agent-2"
    scene.listed_runs = [running()]
    scene.submit("npc-1")
    scene.submit("npc-2")

    await quiet()

    assert scene.updates == [("npc-2", 10, "agent-2")]


async def test_one_look_at_the_runs_serves_every_npc(scene: Scene) -> None:
    for number in range(20):
        scene.submit(f"npc-{number}")

    await quiet()

    assert len(scene.updates) == 20
    assert scene.runs_asked == 1


async def test_a_letta_that_does_not_list_its_runs_holds_up_nobody(scene: Scene) -> None:
    scene.runs_error = PermanentError("404")
    scene.submit("npc-1")
    scene.submit("npc-2")

    await quiet()

    assert len(scene.updates) == 2
    assert scene.runs_asked == 1


async def test_a_look_at_the_runs_that_fails_holds_up_nobody(scene: Scene) -> None:
    scene.runs_error = TemporaryError("500")
    for number in range(10):
        scene.submit(f"npc-{number}")

    await quiet()

    assert len(scene.updates) == 10
    assert scene.runs_asked == 1


async def test_where_the_runs_cannot_be_had_for_long_every_write_is_looked_after(
    scene: Scene,
) -> None:
    scene.runs_error = TemporaryError("500")
    scene.submit("npc-1")
    await quiet()
    scene.answers["npc-1"] = Outcome.REPAIRED

    await scene.clock.advance(60.0)

    assert ("npc-1@10", "repaired") in scene.outcomes()


async def test_the_patience_with_an_old_run_is_not_spent_for_the_next_one(scene: Scene) -> None:
    scene.listed_runs = [running(1)]
    scene.submit("npc-1", offset=10)
    await scene.clock.advance(12.0)
    assert len(scene.updates) == 1
    scene.listed_runs = [running(2), running(1, is_active=False)]
    await scene.clock.advance(300.0)
    looked = len(scene.updates)

    scene.submit("npc-1", offset=11)
    await scene.clock.advance(3.0)

    assert 11 not in [offset for _, offset, _ in scene.updates[looked:]]


async def test_a_write_in_doubt_is_looked_after_though_a_newer_command_came(scene: Scene) -> None:
    scene.answers["npc-1"], scene.leaves_doubt = TemporaryError("no answer"), True
    scene.submit("npc-1", offset=10)
    await quiet()
    scene.leaves_doubt = False
    del scene.answers["npc-1"]
    await scene.clock.advance(2.0)
    scene.submit("npc-1", offset=11)
    await quiet()
    scene.answers["npc-1"] = Outcome.REPAIRED

    await scene.clock.advance(6.0)

    assert ("npc-1@11", "repaired") in scene.outcomes()


async def test_what_a_run_reverted_is_repaired_and_told(scene: Scene) -> None:
    scene.submit("npc-1")
    await quiet()
    scene.listed_runs = [running(is_active=False)]
    scene.answers["npc-1"] = Outcome.REPAIRED

    await scene.clock.advance(5.0)

    assert scene.outcomes() == [("npc-1@10", "applied"), ("npc-1@10", "repaired")]
    assert Reason.VERIFY is scene.results[1].reason
    assert [what for what, _ in scene.events].count("done") == 1


async def test_a_look_that_finds_nothing_reverted_says_nothing(scene: Scene) -> None:
    scene.submit("npc-1")
    await quiet()
    scene.listed_runs = [running(is_active=False)]
    scene.answers["npc-1"] = Outcome.UNCHANGED

    await scene.clock.advance(60.0)

    assert len(scene.updates) == 2
    assert scene.outcomes() == [("npc-1@10", "applied")]


async def test_a_write_that_no_run_can_have_reverted_costs_no_read(scene: Scene) -> None:
    scene.submit("npc-1")

    await scene.clock.advance(60.0)

    assert len(scene.updates) == 1
    assert scene.runs_asked == 2


async def test_a_newer_command_takes_the_place_of_a_look(scene: Scene) -> None:
    scene.submit("npc-1", offset=10)
    await quiet()
    scene.listed_runs = [running(is_active=False)]
    await scene.clock.advance(4.0)
    scene.answers["npc-1"] = Outcome.UNCHANGED
    scene.submit("npc-1", offset=11)

    await scene.clock.advance(20.0)

    assert [10, 11] == [offset for _, offset, _ in scene.updates]


async def test_a_look_that_fails_for_good_parks_nobody(scene: Scene) -> None:
    scene.submit("npc-1")
    await quiet()
    scene.listed_runs = [running(is_active=False)]
    scene.answers["npc-1"] = PermanentError("422")

    await scene.clock.advance(20.0)

    assert scene.parked == {}
    assert scene.outcomes() == [("npc-1@10", "applied")]


async def test_looks_after_writes_wait_while_letta_is_away(scene: Scene) -> None:
    scene.submit("npc-1")
    await quiet()
    scene.runs_error = TemporaryError("no connection")

    await scene.clock.advance(10.0)
    asked = scene.runs_asked
    scene.runs_error, scene.listed_runs = None, [running(is_active=False)]
    scene.answers["npc-1"] = Outcome.REPAIRED
    await scene.clock.advance(2.0)

    assert asked <= 8
    assert scene.outcomes()[-1] == ("npc-1@10", "repaired")


async def test_an_npc_that_is_another_workers_now_is_not_looked_at(scene: Scene) -> None:
    scene.submit("npc-1")
    await quiet()
    scene.listed_runs = [running(is_active=False)]

    scene.loop.withdraw(lambda _: False)
    await scene.clock.advance(20.0)

    assert len(scene.updates) == 1


async def test_an_npc_is_looked_at_after_a_write_that_was_given_up_without_an_answer(
    scene: Scene,
) -> None:
    scene.answers["npc-1"], scene.leaves_doubt = TemporaryError("no answer"), True
    scene.submit("npc-1", offset=10)
    await quiet()
    scene.answers["npc-1"], scene.leaves_doubt = Outcome.UNCHANGED, False
    scene.submit("npc-1", offset=11)
    await scene.clock.advance(2.0)
    scene.answers["npc-1"] = Outcome.REPAIRED

    await scene.clock.advance(5.0)

    assert scene.outcomes()[-1] == ("npc-1@11", "repaired")


async def test_what_failed_is_not_tried_again_once_the_npc_is_another_workers(scene: Scene) -> None:
    scene.hold("npc-1")
    scene.answers["npc-1"] = TemporaryError("503")
    scene.submit("npc-1")
    await quiet()
    scene.loop.withdraw(lambda _: False)
    scene.release("npc-1")

    await scene.clock.advance(100.0)

    assert len(scene.updates) == 1
    assert scene.loop.standing() == (0, 0, 0, 0)


async def test_an_npc_that_waits_for_a_run_is_let_go_once_it_is_another_workers(
    scene: Scene,
) -> None:
    scene.listed_runs = [running()]
    scene.submit("npc-1")
    await quiet()
    scene.loop.withdraw(lambda _: False)
    scene.listed_runs = []

    await scene.clock.advance(100.0)

    assert scene.updates == []


async def test_a_command_that_took_the_place_of_another_knows_of_rivals(scene: Scene) -> None:
    scene.hold("npc-1")
    scene.submit("npc-1", offset=10)
    await quiet()
    scene.submit("npc-1", offset=11)
    scene.submit("npc-1", offset=12)
    await quiet()
    scene.release("npc-1")

    await quiet()

    assert [False, True] == scene.rivals
