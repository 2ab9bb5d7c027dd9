"""An NPC's memory as a person reads it: a card, a list of changes, and what stands in Letta. Pure.

Whatever comes from records or from Letta goes through `visible`, so that nothing acts on a
terminal. Signs: + came, - went, ~ is different, ! somebody else had a hand in it.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator

from rich.text import Text

from ops.history.memory import Change, Kind, Memory, changes
from ops.history.standing import Addition, Live, Standing, Verdict
from ops.history.timeline import Confirmations, Entry, Timeline
from ops.moment import iso
from ops.visible import visible
from topics.catalogue import BY_NAME, NPC_UPDATE_COMMANDS, NPC_UPDATE_RESULTS
from topics.models import Conflict, Editor, Member, Outcome

_SHOWN = 400
"""Characters of one foreign value."""

_INDENT = "  "
_STYLES = {"+": "green", "-": "red", "~": "yellow", "!": "bold magenta"}
_OUTCOMES = {
    Outcome.APPLIED: "bold green",
    Outcome.REPAIRED: "bold magenta",
    Outcome.FAILED: "bold red",
}


def card(npc_id: str, timeline: Timeline) -> Iterator[Text]:
    """The memory after the last entry, and what has gone on since."""
    newest = timeline.newest
    yield _field("npc", npc_id)
    if newest is None:
        yield _field("memory", "not known: of no command is it known that it was written")
    else:
        yield _field("as of", iso(newest.result.finished_at))
        yield _field("result", f"{newest.result.outcome.value} {_origin(newest)}")
        yield from _memory(newest.after)
        yield from _hands(newest)
    yield from _failures(timeline.failures)
    yield from pending_lines(timeline)


def entry_lines(entry: Entry | Confirmations) -> Iterator[Text]:
    """An entry of the list of changes, or a run of confirmations in one line."""
    if isinstance(entry, Confirmations):
        yield _confirmations(entry)
        return
    result = entry.result
    head = Text.assemble(
        (iso(result.finished_at), "bold"),
        "  ",
        (result.outcome.value, _OUTCOMES.get(result.outcome, "")),
        f" {_origin(entry)}",
    )
    yield head
    if entry.is_beginning:
        yield Text(f"{_INDENT}what is known begins here:")
        yield from (_indented(line) for line in _memory(entry.after))
    yield from (_indented(change_line(change)) for change in entry.changes)
    yield from (_indented(line) for line in _hands(entry))


def change_line(change: Change) -> Text:
    """A change in a sign and words."""
    sign, words = _words(change)
    return _signed(sign, words)


def pending_lines(timeline: Timeline) -> Iterator[Text]:
    """Commands that are still on their way."""
    for command in timeline.pending:
        yield _field("pending", f"({command.reason.value}), issued at {iso(command.issued_at)}")


def live_lines(live: Live, known: Memory) -> Iterator[Text]:
    """What stands in Letta now. `known`: the memory as the history has it."""
    if live.trouble is not None:
        yield _field("in Letta", live.trouble)
        return
    yield _field("in Letta", f"agent {_shown(live.agent_id or '?')}")
    for block in live.blocks:
        yield from (_indented(line) for line in _block(block, known))


def reach(timeline: Timeline) -> str:
    """How far back the history goes, and why no farther."""
    start = "There is no record yet" if timeline.since is None else f"From {iso(timeline.since)} on"
    return f"{start}: {kept()}."


def kept() -> str:
    """How long the topics keep what a history is made of."""
    results, commands = BY_NAME[NPC_UPDATE_RESULTS], BY_NAME[NPC_UPDATE_COMMANDS]
    return (
        f"results are kept {_span(results.retention)} and commands {_span(commands.retention)}, "
        f"but of commands older than {_span(commands.compaction_lag)} only the newest of each NPC "
        "for sure"
    )


def _span(seconds: int | None) -> str:
    if seconds is None:
        return "for good"
    return f"{seconds // 86_400} days" if seconds > 86_400 else f"{seconds // 3600} hours"


# ---------------------------------------------------------------- parts of a card


def _field(name: str, text: str, style: str = "") -> Text:
    return Text.assemble((f"{name:<12}", "bold"), (text, style))


def _indented(line: Text) -> Text:
    return Text(_INDENT).append_text(line)


def _signed(sign: str, words: str) -> Text:
    return Text(f"{sign} {words}", style=_STYLES[sign])


def _origin(entry: Entry) -> str:
    result = entry.result
    seen = f"({result.reason.value}), seen at {iso(result.observed_at)}"
    wrote = f", wrote {_shown(', '.join(result.blocks))}" if result.blocks else ""
    gone = "" if entry.command else ", its command is no longer on the topic"
    return f"{seen}{wrote}{gone}"


def _memory(memory: Memory) -> Iterator[Text]:
    yield _field("location", _known(memory.location))
    yield _field("action", _known(memory.action))
    if memory.members is None:
        yield _field("members", _known(None))
        return
    yield _field("members", str(len(memory.members)) if memory.members else "nobody")
    for member in memory.members:
        looks = f": {_shown(member.appearance)}" if member.appearance else ""
        yield _indented(Text(f"{_who(member)}{looks}"))


def _known(text: str | None) -> str:
    return "not known" if text is None else _shown(text)


def _who(member: Member | None) -> str:
    if member is None:
        return "somebody"
    name, identity = _shown(member.name), _shown(member.id)
    return name if name == identity else f"{name} ({identity})"


def _hands(entry: Entry) -> Iterator[Text]:
    """Errors, and what somebody else had made of the game's part."""
    if entry.result.error:
        yield _signed("!", _shown(entry.result.error))
    for conflict in entry.result.conflicts:
        yield _signed("!", _conflict(conflict))


def _conflict(conflict: Conflict) -> str:
    who = "a write-back, it seems," if conflict.by is Editor.AGENT else "somebody"
    kept = "it is not there now" if conflict.kept is None else f"{_json(conflict.kept)} was kept"
    return f"{_shown(conflict.path)}: {who} had {_made(conflict)}; {kept}"


def _made(conflict: Conflict) -> str:
    """What became of a field; null is a field that is not there."""
    if conflict.base is None:
        return f"put {_json(conflict.theirs)} there"
    if conflict.theirs is None:
        return f"taken {_json(conflict.base)} out"
    return f"made {_json(conflict.theirs)} of {_json(conflict.base)}"


def _failures(failures: tuple[Entry, ...]) -> Iterator[Text]:
    if failures:
        last = failures[-1].result
        count = "once" if len(failures) == 1 else f"{len(failures):,} times"
        why = f", last at {iso(last.finished_at)}: {_shown(last.error or 'no reason told')}"
        yield _field("failed", f"{count} since{why}", _OUTCOMES[Outcome.FAILED])


def _confirmations(run: Confirmations) -> Text:
    counts = Counter(entry.result.outcome.value for entry in run.entries)
    told = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items())
    last = iso(run.entries[-1].result.finished_at)
    return Text(
        f"{iso(run.entries[0].result.finished_at)}  nothing new until {last}: {told}", "dim"
    )


# ---------------------------------------------------------------- changes


def _words(change: Change) -> tuple[str, str]:
    who, before, after = _who(change.member), _quoted(change.before), _quoted(change.after)
    match change.kind:
        case Kind.JOINED:
            appearance = change.member.appearance if change.member else ""
            return "+", f"{who} joined{f': {_shown(appearance)}' if appearance else ''}"
        case Kind.LEFT:
            return "-", f"{who} left"
        case Kind.IDENTIFIED:
            return "~", f"{who} is who was known as {before}"
        case Kind.RENAMED:
            return "~", f"{who} was called {before}"
        case Kind.APPEARANCE:
            return "~", f"{who} looks like {after}, before {before}"
        case Kind.LOCATION | Kind.ACTION:
            return "~", f"{change.kind.value} {after}, before {before}"


def _quoted(text: str | None) -> str:
    return "nothing" if not text else _json(text)


# ---------------------------------------------------------------- Letta


def _block(block: Standing, known: Memory) -> Iterator[Text]:
    yield Text.assemble((f"{block.label:<15}", "bold"), _verdict(block))
    if block.verdict is Verdict.FOREIGN:
        yield from (_indented(line) for line in _memory(block.memory) if "not known" not in line)
    yield from (_indented(_edit(change)) for change in block.changes)
    yield from _unlike_history(block, known)
    yield from (_indented(_addition(addition)) for addition in block.additions)


def _verdict(block: Standing) -> str:
    seen = f", seen at {iso(block.observed_at)}" if block.observed_at is not None else ""
    match block.verdict:
        case Verdict.MISSING:
            return "is not there yet"
        case Verdict.FOREIGN:
            return "was never written by rollcall"
        case Verdict.AS_WRITTEN:
            return f"as rollcall wrote it{seen}"
        case Verdict.EDITED:
            what = "the game's part, too" if block.changes else "not the game's part"
            return f"edited since rollcall wrote it{seen}; {what}"


def _edit(change: Change) -> Text:
    """What somebody else made of the game's part: nobody joined or left."""
    match change.kind:
        case Kind.JOINED:
            return _signed("!", f"{_who(change.member)} was put there")
        case Kind.LEFT:
            return _signed("!", f"{_who(change.member)} was taken out")
        case _:
            return _signed("!", _words(change)[1])


def unlike_history(block: Standing, known: Memory) -> tuple[Change, ...]:
    """Where an unedited block is not what the history ends with. Appearances are left out: a real
    one of the NPC's may stand for an empty one of the game's, and a full block shortens them.
    """
    if block.verdict is not Verdict.AS_WRITTEN:
        return ()
    return tuple(c for c in changes(known, block.memory) if c.kind is not Kind.APPEARANCE)


def _unlike_history(block: Standing, known: Memory) -> Iterator[Text]:
    unlike = unlike_history(block, known)
    if unlike:
        yield _indented(Text("which is not what the history ends with:"))
    yield from (_indented(change_line(change)) for change in unlike)


def _addition(addition: Addition) -> Text:
    return Text.assemble(
        ("the NPC's own  ", "cyan"), f"{_shown(addition.path)}: {_json(addition.value)}"
    )


# ---------------------------------------------------------------- foreign text


def _shown(text: str) -> str:
    return visible(text.encode(errors="backslashreplace"), _SHOWN)


def _json(value: object) -> str:
    return _shown(json.dumps(value, ensure_ascii=False))


def joined(groups: Iterable[Iterable[Text]]) -> Iterator[Text]:
    """Groups of lines with an empty line between them."""
    for at, lines in enumerate(groups):
        if at:
            yield Text()
        yield from lines
