import io
import json

from rich.console import Console

from ops.lag.verdict import Verdict
from ops.top.behind import Behind
from ops.top.document import document
from ops.top.figures import Figures, Freshness, Operation, Standing, Trouble
from ops.top.npcs import Late, Wait
from ops.top.reading import Sight, WorkerSeen
from ops.top.view import LATELY, Course, drawn

FIGURES = Figures(
    seconds=10.0,
    worlds={},
    snapshots={"suppressed": 7.5, "sent": 2.5},
    commands={"members": 1.0, "location": 0.8, "action": 0.4, "profile": 0.2, "stale": 0.1},
    results={"applied": 2.5},
    letta=[Operation("write", 3.0, 0.5, 0.04, 0.09), Operation("read", 2.0, 0.0, None, None)],
    saved=0.875,
    freshness=Freshness(25, 0.1, 0.4, 1.5),
    writer=[Standing("1", 3, {"watched_members": 2}, 1.25, 8, "open", 4)],
    troubles=[Trouble("writer", 7, 2, 9, 0)],
)
WRITER = Behind("rollcall-writer", "commands", True, 1, 1234, 5.5, Verdict.STALL, 8, 3)


def sight(
    figures: Figures | None = FIGURES,
    behind: Behind = WRITER,
    late: str = "npc-1",
    waiting_npcs: int | None = 21,
    workers: tuple[WorkerSeen, ...] = (WorkerSeen("http://a:9400/metrics", "filter", ""),),
    lag_why_not: str = "",
) -> Sight:
    return Sight(
        at=1_795_643_212.4,
        workers=list(workers),
        figures=figures,
        behind=[] if lag_why_not else [behind],
        lag_why_not=lag_why_not,
        late=[Late(late, 12.3456, "members", 1_795_643_200.0)],
        waiting=[Wait("npc-2", 3.0, "location", 2)] if waiting_npcs else [],
        waiting_npcs=waiting_npcs,
    )


def printed(*looks: Sight) -> str:
    course = Course()
    for one in looks:
        course.add(one)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(drawn(looks[-1], course))
    return console.export_text()


def row_of(text: str, *beginning: str) -> list[str]:
    """The words of the line that begins with these."""
    [found] = [line for line in text.splitlines() if line.split()[: len(beginning)] == [*beginning]]
    return found.split()[len(beginning) :]


def test_the_head_tells_of_which_time_the_figures_are_and_what_was_saved() -> None:
    [head] = printed(sight()).splitlines()[:1]

    assert "2026-11-25T21:46:52Z  the last 10.0 s  87.5% of direct mode's Letta calls saved" in head


def test_rates_stand_with_their_largest_parts_and_the_rest() -> None:
    text = printed(sight())

    assert ["10.0", "suppressed", "7.5,", "sent", "2.5"] == row_of(text, "snapshots")
    assert "members 1.0, location 0.8, action 0.4, profile 0.2, others 0.1" in text
    assert "world snapshots" not in text


def test_letta_the_writer_and_the_stages_have_a_row_each() -> None:
    text = printed(sight())

    assert ["3.0", "0.5", "0.04", "s", "0.09", "s"] == row_of(text, "write")
    assert ["3", "1.25", "s", "8", "open", "4", "watched_members", "2"] == row_of(text, "1")
    assert ["7", "+2", "9", "-"] == row_of(text, "writer")[-4:]
    assert "p50 0.10 s  p95 0.40 s  p99 1.50 s  of 25 memories" in text


def test_a_verdict_tells_how_many_partitions_have_it() -> None:
    row = row_of(printed(sight()), "rollcall-writer", "commands")

    assert ["1", "1,234", "5.5", "STALL", "3", "of", "8"] == row


def test_what_a_group_only_follows_is_shown_while_it_is_behind() -> None:
    follows = WRITER._replace(topic="roster", is_input=False)

    assert "roster" in printed(sight(behind=follows))
    assert "roster" not in printed(sight(behind=follows._replace(lag=0)))


def test_npcs_are_named_with_how_late_and_how_long() -> None:
    text = printed(sight())

    assert ["12.35", "s", "members", "2026-11-25T21:46:40Z"] == row_of(text, "npc-1")
    assert ["3.00", "s", "location", "2"] == row_of(text, "npc-2")
    assert "waiting for a result: 21" in text


def test_a_second_look_draws_a_line() -> None:
    quiet = FIGURES._replace(snapshots={"sent": 1.0})

    assert "▂█" in "".join(row_of(printed(sight(quiet), sight()), "snapshots"))
    assert "█" not in printed(sight())


def test_a_line_is_of_the_last_looks_alone() -> None:
    line = "".join(row_of(printed(*[sight()] * (LATELY + 9)), "results"))

    assert LATELY == line.count("█")


def test_without_workers_there_is_advice_and_the_topics_still_tell() -> None:
    text = printed(sight(figures=None, workers=()))

    assert "no workers' metrics: name them with --metrics" in text
    assert "npc-1" in text
    assert "STALL" in text


def test_a_worker_that_does_not_answer_is_named() -> None:
    away = WorkerSeen("http://a:9400/metrics", "", "nobody answers there")

    assert "a:9400 nobody answers there" in printed(sight(figures=None, workers=(away,)))


def test_lag_that_could_not_be_read_is_told() -> None:
    assert "consumer lag not read: no answer" in printed(sight(lag_why_not="no answer"))


def test_nobody_is_said_to_wait_before_all_has_been_read() -> None:
    assert "still being read" in printed(sight(waiting_npcs=None))
    assert "waiting for a result: 0" in printed(sight(waiting_npcs=0))


def test_what_others_wrote_cannot_act_on_the_terminal() -> None:
    strange = "\x1b[31mred\u202e"
    figures = FIGURES._replace(
        snapshots={strange: 1.0},
        letta=[Operation(strange, 1.0, 0.0, None, None)],
        writer=[Standing(strange, 0, {strange: 1}, 0.0, 1, "closed", 0)],
        troubles=[Trouble(strange, 1, 0, 0, 0)],
    )
    text = printed(sight(figures, late=strange, lag_why_not=strange))

    assert 8 == text.count("\\x1b[31mred\\u202e")
    assert not {"\x1b", "\u202e"} & set(text)


def test_markup_in_a_name_is_text() -> None:
    assert "[bold]npc[/bold]" in printed(sight(late="[bold]npc[/bold]"))


def test_json_tells_all_of_it_in_plain_figures() -> None:
    told = json.loads(json.dumps(document(sight())))

    assert {"seconds": 12.3456, "npc_id": "npc-1"}.items() <= told["told_late"][0].items()
    assert (0.875, 10.0) == (told["metrics"]["saved"], told["metrics"]["seconds"])
    assert "write" == told["metrics"]["letta"][0]["operation"]
    assert {"lag": 1234, "verdict": "STALL", "judged": 3}.items() <= told["lag"][0].items()
    assert 21 == told["waiting_npcs"]


def test_json_of_a_look_without_workers_has_no_metrics() -> None:
    assert document(sight(figures=None))["metrics"] is None
