"""Accounts for people, and as JSON."""

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from ops.explain.account import Account, Fate, Sent
from ops.history.view import change_line
from ops.moment import iso
from ops.visible import visible
from topics.models import Outcome

_SHOWN = 300
_COLOURS = {
    Fate.SENT: "bold green",
    Fate.SUPPRESSED: "dim",
    Fate.OUTDATED: "yellow",
    Fate.DISABLED: "yellow",
    Fate.DEAD_LETTER: "bold red",
    Fate.UNEXPLAINED: "bold magenta",
    Fate.UNKNOWN: "dim",
}


def lines(account: Account) -> Iterator[Text]:
    """One snapshot and what followed from it."""
    seen = account.seen
    when = seen.snapshot.observed_at if seen.snapshot else seen.at
    yield Text.assemble(
        (iso(when), "bold"),
        "  ",
        (account.fate.value.replace("_", " "), _COLOURS[account.fate]),
        f"  {_shown(account.why)}",
        (f"  {_shown(seen.place[0])}/{seen.place[1]}@{seen.place[2]}", "dim"),
    )
    if account.sent is not None:
        yield from _sent_lines(account.sent)
    for one in account.later:
        yield Text(f"  afterwards: {one.command.reason.value}", style="cyan")
        yield from _sent_lines(one)


def _sent_lines(sent: Sent) -> Iterator[Text]:
    for change in sent.changes:
        yield Text("  ").append_text(change_line(change))
    yield Text("  ").append_text(_end(sent))


def _end(sent: Sent) -> Text:
    result, command = sent.result, sent.command
    issued = f"command after {_age(command.issued_at - command.observed_at)}"
    if result is None:
        return Text(f"{issued}; no result yet", style="magenta")
    colour = "bold red" if result.outcome is Outcome.FAILED else ""
    wrote = f", wrote {', '.join(map(_shown, result.blocks))}" if result.blocks else ""
    calls = f"{result.calls} Letta call{'' if result.calls == 1 else 's'}"
    tries = f" in {result.attempts} attempts" if result.attempts > 1 else ""
    error = f": {_shown(result.error)}" if result.error else ""
    conflicts = f", {len(result.conflicts)} conflicts" if result.conflicts else ""
    ended = f"{result.outcome.value} after {_age(result.finished_at - command.observed_at)}"
    return Text(f"{issued}; {ended}, {calls}{tries}{wrote}{conflicts}{error}", style=colour)


def document(account: Account) -> dict[str, Any]:
    """The same for programs."""
    topic, partition, offset = account.seen.place
    snapshot = account.seen.snapshot
    return {
        "source": {"topic": topic, "partition": partition, "offset": offset},
        "observed_at": snapshot.observed_at if snapshot else None,
        "fate": account.fate.value,
        "why": account.why,
        "command": _command(account.sent) if account.sent else None,
        "later": [_command(one) for one in account.later],
    }


def _command(sent: Sent) -> dict[str, Any]:
    command, result = sent.command, sent.result
    return {
        "command_id": command.command_id,
        "reason": command.reason.value,
        "issued_after": round(command.issued_at - command.observed_at, 3),
        "changes": [change_line(change).plain for change in sent.changes],
        "result": None
        if result is None
        else {
            "outcome": result.outcome.value,
            "finished_after": round(result.finished_at - command.observed_at, 3),
            "calls": result.calls,
            "attempts": result.attempts,
            "blocks": list(result.blocks),
            "conflicts": len(result.conflicts),
            "error": result.error,
        },
    }


def _age(seconds: float) -> str:
    return f"{round(seconds, 2) + 0.0:.2f} s"  # + 0.0: never -0.00


def _shown(text: str) -> str:
    return visible(text.encode(errors="backslashreplace"), _SHOWN)
