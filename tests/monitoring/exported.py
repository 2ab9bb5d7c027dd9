"""What is really exported: each sample's name with its labels, and what a label may be."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.metrics import MetricWrapperBase

from ops.lag.exporter import LagCollector
from ops.lag.reading import Position
from ops.lag.verdict import Sample, Verdict
from ops.lag.view import Windows
from streams.filter.judge import DECODERS
from streams.metrics import Metrics
from streams.topology import Role

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "ops" / "monitoring"
SCRAPED: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
OF_A_TARGET = {"job", "instance"}
"""Labels that Prometheus adds to whatever it scrapes."""


def of_workers() -> dict[str, set[str]]:
    """Labels by the name of a sample."""
    found = dict[str, set[str]]()
    for collector in vars(Metrics()).values():
        if isinstance(collector, MetricWrapperBase):
            found |= dict(_samples(collector))
    return found


def _samples(collector: MetricWrapperBase) -> Iterator[tuple[str, set[str]]]:
    [family] = collector.describe()
    for suffix in SUFFIXES[family.type]:
        labels = {*collector._labelnames, *(("le",) if suffix == "_bucket" else ())}
        yield family.name + suffix, labels


def of_lag() -> dict[str, set[str]]:
    """Labels by the name of a sample, of an exporter that found one group on one partition."""
    position = Position("rollcall-writer", "npc-update-commands", 0, Sample(1.0, 2, 3), 0.5, 1)
    windows, collector = Windows(2), LagCollector()
    windows.add([position])
    collector.show([position], windows)
    return {s.name: set(s.labels) for family in collector.collect() for s in family.samples}


def of_prometheus() -> dict[str, set[str]]:
    """What Prometheus makes itself: targets, alerts, and the records of our rules."""
    recorded = {rule["record"]: set[str]() for rule in RULES if "record" in rule}
    return {"up": set(), "ALERTS": {"alertname", "alertstate", "severity"}, **recorded}


EXPORTED = of_workers() | of_lag() | of_prometheus()


def _buckets() -> set[str]:
    metrics = Metrics()
    [family] = metrics.freshness.collect()
    return {sample.labels["le"] for sample in family.samples if "le" in sample.labels}


VALUES: dict[tuple[str, str], set[str]] = {
    ("rollcall_memory_freshness_seconds_bucket", "le"): _buckets(),
    ("rollcall_cache_requests_total", "result"): {"hit", "miss"},
    ("rollcall_errors_total", "stage"): {*Role, *DECODERS},
    ("kafka_consumergroup_lag_verdict", "verdict"): set(Verdict),
    ("up", "job"): {job["job_name"] for job in SCRAPED["scrape_configs"]},
    ("ALERTS", "alertstate"): {"pending", "firing"},
}
"""What a label may be, by the sample and the label; whatever else is asked for is a KeyError."""
