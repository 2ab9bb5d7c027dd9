"""Consumer lag for Prometheus, under the names that kafka_exporter gives it.

Dashboards made for that one work. `kafka_consumergroup_lag_seconds` and `_lag_verdict` are ours.

A scrape shows what the last reading found; `rollcall_lag_reading_age_seconds` tells how old that
is, and a reading that fails leaves no figures behind, rather than old ones.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ops.lag.reading import Position
from ops.lag.verdict import Verdict, verdict
from ops.lag.view import Windows

_PARTITION = ("consumergroup", "topic", "partition")


class LagCollector(Collector):
    """Figures of the last reading. `show` and a scrape may be in different threads."""

    def __init__(self) -> None:
        self._reading: tuple[float, Sequence[Position], dict[tuple[str, str, int], Verdict]] = (
            time.time(),
            (),
            {},
        )
        self._is_up = False

    def show(self, positions: Sequence[Position], windows: Windows) -> None:
        """From now on a scrape finds these."""
        said = {one[:3]: verdict(windows.of(one), one.members) for one in positions}
        self._reading, self._is_up = (time.time(), positions, said), True

    def fail(self) -> None:
        """The broker gave no answer."""
        self._reading, self._is_up = (self._reading[0], (), {}), False

    def collect(self) -> Iterator[Metric]:
        """All families, in the order of kafka_exporter's page."""
        at, positions, said = self._reading
        yield GaugeMetricFamily("rollcall_lag_up", "Whether the last reading worked.", self._is_up)
        yield GaugeMetricFamily(
            "rollcall_lag_reading_age_seconds",
            "How long ago the last reading worked.",
            time.time() - at,
        )
        yield from _of_partitions(positions, said)
        yield from _of_groups(positions)
        yield from _of_topics(positions)


def registry_of(collector: LagCollector) -> CollectorRegistry:
    """A registry with nothing else in it."""
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def _of_partitions(
    positions: Sequence[Position], said: dict[tuple[str, str, int], Verdict]
) -> Iterator[Metric]:
    lag = GaugeMetricFamily(
        "kafka_consumergroup_lag", "Records a group has not finished.", labels=_PARTITION
    )
    seconds = GaugeMetricFamily(
        "kafka_consumergroup_lag_seconds",
        "Age of the next record a group has not finished, 0: there is none.",
        labels=_PARTITION,
    )
    offset = GaugeMetricFamily(
        "kafka_consumergroup_current_offset", "The offset a group committed.", labels=_PARTITION
    )
    verdicts = GaugeMetricFamily(
        "kafka_consumergroup_lag_verdict",
        "1 for the verdict that holds.",
        labels=(*_PARTITION, "verdict"),
    )
    for one in positions:
        labels = (one.group, one.topic, str(one.partition))
        if one.sample.lag is not None:
            lag.add_metric(labels, one.sample.lag)
            offset.add_metric(labels, one.sample.committed or 0)
        if one.seconds is not None:
            seconds.add_metric(labels, one.seconds)
        verdicts.add_metric((*labels, said[one[:3]].value), 1)
    yield from (offset, lag, seconds, verdicts)


def _of_groups(positions: Sequence[Position]) -> Iterator[Metric]:
    total = GaugeMetricFamily(
        "kafka_consumergroup_lag_sum",
        "Records a group has not finished on a topic.",
        labels=("consumergroup", "topic"),
    )
    members = GaugeMetricFamily(
        "kafka_consumergroup_members", "Members of a group.", labels=("consumergroup",)
    )
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for one in positions:
        sums[one.group, one.topic] += one.sample.lag or 0
    for labels, value in sums.items():
        total.add_metric(labels, value)
    for group, number in {one.group: one.members for one in positions}.items():
        members.add_metric((group,), number)
    yield from (total, members)


def _of_topics(positions: Sequence[Position]) -> Iterator[Metric]:
    current = GaugeMetricFamily(
        "kafka_topic_partition_current_offset",
        "The offset that the next record will have.",
        labels=("topic", "partition"),
    )
    oldest = GaugeMetricFamily(
        "kafka_topic_partition_oldest_offset",
        "The first offset that is still there.",
        labels=("topic", "partition"),
    )
    for (topic, partition), sample in {one[1:3]: one.sample for one in positions}.items():
        current.add_metric((topic, str(partition)), sample.end)
        oldest.add_metric((topic, str(partition)), sample.start)
    yield from (current, oldest)
