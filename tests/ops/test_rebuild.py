"""What `rollcall rebuild` would do, and its rewinding on the real Kafka."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from ops.cli import main
from ops.failure import Failure
from ops.rebuild.carry_out import carry_out, plan_of
from ops.rebuild.plan import CHANGELOGS, Rewind, rewinds
from streams.filter.agent import FilterAgent
from streams.topology import Role, changelog, group_id
from tests.streams.stage import Stage
from topics.catalogue import NPC_SNAPSHOTS
from topics.connection import KafkaConnection

ENDS, BEGINNINGS = {0: 9, 1: 5, 2: 0}, {0: 3, 1: 0, 2: 0}


def test_without_a_time_the_filter_begins_with_what_is_kept() -> None:
    assert rewinds(BEGINNINGS, ENDS, {0: 8}, None) == (
        Rewind(0, 8, 3, 9),
        Rewind(1, None, 0, 5),
        Rewind(2, None, 0, 0),
    )


def test_with_a_time_it_begins_there_and_at_the_end_where_nothing_came_since() -> None:
    found = rewinds(BEGINNINGS, ENDS, {}, {0: 7, 1: None, 2: None})

    assert [7, 5, 0] == [rewind.target for rewind in found]
    assert [2, 0, 0] == [rewind.records for rewind in found]


@given(st.dictionaries(st.integers(0, 7), st.tuples(st.integers(0, 99), st.integers(0, 99))))
def test_the_target_is_always_within_what_is_kept(kept: dict[int, tuple[int, int]]) -> None:
    beginnings = {number: min(pair) for number, pair in kept.items()}
    ends = {number: max(pair) for number, pair in kept.items()}

    for rewind in rewinds(beginnings, ends, {}, None):
        assert beginnings[rewind.partition] <= rewind.target <= ends[rewind.partition]


def test_every_table_of_the_filter_is_emptied(tmp_path: Path) -> None:
    stage = Stage(Role.FILTER, FilterAgent, tmp_path)

    tables = {changelog(Role.FILTER, name) for name in stage.app.tables}

    assert tables == {name for name in CHANGELOGS if name.startswith(group_id(Role.FILTER, ""))}


def run(*arguments: str, answer: str = "") -> Result:
    result = CliRunner().invoke(main, ["rebuild", *arguments], input=answer)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize("arguments", [["--json"], ["--since", "tea time"], ["extra"]], ids=str)
def test_wrong_use_exits_with_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


# ---------------------------------------------------------------- on Kafka


def publish(connection: KafkaConnection, *times: float) -> None:
    """Snapshots of one partition."""

    async def send() -> None:
        async with AIOKafkaProducer(**connection.client_options()) as producer:
            for at in times:
                await producer.send_and_wait(
                    connection.topic(NPC_SNAPSHOTS), b"{}", b"npc-7", 3, int(at * 1000)
                )

    asyncio.run(send())


def committed(connection: KafkaConnection) -> int | None:
    async def ask() -> int | None:
        partition = TopicPartition(connection.topic(NPC_SNAPSHOTS), 3)
        group = group_id(Role.FILTER, connection.topic_prefix)
        consumer: Any = AIOKafkaConsumer(**connection.client_options(), group_id=group)
        consumer.assign([partition])
        async with consumer:
            offset: int | None = await consumer.committed(partition)
            return offset

    return asyncio.run(ask())


@pytest.mark.integration
def test_the_filter_goes_back_to_a_time_or_to_the_beginning(connection: KafkaConnection) -> None:
    now = time.time()
    publish(connection, now - 7200, now - 3600, now - 60)

    assert run("--yes", "--since", "65m").exit_code == 0
    assert committed(connection) == 1

    assert run("--yes", "--since", "5s").exit_code == 0
    assert committed(connection) == 3

    done = run("--yes", "--json")
    assert json.loads(done.stdout)["partitions"]["3"] == {"from": 3, "to": 0, "end": 3}
    assert committed(connection) == 0


@pytest.mark.integration
def test_a_dry_run_and_a_no_change_nothing(connection: KafkaConnection) -> None:
    publish(connection, time.time())
    run("--yes", "--since", "0s")

    tried, denied = run("--dry-run"), run(answer="n\n")

    assert (tried.exit_code, denied.exit_code) == (0, 1)
    assert committed(connection) == 1


@pytest.mark.integration
def test_a_group_that_somebody_joined_is_left_alone(connection: KafkaConnection) -> None:
    publish(connection, time.time())

    async def try_it_beside_a_member() -> Result:
        group = group_id(Role.FILTER, connection.topic_prefix)
        topic = connection.topic(NPC_SNAPSHOTS)
        consumer = AIOKafkaConsumer(topic, **connection.client_options(), group_id=group)
        async with consumer:
            return await asyncio.to_thread(run, "--yes")

    done = asyncio.run(try_it_beside_a_member())

    assert done.exit_code == 1
    assert done.stderr.startswith("Error: 1 filter worker runs; stop every filter and writer")


@pytest.mark.integration
async def test_a_filter_that_comes_meanwhile_is_noticed(connection: KafkaConnection) -> None:
    plan = await plan_of(connection, None)
    group = group_id(Role.FILTER, connection.topic_prefix)
    topic = connection.topic(NPC_SNAPSHOTS)

    async with AIOKafkaConsumer(topic, **connection.client_options(), group_id=group):
        with pytest.raises(Failure, match="a filter came while its states were deleted"):
            await carry_out(connection, plan)


@pytest.mark.integration
def test_without_topics_there_is_nothing_to_rebuild(
    connection: KafkaConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_TOPIC_PREFIX", "nobody-uses-this.")

    done = run("--yes")

    assert (done.exit_code, done.stdout) == (1, "")
    assert "nobody-uses-this.npc-snapshots does not exist" in done.stderr
