"""The figures of the workers that are shown, from their growth and their newest pages. Pure.

Gauges of several workers: what waits is added up, the oldest and the worst of them is told.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ops.letta_requests import DIRECT_CALLS, is_answer
from ops.top.rates import (
    Growth,
    Page,
    Samples,
    added_up,
    by,
    mean,
    quantile,
    total,
)

_SNAPSHOTS = "rollcall_snapshots_total"
_REQUESTS = "rollcall_letta_requests_total"
_LATENCY = "rollcall_letta_request_seconds"
_FRESHNESS = "rollcall_memory_freshness_seconds"
_ERRORS = "rollcall_errors_total"
_ROLES = ("splitter", "filter", "writer")
_BREAKER = {0: "closed", 1: "half-open", 2: "open"}
_UNTAKEN = frozenset({"dead_letter", "disabled"})
"""Snapshots that the direct integration would not have written either."""


class Operation(NamedTuple):
    """Requests of one kind to Letta."""

    name: str
    rate: float
    """A second."""
    faults: float
    """A second, of these."""
    mean: float | None
    """Seconds."""
    p95: float | None


class Freshness(NamedTuple):
    """Ages, in seconds, of snapshots whose memory was put in place."""

    memories: int
    p50: float | None
    p95: float | None
    p99: float | None


class Standing(NamedTuple):
    """The writing for one Letta server, now."""

    server: str
    in_hand: int
    """NPCs waiting for or in a write."""
    waiting: dict[str, int]
    """By level, the most first."""
    oldest: float
    limit: int
    breaker: str
    parked: int


class Trouble(NamedTuple):
    """What a stage counted since its workers started, and how much of it just now."""

    stage: str
    dead_letters: int
    new_dead_letters: int
    errors: int
    new_errors: int


class Figures(NamedTuple):
    """All of it; rates a second."""

    seconds: float
    """How long the time was that rates and quantiles are of; 0: there were no two looks."""
    worlds: dict[str, float]
    snapshots: dict[str, float]
    commands: dict[str, float]
    results: dict[str, float]
    letta: list[Operation]
    saved: float | None
    """Share of the direct integration's requests that were not sent; None without a snapshot, and
    while a breaker is not closed: what waits is not saved."""
    freshness: Freshness
    writer: list[Standing]
    troubles: list[Trouble]


def figures(grown: Growth, pages: Iterable[Page]) -> Figures:
    """Of the time of `grown`, and of the newest pages."""
    found = list(pages)
    writer = _standings([page.gauges for page in found])
    return Figures(
        seconds=grown.seconds,
        worlds=grown.rates("rollcall_world_snapshots_total", "outcome"),
        snapshots=grown.rates(_SNAPSHOTS, "outcome"),
        commands=grown.rates("rollcall_decisions_total", "reason"),
        results=grown.rates("rollcall_results_total", "outcome"),
        letta=_operations(grown),
        saved=_saved(grown) if all(one.breaker == _BREAKER[0] for one in writer) else None,
        freshness=_freshness(grown.counters),
        writer=writer,
        troubles=_troubles(grown.counters, added_up(page.counters for page in found)),
    )


def role_of(page: Page) -> str:
    """Whose page it is, by the stages whose errors it counts from its start; empty if nobody's."""
    stages = {dict(labels).get("stage") for name, labels in page.counters if name == _ERRORS}
    return next((role for role in _ROLES if role in stages), "")


def _operations(grown: Growth) -> list[Operation]:
    return [_operation(grown, name, rate) for name, rate in _by_operation(grown).items()]


def _by_operation(grown: Growth) -> dict[str, float]:
    return grown.rates(_REQUESTS, "operation")


def _operation(grown: Growth, name: str, rate: float) -> Operation:
    of_this = {
        series: value
        for series, value in grown.counters.items()
        if series[0] == _REQUESTS and ("operation", name) in series[1]
    }
    statuses = by(of_this, _REQUESTS, "status", grown.seconds)
    return Operation(
        name=name,
        rate=rate,
        faults=sum(value for status, value in statuses.items() if not is_answer(status)),
        mean=mean(grown.counters, _LATENCY, operation=name),
        p95=quantile(0.95, grown.counters, _LATENCY, operation=name),
    )


def _saved(grown: Growth) -> float | None:
    taken = grown.rates(_SNAPSHOTS, "outcome")
    snapshots = sum(rate for outcome, rate in taken.items() if outcome not in _UNTAKEN)
    return 1 - grown.rate(_REQUESTS) / (DIRECT_CALLS * snapshots) if snapshots else None


def _freshness(counters: Samples) -> Freshness:
    p50, p95, p99 = (quantile(q, counters, _FRESHNESS) for q in (0.5, 0.95, 0.99))
    return Freshness(int(total(counters, f"{_FRESHNESS}_count")), p50, p95, p99)


def _standings(pages: Sequence[Samples]) -> list[Standing]:
    servers = {server for page in pages for server in _labelled(page, "rollcall_write_queue")}
    return [_standing(server, pages) for server in sorted(servers, key=_in_order)]


def _in_order(server: str) -> tuple[int, str]:
    return len(server), server


def _standing(server: str, pages: Sequence[Samples]) -> Standing:
    sums = added_up({s: v for s, v in page.items() if ("server", server) in s[1]} for page in pages)
    levels = by(sums, "rollcall_write_queue_depth", "level")
    return Standing(
        server=server,
        in_hand=int(total(sums, "rollcall_write_queue")),
        waiting={level: int(depth) for level, depth in levels.items()},
        oldest=_most(pages, "rollcall_write_queue_age_seconds", server),
        limit=int(total(sums, "rollcall_letta_concurrency_limit")),
        breaker=_BREAKER.get(int(_most(pages, "rollcall_letta_breaker_state", server)), "unknown"),
        parked=int(total(sums, "rollcall_parked_npcs")),
    )


def _most(pages: Iterable[Samples], name: str, server: str) -> float:
    return max((total(page, name, server=server) for page in pages), default=0.0)


def _labelled(samples: Samples, name: str) -> set[str]:
    return {dict(labels).get("server", "") for found, labels in samples if found == name}


def _troubles(grown: Samples, counted: Samples) -> list[Trouble]:
    letters, errors = "rollcall_dead_letters_total", "rollcall_errors_total"
    now = {name: by(counted, name, "stage") for name in (letters, errors)}
    new = {name: by(grown, name, "stage") for name in (letters, errors)}
    return [
        Trouble(
            stage,
            *(_count(now[letters], stage), _count(new[letters], stage)),
            *(_count(now[errors], stage), _count(new[errors], stage)),
        )
        for stage in sorted(now[letters].keys() | now[errors].keys())
    ]


def _count(counts: Mapping[str, float], stage: str) -> int:
    return int(counts.get(stage, 0.0))
