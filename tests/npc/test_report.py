"""The figures of a run, from what was seen."""

from tests.npc.edits import Figures
from tests.npc.ledger import Fate, Write
from tests.npc.report import percentile, report, window
from tests.npc.test_ledger import EDIT


def written(after: float, took: float, label: str = "status") -> Write:
    return Write("npc-1", label, 0.0, 1.0, 1.0 + after, 1.0 + after + took, "", "")


def test_a_percentile_is_one_of_the_values() -> None:
    values = [0.3, 0.1, 0.2, 0.4]

    found = [percentile(values, percent) for percent in (1, 50, 95, 100)]

    assert [0.1, 0.2, 0.4, 0.4] == found
    assert 0.0 == percentile([], 50)


def test_a_window_is_told_of_one_block_and_begins_with_the_answer_to_the_read() -> None:
    writes = [written(0.25, 0.5), written(0.0, 0.5, "group_members")]

    found = window(writes, "status")

    assert (1, 0.25, 0.75) == (found["writes"], found["sent p50"], found["answered p95"])


def test_a_report_counts_each_fate_and_says_by_which_tool_notes_were_lost() -> None:
    refused = EDIT._replace(number=8, how="a whole step")
    figures = Figures(
        seconds=2.0,
        edits=[EDIT, refused],
        fates={EDIT.number: Fate.IN_WINDOW, refused.number: Fate.REFUSED},
        writes=[written(0.25, 0.5)],
    )

    told = report(figures)

    assert (1, 1, 0) == tuple(
        told["fates"][fate] for fate in (Fate.IN_WINDOW, Fate.REFUSED, "kept")
    )
    assert {"core_memory_append": 1} == told["lost by how"]
    assert 0.5 == told["writes a second"]
