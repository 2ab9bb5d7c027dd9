"""The traces of commands in a writer's hands."""

from streams.writer import traces as module
from streams.writer.traces import Traces
from topics.models import Outcome, Reason, UpdateResult

PARENT = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


def result(command_id: str) -> UpdateResult:
    return UpdateResult(
        command_id=command_id,
        npc_id="npc-7",
        reason=Reason.MEMBERS,
        outcome=Outcome.APPLIED,
        observed_at=1.0,
        finished_at=2.0,
    )


def test_a_result_bears_the_trace_of_its_command() -> None:
    traces = Traces()
    traces.begin("a", [PARENT])

    with traces.end(result("a")) as onward:
        assert [PARENT] == onward


def test_a_result_whose_command_had_no_trace_bears_none() -> None:
    traces = Traces()
    traces.begin("a", [PARENT])

    with traces.end(result("b")) as onward:
        assert [] == onward


def test_commands_that_never_end_do_not_pile_up() -> None:
    traces = Traces()
    for number in range(module.LIMIT + 10):
        traces.begin(str(number), [PARENT])

    assert module.LIMIT == len(traces._begun)
