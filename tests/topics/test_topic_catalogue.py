import pytest

from topics.catalogue import (
    BY_NAME,
    CATALOGUE,
    Cleanup,
    ObservedTopic,
    Topic,
    differences,
    topic_name,
)
from topics.wire import RECORD_LIMIT


def as_created(topic: Topic) -> ObservedTopic:
    return ObservedTopic(partitions=topic.partitions, configs=topic.configs)


def test_the_topics_of_the_contract() -> None:
    assert {topic.name: (topic.key, topic.cleanup.value) for topic in CATALOGUE} == {
        "npc-snapshots": ("npc_id", "delete"),
        "world-snapshots": ("world_id", "delete"),
        "player-profiles": ("player_id", "compact"),
        "npc-roster": ("npc_id", "compact"),
        "locations": ("slug", "compact"),
        "npc-update-commands": ("npc_id", "compact,delete"),
        "npc-update-results": ("npc_id", "delete"),
        "npc-verify-requests": ("npc_id", "delete"),
        "dead-letters": ("the record's own", "delete"),
    }


def test_all_topics_keyed_by_npc_id_have_the_same_number_of_partitions() -> None:
    assert {topic.partitions for topic in CATALOGUE if topic.key == "npc_id"} == {8}


@pytest.mark.parametrize("topic", CATALOGUE, ids=lambda topic: topic.name)
def test_a_topic_is_bounded_unless_it_is_only_compacted(topic: Topic) -> None:
    unbounded = topic.cleanup is Cleanup.COMPACT

    assert (topic.retention is None) == unbounded
    assert (topic.retention_bytes is None) == unbounded
    assert (topic.configs["retention.ms"] == "-1") == unbounded


def test_settings_are_in_the_names_and_units_of_kafka() -> None:
    assert BY_NAME["npc-update-commands"].configs == {
        "cleanup.policy": "compact,delete",
        "retention.ms": "604800000",
        "retention.bytes": "536870912",
        "segment.ms": "86400000",
        "min.compaction.lag.ms": "86400000",
    }


def test_a_dead_letter_of_the_largest_record_fits_with_its_headers() -> None:
    assert int(BY_NAME["dead-letters"].configs["max.message.bytes"]) >= RECORD_LIMIT + 10_000


@pytest.mark.parametrize("topic", CATALOGUE, ids=lambda topic: topic.name)
def test_a_topic_as_it_was_created_does_not_differ(topic: Topic) -> None:
    assert differences(topic, as_created(topic)) == []


def test_a_topic_that_is_not_there_differs_in_one_thing() -> None:
    assert differences(CATALOGUE[0], None) == ["does not exist"]


def test_each_difference_is_told() -> None:
    topic = BY_NAME["npc-update-commands"]
    configs = {**topic.configs, "cleanup.policy": "delete", "retention.ms": "1000"}

    assert differences(topic, ObservedTopic(partitions=3, configs=configs)) == [
        "partitions: 3, expected 8",
        "cleanup.policy: delete, expected compact,delete",
        "retention.ms: 1000, expected 604800000",
    ]


def test_the_order_of_cleanup_policies_and_settings_not_described_make_no_difference() -> None:
    topic = BY_NAME["npc-update-commands"]

    assert differences(topic, ObservedTopic(partitions=8)) == []
    assert (
        differences(
            topic,
            ObservedTopic(partitions=8, configs={"cleanup.policy": "delete, compact", "x": "y"}),
        )
        == []
    )


def test_a_prefix_is_put_before_the_name() -> None:
    assert topic_name("", "locations") == "locations"
    assert topic_name("town-2.", "locations") == "town-2.locations"


@pytest.mark.parametrize("prefix", ["a b", "a/b", "é", "a\n", "x" * 241])
def test_a_prefix_that_kafka_would_not_take_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="topic prefix"):
        topic_name(prefix, "locations")
