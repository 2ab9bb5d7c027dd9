"""A stretch has one order, whatever the order in which partitions are read."""

from hypothesis import given
from hypothesis import strategies as st

from ops.replay.stored import Merge, Stored

PARTITIONS = 3


def record(partition: int, offset: int, timestamp: int) -> Stored:
    return Stored("npc-snapshots", partition, offset, timestamp, b"npc-1", b"{}")


times = st.lists(st.integers(0, 50), max_size=20)
logs = st.lists(times, min_size=PARTITIONS, max_size=PARTITIONS).map(
    lambda every: [
        [record(partition, offset, at) for offset, at in enumerate(log)]
        for partition, log in enumerate(every)
    ]
)


def merged(every: list[list[Stored]], sizes: list[int]) -> list[Stored]:
    """What comes out when partitions are read in pieces of these sizes, in turn."""
    merge, left, told = Merge(set(range(PARTITIONS))), [list(log) for log in every], []
    turn = 0
    while any(left) or merge.open:
        partition, size = turn % PARTITIONS, sizes[turn % len(sizes)]
        merge.add(partition, left[partition][:size])
        del left[partition][:size]
        if not left[partition]:
            merge.close(partition)
        told += merge.take()
        turn += 1
    return told


@given(logs, st.lists(st.integers(1, 9), min_size=1, max_size=7))
def test_the_order_does_not_depend_on_how_partitions_are_read(
    every: list[list[Stored]], sizes: list[int]
) -> None:
    assert merged(every, [1000]) == merged(every, sizes)


@given(logs, st.lists(st.integers(1, 9), min_size=1, max_size=7))
def test_every_record_comes_once_and_those_of_a_partition_as_they_stand(
    every: list[list[Stored]], sizes: list[int]
) -> None:
    told = merged(every, sizes)

    assert every == [[one for one in told if one.partition == p] for p in range(PARTITIONS)]


def test_records_come_by_time_and_then_by_partition() -> None:
    late, early, twin = record(0, 0, 9), record(1, 0, 3), record(2, 0, 9)

    assert [early, late, twin] == merged([[late], [early], [twin]], [1])


def test_nothing_comes_while_a_partition_may_still_have_something_older() -> None:
    merge = Merge({0, 1})
    merge.add(0, [record(0, 0, 9)])

    assert [] == merge.take()
