import msgspec
import pytest
from click.testing import CliRunner

from ops.bench.filter import command
from ops.bench.filter.command import Jury
from ops.bench.filter.figures import Run
from ops.bench.filter.outputs import outputs_of
from ops.bench.filter.race import Finish
from ops.cli import main
from tests.bench.test_filter_figures import run
from tests.bench.test_filter_outputs import command as sent


def finish(contender: str, *offsets: int) -> Finish:
    outputs = outputs_of([sent(1, offset) for offset in offsets])
    return Finish(run(contender, 1.0), outputs)


def judged(*finishes: Finish) -> list[Run]:
    jury = Jury()
    return [jury.judged(one) for one in finishes]


def test_who_sends_what_rollcall_sent_has_no_fault() -> None:
    runs = judged(finish("rollcall", 1, 2), finish("faust", 1, 2, 2))

    assert [None, None] == [one.fault for one in runs]


def test_who_sends_something_else_has_a_fault_that_names_it() -> None:
    _, faust = judged(finish("rollcall", 1, 2), finish("faust", 1))

    assert "other commands for 1 NPCs: npc-1: npc-1.0.2.aa (action) is missing" == faust.fault


def test_a_later_round_of_rollcall_is_compared_with_its_first() -> None:
    _, again = judged(finish("rollcall", 1), finish("rollcall", 1, 2))

    assert again.fault is not None


def test_where_rollcall_never_finished_nobody_has_a_time() -> None:
    stalled = Finish(msgspec.structs.replace(run("rollcall", 0.0), fault="stood still"), None)

    faults = [one.fault for one in judged(stalled, finish("faust", 1))]

    assert ["stood still", "rollcall has sent nothing to compare with"] == faults


def test_the_bare_consumer_is_not_compared() -> None:
    raw = Finish(run("raw", 1.0), None)

    assert [raw.run] == judged(raw)


def test_without_quix_the_others_race_and_a_sentence_says_how_to_have_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda _: None)

    contenders = command._contenders(())

    assert ("rollcall", "faust", "raw") == contenders
    assert "pip install 'rollcall[bench]'" in capsys.readouterr().err


def test_too_few_records_are_refused_before_anything_starts() -> None:
    words = ["bench", "filter", "--npcs", "900", "--records", "1000"]

    done = CliRunner().invoke(main, words)

    assert 2 == done.exit_code
    assert "at least twice as many as NPCs" in done.output
