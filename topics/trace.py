"""Trace context in the headers of records: from a snapshot to its command and to its result.

A game that traces puts W3C's `traceparent` on a snapshot, and what follows from the snapshot bears
it too. With OpenTelemetry's API (the extra `tracing`) each step is a span of its own, exported by
whatever SDK the process has; without it headers pass as they are. A header that is no trace context
is left behind: it came from outside.

    step             span              from                     to
    ---------------  ----------------  -----------------------  ------------------------
    split a world    rollcall.split    the world snapshot       each NPC's snapshot
    decide           rollcall.decide   the snapshot             the command it led to
    write            rollcall.write    the command              its result
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import time
from typing import Any

try:
    from opentelemetry import propagate, trace
except ImportError:  # the extra is not installed
    propagate = trace = None  # type: ignore[assignment]

Headers = list[tuple[str, bytes]]

Given = Iterable[tuple[str, bytes]] | Mapping[str, bytes]
"""Headers as a client library has them."""

_PARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_STATE = re.compile(rb"[ -~]{1,512}")
"""W3C asks for at least 512 characters to be passed on."""


def carried(headers: Given | None) -> Headers:
    """The trace context among a record's headers; nothing where it is none, or damaged."""
    if not headers:
        return []
    found = dict(headers)
    parent, state = found.get("traceparent") or b"", found.get("tracestate") or b""
    if not _PARENT.fullmatch(parent):
        return []
    kept = [("traceparent", parent)]
    return [*kept, ("tracestate", state)] if _STATE.fullmatch(state) else kept


def current() -> Headers:
    """The trace context of the code that runs just now; nothing without OpenTelemetry."""
    if propagate is None:
        return []
    found: dict[str, str] = {}
    propagate.inject(found)
    return _encoded(found)


@contextmanager
def span(
    name: str,
    headers: Given | None,
    began: float | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> Iterator[Headers]:
    """A step from one record to the next; yields the headers of the next.

    No span where the record bears no trace context: most games do not trace. `began`: when the
    step began, seconds since the epoch; None: now.
    """
    before = carried(headers)
    if not before or trace is None or propagate is None:
        yield before
        return
    context = propagate.extract({key: value.decode("ascii") for key, value in before})
    at = int((time() if began is None else began) * 1e9)
    tracer = trace.get_tracer("rollcall")
    with tracer.start_as_current_span(name, context, attributes=attributes, start_time=at):
        yield current()


def _encoded(found: Mapping[str, str]) -> Headers:
    return carried({key: value.encode("ascii", "ignore") for key, value in found.items()})
