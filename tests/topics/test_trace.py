"""Trace context in the headers of records, with and without OpenTelemetry."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from topics import trace

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = ("traceparent", f"00-{TRACE_ID}-b7ad6b7169203331-01".encode())
STATE = ("tracestate", b"game=1")


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What an SDK of the process would export."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(otel, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


def test_trace_context_is_carried_and_other_headers_are_not() -> None:
    found = trace.carried([("tenant", b"7"), PARENT, STATE])

    assert [PARENT, STATE] == found


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [],
        {},
        [STATE],
        [("traceparent", b"")],
        [("traceparent", b"00-" + b"g" * 32 + b"-b7ad6b7169203331-01")],
        [("traceparent", PARENT[1] + b"\n")],
        [("traceparent", None)],
    ],
)
def test_what_is_no_trace_context_is_left_behind(headers: trace.Given | None) -> None:
    assert [] == trace.carried(headers)


@pytest.mark.parametrize("state", [b"", b"x" * 513, b"a=\x1b[2J", b"a=\xff"])
def test_a_damaged_state_is_left_behind_alone(state: bytes) -> None:
    assert [PARENT] == trace.carried([PARENT, ("tracestate", state)])


@given(st.lists(st.tuples(st.sampled_from(["traceparent", "tracestate", "x"]), st.binary())))
def test_no_header_is_refused_with_an_error(headers: list[tuple[str, bytes]]) -> None:
    with trace.span("rollcall.decide", headers) as onward:
        assert onward == trace.carried(onward)


def test_without_opentelemetry_headers_pass_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "trace", None)
    monkeypatch.setattr(trace, "propagate", None)

    with trace.span("rollcall.decide", [PARENT, STATE]) as onward:
        assert [PARENT, STATE] == onward
    assert [] == trace.current()


def test_without_an_sdk_the_trace_of_the_game_goes_on() -> None:
    with trace.span("rollcall.decide", [PARENT]) as onward:
        assert [PARENT] == onward


def test_nothing_is_sent_where_nobody_traces() -> None:
    with trace.span("rollcall.decide", []) as onward:
        assert [] == onward


def test_each_step_is_a_span_whose_parent_is_the_step_before(
    exported: InMemorySpanExporter,
) -> None:
    with trace.span("rollcall.decide", [PARENT], began=1000.0) as command:
        pass
    with trace.span("rollcall.write", command, attributes={"rollcall.letta_calls": 2}):
        pass

    decide, write = exported.get_finished_spans()
    assert ["rollcall.decide", "rollcall.write"] == [decide.name, write.name]
    assert {int(TRACE_ID, 16)} == {one.context.trace_id for one in (decide, write) if one.context}
    assert decide.parent is not None
    assert f"{decide.parent.span_id:016x}" == "b7ad6b7169203331"
    assert write.parent is not None
    assert decide.context is not None
    assert decide.context.span_id == write.parent.span_id
    assert int(1000e9) == decide.start_time
    assert write.attributes is not None
    assert write.attributes["rollcall.letta_calls"] == 2
