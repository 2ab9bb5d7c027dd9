"""The traces of commands in hand: from the record that brought a command to its result.

A command whose record bore no trace context is not kept. More than LIMIT are not either: a result
then begins a trace of its own, and nothing else is lost.
"""

from contextlib import AbstractContextManager
from time import time
from typing import NamedTuple

from topics.models import UpdateResult
from topics.trace import Given, Headers, carried, span

LIMIT = 10_000


class _Begun(NamedTuple):
    headers: Headers
    at: float


class Traces:
    """By command id."""

    def __init__(self) -> None:
        self._begun: dict[str, _Begun] = {}

    def begin(self, command_id: str, headers: Given | None) -> None:
        """A record brought a command."""
        found = carried(headers)
        if found and len(self._begun) < LIMIT:
            self._begun[command_id] = _Begun(found, time())

    def end(self, result: UpdateResult) -> AbstractContextManager[Headers]:
        """A command has a result; the headers for it."""
        begun = self._begun.pop(result.command_id, None)
        headers, at = begun or _Begun([], time())
        told = {"rollcall.outcome": str(result.outcome), "rollcall.letta_calls": result.calls}
        return span("rollcall.write", headers, at, told)
