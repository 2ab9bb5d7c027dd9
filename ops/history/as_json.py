"""An NPC's memory for programs. Times are seconds since the epoch; null is "not known". Pure."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ops.history.memory import UNKNOWN, Change, Memory
from ops.history.standing import Live, Standing
from ops.history.timeline import Entry, Timeline
from ops.history.view import unlike_history
from topics.models import UpdateCommand


def document(
    npc_id: str,
    timeline: Timeline,
    unreadable: int,
    at: float | None,
    entries: Sequence[Entry] | None,
    live: Live | None,
) -> dict[str, Any]:
    """Everything. `entries` None: the list of changes was not asked for; `live` None: nor Letta."""
    newest = timeline.newest
    known = newest.after if newest else UNKNOWN
    return {
        "npc_id": npc_id,
        "at": at,
        "since": timeline.since,
        "unreadable": unreadable,
        "memory": msgspec.to_builtins(known),
        "as_of": _entry(newest) if newest else None,
        "failures": [_entry(entry) for entry in timeline.failures],
        "pending": [_pending(command) for command in timeline.pending],
        "entries": None if entries is None else [_entry(entry) for entry in entries],
        "live": None if live is None else _live(live, known),
    }


def _entry(entry: Entry) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(entry.result)
    return {
        **told,
        "command_on_topic": entry.command is not None,
        "memory": msgspec.to_builtins(entry.after),
        "begins": entry.is_beginning,
        "changes": [_change(change) for change in entry.changes],
    }


def _change(change: Change) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(change._asdict())
    return told


def _pending(command: UpdateCommand) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(command)
    return told


def _live(live: Live, known: Memory) -> dict[str, Any]:
    return {
        "agent_id": live.agent_id,
        "trouble": live.trouble,
        "blocks": [_block(block, known) for block in live.blocks],
    }


def _block(block: Standing, known: Memory) -> dict[str, Any]:
    return {
        "label": block.label,
        "verdict": block.verdict.value,
        "observed_at": block.observed_at,
        "memory": msgspec.to_builtins(block.memory),
        "changes": [_change(change) for change in block.changes],
        "unlike_history": [_change(change) for change in unlike_history(block, known)],
        "additions": [addition._asdict() for addition in block.additions],
    }
