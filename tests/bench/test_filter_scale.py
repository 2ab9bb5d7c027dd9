"""`rollcall bench filter-scale` reckons pauses and phases right."""

from ops.bench.filter_scale.pauses import Pause, event, pauses
from ops.bench.filter_scale.phases import phases


def test_the_pause_is_the_longest_gap_that_touches_the_event() -> None:
    appended = {0: [1.0, 2.0, 3.0, 7.5, 8.0, 9.0]}

    found = pauses(appended, calm=0.0, begin=3.5, end=9.5)

    assert found == {0: (4.5, 1.0)}


def test_a_gap_before_the_event_is_not_its_pause() -> None:
    appended = {0: [1.0, 5.0, 5.5, 6.0, 6.5]}

    (longest, _) = pauses(appended, calm=0.0, begin=5.6, end=7.0)[0]

    assert longest == 0.5


def test_a_partition_that_stays_silent_has_paused_to_the_end() -> None:
    assert pauses({0: [1.0, 2.0], 1: []}, calm=0.0, begin=2.5, end=12.0) == {
        0: (10.0, 1.0),
        1: (9.5, 0.0),
    }


def test_commands_of_one_batch_do_not_make_the_usual_gap_shorter() -> None:
    (_, usual) = pauses({0: [1.0, 1.0, 1.0, 3.0, 3.0, 5.0]}, calm=0.0, begin=5.0, end=6.0)[0]

    assert usual == 2.0


def test_an_event_tells_partitions_that_moved_from_those_that_stayed() -> None:
    found = {0: (4.0, 0.5), 1: (1.5, 0.5), 2: (2.5, 0.5)}

    told = event("a worker joins", found, {0: "a", 1: "a", 2: "a"}, {0: "b", 1: "a", 2: "a"})

    assert told.pauses[0] == Pause(partition=0, has_moved=True, longest=4.0, usual=0.5)
    assert told.worst(moved=True) == 3.5
    assert told.worst(moved=False) == 2.0


def test_an_event_in_which_all_moved_says_nothing_of_the_others() -> None:
    told = event("a worker dies", {0: (4.0, 0.5)}, {0: "a"}, {0: "b"})

    assert told.worst(moved=False) is None


def test_phases_are_the_first_times_of_their_events() -> None:
    log = [
        "2026-11-29T15:22:01.500000Z [info     ] worker_starts                  role=filter",
        "no line of ours",
        "2026-11-29T15:22:03.000000Z [info     ] tables_stand       after_seconds=1.0 role=filter",
        "2026-11-29T15:22:09.000000Z [info     ] tables_stand       after_seconds=7.0 role=filter",
    ]

    assert phases(log, 1795965720.0) == {"imported": 1.5, "Tables stand": 3.0}
