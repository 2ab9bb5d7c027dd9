"""Dashboard and rules ask for what is really exported."""

import re

import pytest
from promql_parser import Matcher, MatchOp

from tests.monitoring.exported import ALERTS, EXPORTED, OF_A_TARGET, PANELS, VALUES
from tests.monitoring.queries import QUERIES, grouped, names, parsed, selectors

TOLD = [(a["expr"], " ".join(a["annotations"].values())) for a in ALERTS] + [
    (target["expr"], target["legendFormat"]) for panel in PANELS for target in panel["targets"]
]
TOLD_BY_ANOTHER = {
    "kafka_consumergroup_current_offset",
    "kafka_consumergroup_lag",
    "kafka_topic_partition_current_offset",
    "kafka_topic_partition_oldest_offset",
    "rollcall_lag_up",
}
"""By a partition's verdict, sum and seconds, and by the age of the reading."""


def alternatives(matcher: Matcher) -> set[str]:
    """The values that a matcher names."""
    is_pattern = matcher.op in (MatchOp.Re, MatchOp.NotRe)
    return set(matcher.value.split("|")) if is_pattern else {matcher.value}


def family(name: str) -> str:
    """Of which a sample is one: a histogram has three kinds of them."""
    return re.sub("^(rollcall_.+)_(bucket|sum|count)$", r"\1", name)


def labels_of(query: str) -> set[str]:
    """That a result may have: those it groups by, all there are where it does not."""
    every = [EXPORTED[one.name or ""] | OF_A_TARGET for one in selectors(query)]
    kept = [labels for _, labels in grouped(query)]
    return set[str]().union(*(kept or every))


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_is_promql(query: str) -> None:
    assert parsed(query)


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_what_is_exported(query: str) -> None:
    asked = {one.name for one in selectors(query)}

    assert asked
    assert set() == asked - set(EXPORTED)


@pytest.mark.parametrize("query", QUERIES)
def test_a_selector_names_labels_that_its_metric_has_and_values_they_may_be(query: str) -> None:
    for one in selectors(query):
        for matcher in one.matchers.matchers:
            assert matcher.name in EXPORTED[one.name or ""] | OF_A_TARGET
            assert set() == alternatives(matcher) - VALUES[one.name or "", matcher.name]


@pytest.mark.parametrize("query", QUERIES)
def test_what_is_grouped_has_the_labels_it_is_grouped_by(query: str) -> None:
    for expression, labels in grouped(query):
        for name in names(expression):
            assert labels <= EXPORTED[name] | OF_A_TARGET


@pytest.mark.parametrize(("query", "told"), TOLD)
def test_a_text_shows_labels_that_the_result_has(query: str, told: str) -> None:
    shown = set(re.findall(r"\$labels\.(\w+)", told) + re.findall(r"{{(\w+)}}", told))

    assert set() == shown - labels_of(query)


def test_whatever_is_exported_is_looked_at_somewhere() -> None:
    asked = {family(one.name or "") for query in QUERIES for one in selectors(query)}
    exported = {family(name) for name in EXPORTED}

    assert TOLD_BY_ANOTHER == exported - asked
