import pytest

from ops.top.figures import Figures, Standing, Trouble, figures, role_of
from ops.top.rates import NOTHING, growth
from streams.metrics import Metrics
from tests.top.pages import count_requests, look, page, show_queue


def between(before: Metrics, after: Metrics, seconds: float = 2.0) -> Figures:
    return figures(growth(look(0.0, before), look(seconds, after)), [page(after)])


def test_rates_are_told_by_outcome_and_reason() -> None:
    after = Metrics()
    after.worlds.labels(outcome="split").inc(2)
    after.snapshots.labels(outcome="suppressed").inc(6)
    after.snapshots.labels(outcome="sent").inc(2)
    after.decisions.labels(reason="members").inc(2)
    after.results.labels(outcome="applied").inc(1)

    found = between(Metrics(), after)

    assert {"split": 1.0} == found.worlds
    assert {"suppressed": 3.0, "sent": 1.0} == found.snapshots
    assert {"members": 1.0} == found.commands
    assert {"applied": 0.5} == found.results


def test_requests_to_letta_are_told_by_operation_with_their_faults_and_time() -> None:
    after = Metrics()
    count_requests(after, "read", "200", 0.02, 0.04, 0.03)
    count_requests(after, "read", "404", 0.03)
    count_requests(after, "write", "timeout", 5.0)
    count_requests(after, "write", "503", 5.0)

    read, write = between(Metrics(), after).letta

    assert ("read", 2.0, 0.0) == read[:3]
    assert pytest.approx(0.03) == read.mean
    assert 0.035 < (read.p95 or 0) <= 0.05
    assert ("write", 1.0, 1.0) == write[:3]


def test_saved_is_what_direct_mode_would_have_sent_beyond_what_was_sent() -> None:
    after = Metrics()
    after.snapshots.labels(outcome="suppressed").inc(4)
    after.snapshots.labels(outcome="outdated").inc(1)
    after.snapshots.labels(outcome="dead_letter").inc(90)
    count_requests(after, "read", "200", *[0.01] * 5)

    assert 0.75 == between(Metrics(), after).saved


def test_while_letta_is_away_nothing_is_saved() -> None:
    after = Metrics()
    after.snapshots.labels(outcome="suppressed").inc(4)
    show_queue(after, "1", waiting=3, age=9.0, breaker=2)

    assert between(Metrics(), after).saved is None


def test_without_a_snapshot_nothing_is_known_to_be_saved() -> None:
    after = Metrics()
    count_requests(after, "read", "200", 0.01)

    assert between(Metrics(), after).saved is None


def test_freshness_is_that_of_the_time_between_two_looks_alone() -> None:
    after = Metrics()
    after.freshness.observe(200.0)
    before = look(0.0, after)
    for _ in range(4):
        after.freshness.observe(0.15)

    found = figures(growth(before, look(2.0, after)), []).freshness

    assert 4 == found.memories
    assert (0.15, 0.195, 0.199) == pytest.approx(found[1:])


def test_queues_of_several_writers_are_one_for_each_server() -> None:
    one, two = Metrics(), Metrics()
    show_queue(one, "1", waiting=3, age=2.0, breaker=0)
    show_queue(two, "1", waiting=4, age=9.0, breaker=2)
    show_queue(two, "10", waiting=0, age=0.0, breaker=1)
    show_queue(two, "2", waiting=0, age=0.0, breaker=0)

    found = figures(NOTHING, [page(one), page(two)]).writer

    assert ["1", "2", "10"] == [standing.server for standing in found]
    assert Standing("1", 7, {"watched_members": 7}, 9.0, 8, "open", 2) == found[0]
    assert ["closed", "half-open"] == [standing.breaker for standing in found[1:]]


def test_a_breaker_that_nobody_knows_is_called_so() -> None:
    metrics = Metrics()
    show_queue(metrics, "1", waiting=0, age=0.0, breaker=7)

    assert ["unknown"] == [one.breaker for one in figures(NOTHING, [page(metrics)]).writer]


def test_troubles_are_told_in_all_and_lately() -> None:
    metrics = Metrics()
    metrics.errors.labels(stage="writer").inc(3)
    before = look(0.0, metrics)
    metrics.errors.labels(stage="writer").inc()
    metrics.dead_letters.labels(stage="writer").inc(2)

    found = figures(growth(before, look(2.0, metrics)), [page(metrics)]).troubles

    assert [Trouble("writer", 2, 2, 4, 1)] == found


def test_a_page_tells_whose_it_is_before_it_has_counted_anything() -> None:
    pages = [Metrics() for _ in range(4)]
    pages[0].begin_stages(["writer"])
    pages[1].begin_stages(["filter", "npc-roster"])
    pages[2].begin_stages(["splitter"])

    roles = [role_of(page(one)) for one in pages]

    assert ["writer", "filter", "splitter", ""] == roles
