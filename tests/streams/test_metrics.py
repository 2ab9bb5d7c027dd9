"""What a worker counts, as Prometheus scrapes it."""

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from streams.metrics import Metrics
from topics.models import Conflict, Editor, Outcome, Reason, UpdateResult

# The seed's names, and what answers them; docs/metrics.md promises these.
PROMISED = {
    "updates processed": {"rollcall_snapshots_total", "rollcall_results_total"},
    "cache hits": {"rollcall_cache_requests_total"},
    "API calls": {"rollcall_letta_requests_total"},
    "errors": {"rollcall_errors_total"},
    "update frequency and force refresh rate": {"rollcall_decisions_total"},
    "the rest": {
        "rollcall_world_snapshots_total",
        "rollcall_dead_letters_total",
        "rollcall_conflicts_total",
        "rollcall_repairs_total",
        "rollcall_letta_request_seconds_bucket",
        "rollcall_memory_freshness_seconds_bucket",
        "rollcall_write_queue",
        "rollcall_write_queue_depth",
        "rollcall_parked_npcs",
        "rollcall_table_entries",
        "rollcall_states_dropped_total",
        "rollcall_silent_npcs",
    },
}


def used() -> Metrics:
    """Metrics of a worker that has done something of everything."""
    metrics = Metrics()
    metrics.snapshots.labels(outcome="sent").inc()
    metrics.worlds.labels(outcome="split").inc()
    metrics.decisions.labels(reason="force_refresh").inc()
    metrics.cache_requests.labels(cache="groups", result="hit").inc()
    metrics.letta_requests.labels(server="1", operation="read", status="200").inc()
    metrics.letta_seconds.labels(server="1", operation="read").observe(0.03)
    metrics.results.labels(outcome="applied").inc()
    metrics.conflicts.labels(by="other").inc()
    metrics.repairs.labels(by="agent").inc()
    metrics.errors.labels(stage="filter").inc()
    metrics.dead_letters.labels(stage="filter").inc()
    metrics.freshness.observe(0.2)
    metrics.queue.labels(server="1").set(1)
    metrics.queue_depth.labels(server="1", level="members").set(1)
    metrics.parked.labels(server="1").set(1)
    metrics.table_entries.labels(table="groups").set(1)
    return metrics


def scraped(metrics: Metrics) -> set[str]:
    page = generate_latest(metrics.registry).decode()
    return {
        sample.name for family in text_string_to_metric_families(page) for sample in family.samples
    }


@pytest.mark.parametrize("asked_for", PROMISED)
def test_what_the_seed_asked_for_can_be_scraped(asked_for: str) -> None:
    assert scraped(used()) >= PROMISED[asked_for]


def test_two_workers_of_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()

    first.snapshots.labels(outcome="sent").inc()

    assert second.registry.get_sample_value("rollcall_snapshots_total", {"outcome": "sent"}) is None


def test_no_label_holds_an_npc_or_a_player() -> None:
    labels = {
        label
        for family in used().registry.collect()
        for sample in family.samples
        for label in sample.labels
    }

    assert labels <= {
        "outcome",
        "reason",
        "cache",
        "result",
        "operation",
        "status",
        "stage",
        "le",
        "table",
        "server",
        "level",
        "by",
    }


def result(outcome: Outcome, *editors: Editor | None) -> UpdateResult:
    conflicts = tuple(
        Conflict(path="status", base=1, ours=1, theirs=2, kept=1, by=editor) for editor in editors
    )
    return UpdateResult(
        command_id="c",
        npc_id="npc-7",
        reason=Reason.VERIFY,
        outcome=outcome,
        conflicts=conflicts,
        observed_at=1.0,
        finished_at=2.0,
    )


@pytest.mark.parametrize(
    ("outcome", "editors", "expected"),
    [
        (Outcome.REPAIRED, (Editor.AGENT, Editor.AGENT, Editor.OTHER), ((2, 1), (1, 1))),
        (Outcome.REPAIRED, (Editor.OTHER, Editor.OTHER), ((0, 2), (0, 1))),
        (Outcome.REPAIRED, (), ((0, 0), (0, 0))),
        (Outcome.APPLIED, (Editor.AGENT, None), ((1, 0), (0, 0))),
    ],
)
def test_each_conflict_counts_and_a_repair_once_for_each_who_made_it_necessary(
    outcome: Outcome, editors: tuple[Editor, ...], expected: object
) -> None:
    metrics = Metrics()

    metrics.count_conflicts(result(outcome, *editors))

    def counted(name: str) -> tuple[float, ...]:
        samples = [metrics.registry.get_sample_value(name, {"by": by}) for by in Editor]
        return tuple(sample or 0 for sample in samples)

    assert expected == (counted("rollcall_conflicts_total"), counted("rollcall_repairs_total"))
