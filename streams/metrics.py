"""What a worker counts, for Prometheus; docs/metrics.md says what each is good for.

One registry a process, no NPC ids as labels. The names the seed asked for and what answers them:

    updates processed    rollcall_snapshots_total, rollcall_results_total
    cache hits           rollcall_cache_requests_total{result="hit"}
    API calls            rollcall_letta_requests_total
    errors               rollcall_errors_total
    hit rate             rate(cache hits) / rate(cache requests)
    update frequency     rate(rollcall_decisions_total)
    force refresh rate   rate(rollcall_decisions_total{reason="force_refresh"})
    error rate           rate(rollcall_errors_total)
"""

from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
)

from topics.models import Outcome, UpdateResult

_FRESHNESS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300)
_LATENCY = (0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Every collector of a worker, in a registry of its own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.snapshots = Counter(
            "rollcall_snapshots", "Snapshots handled.", ["outcome"], registry=registry
        )
        self.worlds = Counter(
            "rollcall_world_snapshots",
            "World snapshots split.",
            ["outcome"],
            registry=registry,
        )
        self.decisions = Counter(
            "rollcall_decisions", "Commands sent.", ["reason"], registry=registry
        )
        self.suppressed = Counter(
            "rollcall_suppressed",
            "Snapshots that led to no command, though nothing was wrong with them.",
            ["why"],
            registry=registry,
        )
        self.cache_requests = Counter(
            "rollcall_cache_requests",
            "Look-ups: groups (hit: the picture held, nothing sent), players (hit: known).",
            ["cache", "result"],
            registry=registry,
        )
        self.evictions = Counter(
            "rollcall_evictions",
            "Entries forgotten because nobody saw them for long.",
            ["cache"],
            registry=registry,
        )
        self.states_dropped = Counter(
            "rollcall_states_dropped",
            "Damaged states dropped; the NPC's next snapshot rebuilds each.",
            registry=registry,
        )
        self.silent = Gauge(
            "rollcall_silent_npcs",
            "NPCs nobody has reported on for long, while the game goes on.",
            registry=registry,
        )
        self.letta_requests = Counter(
            "rollcall_letta_requests",
            "Requests sent to Letta.",
            ["server", "operation", "status"],
            registry=registry,
        )
        self.letta_seconds = Histogram(
            "rollcall_letta_request_seconds",
            "Time of a request to Letta.",
            ["server", "operation"],
            buckets=_LATENCY,
            registry=registry,
        )
        self.command_age = Histogram(
            "rollcall_command_age_seconds",
            "Time from a command's issue until a writer took it up.",
            buckets=_FRESHNESS,
            registry=registry,
        )
        self.results = Counter(
            "rollcall_results", "Commands finished.", ["outcome"], registry=registry
        )
        self.conflicts = Counter(
            "rollcall_conflicts",
            "Fields of the game's found changed by somebody else.",
            ["by"],
            registry=registry,
        )
        self.repairs = Counter(
            "rollcall_repairs",
            "Verifications that put back what somebody had changed.",
            ["by"],
            registry=registry,
        )
        self.errors = Counter("rollcall_errors", "What went wrong.", ["stage"], registry=registry)
        self.dead_letters = Counter(
            "rollcall_dead_letters", "Records given up.", ["stage"], registry=registry
        )
        self.freshness = Histogram(
            "rollcall_memory_freshness_seconds",
            "Age of a snapshot when the memory it asked for was in place; no verifications.",
            buckets=_FRESHNESS,
            registry=registry,
        )
        self.queue = Gauge(
            "rollcall_write_queue",
            "NPCs waiting for or in a write.",
            ["server"],
            registry=registry,
        )
        self.queue_depth = Gauge(
            "rollcall_write_queue_depth",
            "NPCs waiting for a write, by how urgent it is.",
            ["server", "level"],
            registry=registry,
        )
        self.queue_age = Gauge(
            "rollcall_write_queue_age_seconds",
            "How long the NPC that has waited longest for a write has waited.",
            ["server"],
            registry=registry,
        )
        self.limit = Gauge(
            "rollcall_letta_concurrency_limit",
            "NPCs that may be written at the same time, as found.",
            ["server"],
            registry=registry,
        )
        self.parked = Gauge(
            "rollcall_parked_npcs",
            "NPCs without a Letta agent, or whom Letta refuses.",
            ["server"],
            registry=registry,
        )
        self.breaker = Gauge(
            "rollcall_letta_breaker_state",
            "Whether Letta is asked: 0 closed (yes), 1 half-open (probing), 2 open (no).",
            ["server"],
            registry=registry,
        )
        self.rebalances = Counter(
            "rollcall_rebalances",
            "Times the worker was given its partitions.",
            registry=registry,
        )
        self.recovery = Gauge(
            "rollcall_recovery_seconds",
            "How long the worker was without partitions and Tables last time, its start included.",
            registry=registry,
        )
        self.table_entries = Gauge(
            "rollcall_table_entries",
            "Entries held by this worker.",
            ["table"],
            registry=registry,
        )

    def begin_stages(self, stages: Iterable[str]) -> None:
        """Show these stages at once, with nothing counted: a first error is a rise like any."""
        for stage in stages:
            self.errors.labels(stage=stage)
            self.dead_letters.labels(stage=stage)

    def count_conflicts(self, result: UpdateResult) -> None:
        """The conflicts of one result; a repair once for each who made it necessary."""
        editors = [conflict.by for conflict in result.conflicts if conflict.by is not None]
        for editor in editors:
            self.conflicts.labels(by=editor).inc()
        for editor in set(editors) if result.outcome is Outcome.REPAIRED else ():
            self.repairs.labels(by=editor).inc()
