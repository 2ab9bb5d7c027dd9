from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streams.writer.queue import EVERY, Backoff, WorkQueue

STEADY = Backoff(first=1.0, longest=8.0, chance=lambda: 1.0)


def queue() -> WorkQueue[int]:
    return WorkQueue(STEADY)


def taken(work: WorkQueue[int], now: float = 0.0) -> list[str]:
    names = []
    while (item := work.take(now)) is not None:
        names.append(item[0])
    return names


def test_newer_work_takes_the_place_of_older() -> None:
    work = queue()
    assert work.put("a", 1, 0, now=0.0) is None

    assert work.put("a", 2, 0, now=0.0) == 1

    assert work.take(0.0) == ("a", 2)
    assert work.take(0.0) is None


def test_an_npc_is_worked_on_by_one_at_a_time() -> None:
    work = queue()
    work.put("a", 1, 0, now=0.0)
    work.take(0.0)
    work.put("a", 2, 0, now=0.0)

    assert work.take(0.0) is None
    work.finish("a", 0.0)

    assert work.take(0.0) == ("a", 2)


def test_an_old_place_in_the_queue_lets_nobody_in_twice() -> None:
    work = queue()
    work.put("a", 1, 1, now=0.0)
    work.put("a", 2, 0, now=0.0)
    work.take(0.0)
    work.put("a", 3, 1, now=0.0)

    assert work.take(0.0) is None


def test_the_more_urgent_goes_first() -> None:
    work = queue()
    for name, level in (("stale", 3), ("members", 0), ("location", 1)):
        work.put(name, 0, level, now=0.0)

    assert taken(work) == ["members", "location", "stale"]


def test_within_a_level_who_waits_longest_goes_first() -> None:
    work = queue()
    for at, name in enumerate(("first", "second", "third")):
        work.put(name, 0, 1, now=float(at))
    work.put("first", 0, 1, now=3.0)

    assert ["first", "second", "third"] == taken(work, now=3.0)


def test_one_turn_in_so_many_is_whose_wait_is_the_longest() -> None:
    work = queue()
    work.put("stale", 0, 6, now=0.0)
    for number in range(2 * EVERY):
        work.put(f"urgent-{number}", 0, 0, now=1.0)

    assert EVERY - 1 == taken(work, now=1.0).index("stale")


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 20), st.randoms(use_true_random=False))
def test_everybody_has_a_turn_within_so_many_for_each_who_waits(waiting: int, chance: Any) -> None:
    """However many more urgent ones keep coming."""
    work = queue()
    names = [f"npc-{number}" for number in range(waiting)]
    for name in names:
        work.put(name, 0, chance.randrange(12), now=0.0)
    work.put("last", 0, 11, now=0.0)

    for turn in range(EVERY * (waiting + 1)):
        work.put(chance.choice(names), 0, 0, now=1.0 + turn)
        item = work.take(1.0 + turn)
        assert item is not None
        if item[0] == "last":
            return
        work.finish(item[0], 1.0 + turn)

    raise AssertionError("starved")


def test_what_is_out_of_date_in_the_order_is_bounded() -> None:
    work = queue()
    work.put("patient", 0, 11, now=0.0)
    for turn in range(10_000):
        work.put("busy", 0, turn % 3, now=float(turn))
        work.put("busy", 0, 0, now=float(turn))
        if item := work.take(float(turn)):
            work.finish(item[0], float(turn))

    assert sum(map(len, work._orders.values())) < 100


def test_the_queue_tells_how_long_the_oldest_has_waited_and_how_many_wait_at_each_level() -> None:
    work = queue()
    work.put("a", 0, 3, now=1.0)
    work.put("b", 0, 0, now=5.0)

    assert 9.0 == work.age(10.0)
    assert {3: 1, 0: 1} == work.depths()


def test_an_npc_that_is_postponed_keeps_its_place() -> None:
    work = queue()
    work.put("postponed", 1, 0, now=0.0)
    work.take(0.0)
    work.postpone("postponed", 1, 0, now=0.0, seconds=1.0)
    work.put("later", 1, 0, now=0.5)

    assert ["postponed", "later"] == taken(work, now=1.0)


def test_newer_work_keeps_the_place_in_the_queue_and_may_improve_it() -> None:
    work = queue()
    work.put("a", 1, 3, now=0.0)
    work.put("b", 1, 1, now=0.0)

    work.put("a", 2, 0, now=1.0)
    work.put("b", 2, 4, now=1.0)

    assert taken(work, now=1.0) == ["a", "b"]


def test_failures_wait_longer_each_time_up_to_a_bound() -> None:
    work = queue()
    waits: list[float] = []
    now = 0.0
    work.put("a", 1, 0, now)
    for _ in range(6):
        work.take(now)
        work.retry("a", 1, 0, now)
        ready = work.next_ready(now)
        assert ready is not None
        waits.append(ready - now)
        assert work.take(ready - 0.01) is None
        now = ready

    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_a_failing_npc_holds_up_nobody() -> None:
    work = queue()
    work.put("bad", 1, 0, now=0.0)
    work.take(0.0)
    work.retry("bad", 1, 0, now=0.0)
    work.put("good", 1, 4, now=0.0)

    assert taken(work) == ["good"]


def test_the_other_side_may_ask_for_a_longer_wait() -> None:
    work = queue()
    work.put("a", 1, 0, now=0.0)
    work.take(0.0)
    work.retry("a", 1, 0, now=0.0, at_least=20.0)

    assert work.next_ready(0.0) == 20.0


def test_newer_work_waits_out_the_failure_of_the_older_and_replaces_it() -> None:
    work = queue()
    work.put("a", 1, 0, now=0.0)
    work.take(0.0)
    work.put("a", 2, 0, now=0.0)

    assert work.retry("a", 1, 0, now=0.0) == 1
    assert work.take(0.5) is None
    assert work.put("a", 3, 0, now=0.5) == 2
    assert work.take(0.5) is None
    assert work.take(1.0) == ("a", 3)


def test_a_probe_goes_before_its_wait_is_over_where_nobody_else_may() -> None:
    work = queue()
    for name in ("a", "b"):
        work.put(name, 1, 0, now=0.0)
        work.take(0.0)
        work.retry(name, 1, 0, now=0.0)
    work.put("fresh", 1, 0, now=0.5)

    assert [work.take_any(0.5) for _ in range(4)] == [("fresh", 1), ("a", 1), ("b", 1), None]


def test_what_is_postponed_waits_through_probes_and_the_end_of_an_outage() -> None:
    work = queue()
    for name in ("failed", "postponed"):
        work.put(name, 1, 0, now=0.0)
        work.take(0.0)
    work.retry("failed", 1, 0, now=0.0)
    work.postpone("postponed", 1, 0, now=0.0, seconds=3.0)

    probes = [work.take_any(0.1), work.take_any(0.1)]
    work.release(0.1)

    assert [("failed", 1), None] == probes
    assert [] == taken(work, 2.9)
    assert ["postponed"] == taken(work, 3.0)


def test_work_may_be_held_before_it_begins_and_newer_work_takes_its_place_meanwhile() -> None:
    work = queue()
    work.put("a", 1, 0, now=0.0, hold=2.0)
    older = work.put("a", 2, 0, now=1.0, hold=2.0)

    assert 1 == older
    assert [] == taken(work, now=1.9)
    assert ("a", 2) == work.take(2.0)


def test_nobody_is_held_who_is_worked_on() -> None:
    work = queue()
    work.put("a", 1, 0, now=0.0)
    work.take(0.0)
    work.put("a", 2, 0, now=0.0, hold=2.0)
    work.finish("a", 0.5)

    assert ("a", 2) == work.take(0.5)


def test_postponing_is_no_failure() -> None:
    work = queue()
    work.put("a", 1, 0, now=0.0)
    for now in (0.0, 1.0, 2.0):
        work.take(now)
        work.postpone("a", 1, 0, now=now, seconds=1.0)
    work.take(3.0)

    work.retry("a", 1, 0, now=3.0)

    assert 4.0 == work.next_ready(3.0)


def test_a_released_npc_may_begin_and_its_next_wait_is_no_shorter() -> None:
    work = queue()
    work.put("a", 1, 0, now=0.0)
    work.take(0.0)
    work.retry("a", 1, 0, now=0.0)

    work.release(0.1)
    assert taken(work, now=0.1) == ["a"]
    work.retry("a", 1, 0, now=0.1)

    assert work.next_ready(0.1) == 2.1


def test_success_forgets_the_failures() -> None:
    work = queue()
    work.put("a", 1, 0, now=0.0)
    for now in (0.0, 1.0, 3.0):
        work.take(now)
        work.retry("a", 1, 0, now)
    work.take(7.0)
    work.finish("a", 7.0)
    work.put("a", 2, 0, now=7.0)
    work.take(7.0)

    work.retry("a", 2, 0, now=7.0)

    assert work.next_ready(7.0) == 8.0


def test_withdrawn_work_is_returned_and_forgotten() -> None:
    work = queue()
    work.put("a", 1, 0, now=0.0)
    work.put("b", 2, 0, now=0.0)

    assert work.withdraw(["a", "unknown"]) == [1]
    assert taken(work) == ["b"]
    assert "a" not in work


@settings(deadline=None)
@given(st.integers(1, 10_000), st.floats(0, 1))
def test_no_wait_is_beyond_the_bounds(failures: int, luck: float) -> None:
    delay = Backoff(first=0.5, longest=30.0, chance=lambda: luck).delay(failures, None)

    assert 0.25 <= delay <= 30.0


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: newest work per NPC, nobody twice, nobody forgotten."""

    names = st.sampled_from("abcde")

    @initialize()
    def begin(self) -> None:
        self.work: WorkQueue[int] = WorkQueue(Backoff(chance=lambda: 0.5))
        self.now, self.number = 0.0, 0
        self.newest: dict[str, int] = {}
        self.active: dict[str, int] = {}

    @rule(name=names, level=st.integers(0, 5))
    def put(self, name: str, level: int) -> None:
        self.number += 1
        older = self.work.put(name, self.number, level, self.now)
        assert older == self.newest.get(name)
        self.newest[name] = self.number

    @rule()
    def take(self) -> None:
        item = self.work.take(self.now)
        if item is None:
            return
        name, number = item
        assert name not in self.active
        assert self.newest.pop(name) == number
        self.active[name] = number

    @precondition(lambda self: self.active)
    @rule(data=st.data(), fails=st.booleans(), level=st.integers(0, 5))
    def end(self, data: st.DataObject, fails: bool, level: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.active)))
        number = self.active.pop(name)
        if not fails:
            self.work.finish(name, self.now)
            return
        superseded = self.work.retry(name, number, level, self.now)
        assert superseded == (number if name in self.newest else None)
        self.newest.setdefault(name, number)

    @rule(name=names)
    def withdraw(self, name: str) -> None:
        number = self.newest.pop(name, None)
        assert self.work.withdraw([name]) == ([] if number is None else [number])

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def nothing_is_forgotten(self) -> None:
        assert set(self.work.waiting()) == set(self.newest)
        assert self.work.active == len(self.active)
        if set(self.newest) - set(self.active):
            assert self.work.next_ready(self.now) is not None

    def teardown(self) -> None:
        for name in list(getattr(self, "active", {})):
            self.active.pop(name)
            self.work.finish(name, self.now)
        self.now += 100.0
        assert sorted(taken(self.work, self.now)) == sorted(self.newest)


AnyOrder.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase
