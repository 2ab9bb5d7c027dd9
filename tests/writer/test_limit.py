"""The limit against servers that are formulas: how long an update takes with n under way."""

import itertools
import random
from collections.abc import Callable
from heapq import heappop, heappush

import pytest

from streams.writer.gate import Limit
from streams.writer.limit import MOST, SHRINK, START, AdaptiveLimit, FixedLimit

Server = Callable[[int], float]
"""Seconds of an update, on average, with so many under way."""


def slots(number: int, seconds: float = 0.06) -> Server:
    """So many are worked on at a time, the others wait."""
    return lambda n: seconds * max(1, n / number)


def thrashing(number: int, seconds: float = 0.06) -> Server:
    """Each one too many makes all of them slower still."""
    return lambda n: seconds * max(1, n / number) * (1 + 0.05 * max(0, n - number))


def letta(n: int) -> float:
    """A read and a write of Letta 0.16 on two cores, as measured."""
    seconds = (0.039, 0.061, 0.060, 0.072, 0.088, 0.105, 0.125, 0.145, 0.165, 0.185, 0.2, 0.22)
    return seconds[n - 1] if n <= len(seconds) else 0.02 * n


def slower(server: Server, factor: float = 3.0) -> Server:
    return lambda n: factor * server(n)


SERVERS: dict[str, Server] = {
    "one slot": slots(1),
    "four slots": slots(4),
    "eight slots": slots(8),
    "sixteen slots": slots(16),
    "four slots, thrashing": thrashing(4),
    "twelve slots, thrashing": thrashing(12),
    "letta": letta,
    "a slow letta": slower(letta),
}


def best(server: Server) -> float:
    """Updates a second with the best fixed number, as a sweep finds it."""
    return max(n / server(n) for n in range(1, MOST + 1))


def played(limit: Limit, server: Server, seconds: float, seed: int = 0) -> list[int]:
    """More work than may begin, for so long: the limit each time an update ended."""
    chance, now, limits = random.Random(seed), 0.0, []
    ends: list[float] = []
    limit.wanted(is_full=True)
    while now < seconds:
        while len(ends) < limit.value():
            heappush(ends, now + server(len(ends) + 1) * chance.lognormvariate(-0.045, 0.3))
        now = heappop(ends)
        limit.done(chance.choice((0.3, 1.0, 1.0, 1.0, 1.0, 1.5)), now)
        limits.append(limit.value())
    return limits


def played_together(limit: Limit, server: Server, seconds: float, seed: int) -> list[int]:
    """The same where all begin together and the next wait for them, at a server that drifts."""
    chance, now, drift, limits = random.Random(seed), 0.0, 0.0, []
    limit.wanted(is_full=True)
    while now < seconds:
        number, drift = limit.value(), 0.9 * drift + chance.gauss(0, 0.05)
        took = server(number) * chance.lognormvariate(drift, 0.2)
        for end in sorted([*(chance.uniform(0.6, 1.0) for _ in range(number - 1)), 1.0]):
            limit.done(chance.choice((1.0, 1.0, 1.5)), now + end * took)
            limits.append(limit.value())
        now += took
    return limits


def share(limits: list[int], server: Server) -> float:
    """Of the best fixed number's throughput, over the second half."""
    half = limits[len(limits) // 2 :]
    return sum(n / server(n) for n in half) / len(half) / best(server)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_it_lands_within_15_percent_of_the_best_fixed_number(server: Server, seed: int) -> None:
    limits = played(AdaptiveLimit(), server, 240 * server(1) / 0.06, seed)

    assert share(limits, server) > 0.85


def all_at_once(n: int) -> float:
    """So many updates at once beside the workers, as measured with 700 NPCs: most with eight."""
    per_second = {1: 22.0, 2: 29.0, 3: 32.0, 4: 34.5, 6: 38.0, 8: 40.0, 10: 39.0, 12: 36.0}
    near = max(number for number in per_second if number <= n)
    return n / per_second[near] * max(1.0, n / 16)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("start", [4, START, 16])
def test_it_lands_where_updates_begin_together_and_the_server_drifts(start: int, seed: int) -> None:
    limits = played_together(AdaptiveLimit(limit=start), all_at_once, 600, seed)

    assert share(limits, all_at_once) > 0.85


@pytest.mark.parametrize("number", [1, 64])
def test_a_number_that_is_wrong_for_the_server_would_not_pass(number: int) -> None:
    limits = played(FixedLimit(number), thrashing(12), 60)

    assert share(limits, thrashing(12)) < 0.85


@pytest.mark.parametrize(
    ("before", "after"),
    [(slots(4), slots(16)), (letta, slower(letta)), (slower(letta), letta), (slots(8), slots(2))],
    ids=["more workers", "slower", "faster", "fewer workers"],
)
def test_it_follows_when_the_server_changes(before: Server, after: Server) -> None:
    limit = AdaptiveLimit()
    played(limit, before, 60)

    assert share(played(limit, after, 240), after) > 0.85


def test_it_prefers_the_smaller_of_two_that_do_as_much() -> None:
    limit = AdaptiveLimit(limit=16)
    limits = played(limit, slots(4), 300)

    assert limits[-1] <= 6


def test_it_learns_nothing_while_no_work_waits() -> None:
    limit = AdaptiveLimit()
    for number in range(10_000):
        limit.wanted(is_full=number % 20 == 0)
        limit.done(1.0, number / 10)

    assert START == limit.value()


def test_one_npc_that_fails_again_and_again_shrinks_nothing() -> None:
    limit = AdaptiveLimit()
    for second in range(100):
        limit.failed("npc-1", float(second))

    assert START == limit.value()


def test_several_that_fail_shrink_it_down_to_one() -> None:
    limit = AdaptiveLimit(limit=10)
    limit.failed("npc-1", 0.0)
    limit.failed("npc-2", 0.1)
    assert int(10 * SHRINK) == limit.value()

    for number in range(20):
        limit.failed(f"npc-{number}", 1.0 + number / 10)

    assert 1 == limit.value()


def test_after_an_outage_it_grows_by_steps_and_no_herd_returns() -> None:
    limit = AdaptiveLimit(limit=16)
    for number in range(20):
        limit.failed(f"npc-{number}", number / 10)

    limits = played(limit, slots(16), 200)

    steps = [after / before for before, after in itertools.pairwise(limits)]
    assert 2.0 >= max(steps)
    assert 2 >= max(limits[:30])
    assert share(limits, slots(16)) > 0.85


def test_it_never_leaves_its_bounds() -> None:
    assert MOST >= max(played(AdaptiveLimit(), lambda n: 1.0, 2000))
    assert 1 <= min(played(AdaptiveLimit(), lambda n: 0.01 * n * n, 200))
