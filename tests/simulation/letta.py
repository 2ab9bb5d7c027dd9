"""Letta as facts have it: no compare-and-swap, NPCs that edit, tools that write old values back.

The server keeps a ledger of every token an NPC wrote, so that a lost note shows at the very write
that lost it. A write may lose a note only where nobody could have known of it:

    window                    the note was written
    ------------------------  --------------------------------------------------------------------
    between read and write    after the read that this write was made from (without a 409 since)
    reverse clobber           while a tool of the NPC's own ran, which wrote the old value back

In the split layout there is no window between read and write: the NPC notes in `group_notes`, which
nobody of us may write, and what it may edit is never written.

The same for older state over newer: only where the newer one came after the read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from streams.settings import Layout
from streams.writer.store import (
    RUNS_LISTED,
    AgentMissingError,
    AgentRun,
    Block,
    BlockMissingError,
    ConflictError,
    StoreError,
    TemporaryError,
)
from tests.simulation.notes import OUR_KEY, Shelf

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

TIMEOUT = 3.0
"""Virtual seconds after which the writer gives a call up; the server may still carry it out."""

GROUP, STATUS, NOTES = "group_members", "status", "group_notes"


class Mark(NamedTuple):
    """How new the game's part of a block is, told without the writer's own code."""

    observed_at: float
    offset: int
    command_offset: int

    def is_older_than(self, other: Mark) -> bool:
        """Older in every respect; a command whose place nobody noted is as new as any."""
        is_same_look = self.offset == other.offset or self.observed_at == other.observed_at
        if is_same_look and min(self.command_offset, other.command_offset) >= 0:
            return self.command_offset < other.command_offset
        return (self.observed_at, self.offset) < other[:2] and self.offset < other.offset


@dataclass(slots=True)
class Stored:
    """A block on the server. `tokens`: what the NPC wrote, and the version that had it first."""

    id: str
    label: str
    npc_id: str
    value: str
    metadata: dict[str, Any]
    read_only: bool = False
    version: int = 0
    tokens: dict[str, int] = field(default_factory=dict)

    reverted: set[str] = field(default_factory=set)
    """Tokens that a write-back took; the stamp's copy of the NPC's part may bring them back."""

    def text(self) -> str:
        return self.value + orjson.dumps(self.metadata).decode()

    def shown(self) -> str:
        """The value and what waits in the metadata, without the stamp's copy of the value."""
        return _shown(self.value, self.metadata)

    def mark(self) -> Mark:
        """How new the game's part is."""
        return _mark(self.metadata)


@dataclass(frozen=True, slots=True)
class Fault:
    """How a call goes wrong. `is_applied`: the server did it all the same."""

    kind: str
    error: Callable[[], StoreError]
    is_applied: bool = False


FAULTS = (
    Fault("refused", lambda: TemporaryError("refused")),
    Fault("503", lambda: TemporaryError("503")),
    Fault("429", lambda: TemporaryError("429", delay=1.5)),
    Fault("reset before", lambda: TemporaryError("reset")),
    Fault("reset after applying", lambda: TemporaryError("reset"), is_applied=True),
    Fault("timeout", lambda: TemporaryError("timeout"), is_applied=True),
)
CONFLICT = Fault("409", lambda: ConflictError("409"))


class Letta:
    """The server with all agents."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.failures = 0.0
        """Share of calls that go wrong."""
        self.outage_until = 0.0
        self.agents: dict[str, dict[str, Stored]] = {}
        self.tags: dict[str, str] = {}
        self.excused: dict[str, set[str]] = {}
        """Windows by NPC after which its memory may be wrong until the next full push."""
        self.running = 0
        self.runs: list[AgentRun] = []
        self.shelf = Shelf(world)
        self._written = 0
        self._is_late = False
        """Whoever sent what is done just now has given it up, or is dead."""

    def add_agent(self, npc_id: str, agent_id: str, blocks: dict[str, str]) -> None:
        self.agents[agent_id] = {
            label: Stored(f"{agent_id}-{label}", label, npc_id, value, {})
            for label, value in blocks.items()
        }
        for block in self.agents[agent_id].values():
            block.tokens = {"<0>": 0} if "<0>" in block.value else {}
        self.tags[npc_id] = agent_id

    def block(self, block_id: str) -> Stored | None:
        agent_id, _, label = block_id.rpartition("-")
        return self.agents.get(agent_id, {}).get(label)

    def begin_run(self, agent_id: str) -> AgentRun:
        run = AgentRun(id=f"run-{len(self.runs)}", agent_id=agent_id, is_active=True)
        self.runs.insert(0, run)
        return run

    def end_run(self, run: AgentRun) -> None:
        self.runs[self.runs.index(run)] = AgentRun(
            id=run.id, agent_id=run.agent_id, is_active=False
        )

    # what a call comes to

    def fault(self, operation: str) -> Fault | None:
        random = self.world.random
        if self.world.timeline.now < self.outage_until:
            return FAULTS[random.randrange(2)]
        if random.random() >= self.failures:
            return None
        if operation == "write" and random.random() < 0.4:
            return CONFLICT
        return random.choice(FAULTS)

    async def call(
        self, process: Process, what: str, operation: str, act: Callable[[], Any]
    ) -> Any:
        """One request: on its way, done at the server, and the answer on its way back."""
        process.step(f"asks Letta: {what}")
        world, random = self.world, self.world.random
        answer = process.node.create_future()
        fault = self.fault(operation)
        there, back = random.uniform(0.01, 0.06), random.uniform(0.01, 0.08)
        if random.random() < 0.05:
            there += random.uniform(0.2, 2.0)
        if fault is not None:
            world.trace.fault(f"letta {fault.kind}", process.name, what)
        if fault is not None and fault.kind == "timeout":
            back = TIMEOUT
            there = random.uniform(0.1, 2 * TIMEOUT)
        if fault is CONFLICT and random.random() < 0.7:
            world.npcs.edit_block(what.split()[1], "a 409 tells of it")
        self.running += 1
        world.timeline.after(there, self._do, process, what, act, fault, answer, back)
        if fault is not None and fault.kind == "timeout":
            world.timeline.after(TIMEOUT, self._answer, process, answer, fault, None)
        return await answer

    def _do(
        self, process: Process, what: str, act: Any, fault: Fault | None, answer: Any, back: float
    ) -> None:
        result: Any = None
        if process.node.is_dead and self.world.random.random() < 0.3:
            fault = FAULTS[0]  # never left the dying process
        if fault is None or fault.is_applied:
            self._is_late = answer.done() or process.node.is_dead
            try:
                result = act()
            except StoreError as error:
                result = error
        self.running -= 1
        self.world.trace.say("letta", f"{what} done for {process.name}")
        if fault is None or fault.kind != "timeout":
            self.world.timeline.after(back, self._answer, process, answer, fault, result)

    def _answer(self, process: Process, answer: Any, fault: Fault | None, result: Any) -> None:
        if process.node.is_dead or answer.done() or not process.survives("hears from Letta"):
            return
        if fault is not None:
            answer.set_exception(fault.error())
        elif isinstance(result, StoreError):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    # what happens to a block

    def overwrite(
        self, block: Stored, value: str, metadata: dict[str, Any], known: int, who: str
    ) -> None:
        """The writer's write is carried out. `known`: the version it was made from."""
        self.look_for_notes(block, value, metadata, known, who)
        self._count_restored(block, _shown(value, metadata) + self.shelf.text(block, metadata))
        if block.label == NOTES:
            self.world.trace.broke(f"{who} wrote the notes of {block.npc_id}")
        self._check_age(block, _mark(metadata), known, who)
        if self._is_late:
            self.world.trace.fault("write landed late", block.npc_id, block.label)
            self.excuse(block.npc_id, "write landed late")
        block.value, block.metadata = value, metadata
        block.version += 1
        self._written += 1

    def look_for_notes(
        self, block: Stored, value: str, metadata: dict[str, Any], known: int, who: str
    ) -> None:
        """Every note must be in the block, or kept in the Table. `known`: as in `overwrite`."""
        text = value + orjson.dumps(metadata).decode()
        missing = [token for token in block.tokens if token not in text]
        kept = self.shelf.text(block, metadata) if missing else ""
        for token in missing:
            if token not in kept:
                is_new = block.tokens.pop(token) > known and self.world.layout is Layout.SHARED
                window = "between read and write" if is_new else None
                is_reverted = token in block.reverted
                self._lost(block, token, "reverse clobber" if is_reverted else window, who)

    def write_back(self, block: Stored, value: str) -> None:
        """An agent's tool ran: what it held when it began is written back, metadata stays."""
        if value == block.value:
            return
        self.world.trace.fault("reverse clobber", block.npc_id, block.label)
        self.excuse(block.npc_id, "reverse clobber")
        block.value = value
        block.version += 1
        text = block.text() + self.shelf.text(block)
        for token in [token for token in block.tokens if token not in text]:
            del block.tokens[token]
            self._lost(block, token, "reverse clobber", block.npc_id)
        shown = block.shown() + self.shelf.text(block)
        block.reverted |= {token for token in block.tokens if token not in shown}

    def _count_restored(self, block: Stored, shown: str) -> None:
        restored = {token for token in block.reverted if token in shown}
        self.world.trace.counts["note restored after a reverse clobber"] += len(restored)
        block.reverted -= restored

    def excuse(self, npc_id: str, window: str) -> None:
        self.excused.setdefault(npc_id, set()).add(window)

    def _lost(self, block: Stored, token: str, window: str | None, who: str) -> None:
        if window is None:
            self.world.trace.broke(
                f"{who} lost note {token} of {block.npc_id} from {block.label}, knowing of it"
            )
        else:
            self.world.trace.fault(f"note lost: {window}", block.npc_id, token)

    def _check_age(self, block: Stored, new: Mark, known: int, who: str) -> None:
        """A command is older when its record is; or of the same record, and sent earlier."""
        old = block.mark()
        if not new.is_older_than(old):
            return
        if block.version > known:
            window = "older over newer, between read and write"
        else:
            self.world.trace.broke(
                f"{who} wrote {new} over {old} of {block.npc_id}, having read it"
            )
            return
        self.world.trace.fault(window, who, f"{new} over {old} of {block.npc_id}")
        self.excuse(block.npc_id, window)


class SimulatedStore:
    """One process's door to the server."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._known: dict[str, int] = {}

    def observed_by(self, on_call: Any) -> SimulatedStore:
        return self

    async def close(self) -> None:
        return None

    def known(self, block_id: str) -> int:
        """The version of a block that was read last; -1 for none."""
        return self._known.get(block_id, -1)

    async def find_agents(self, npc_ids: Sequence[str]) -> dict[str, str]:
        letta = self._letta
        found: dict[str, str] = await letta.call(
            self._process,
            f"tags {','.join(npc_ids)}",
            "find",
            lambda: {n: letta.tags[n] for n in npc_ids if n in letta.tags},
        )
        return found

    async def read(self, agent_id: str) -> dict[str, Block]:
        def act() -> dict[str, Block]:
            if agent_id not in self._letta.agents:
                raise AgentMissingError(agent_id)
            blocks = self._letta.agents[agent_id]
            for block in blocks.values():
                seen[block.id] = block.version
            return {label: _as_read(block) for label, block in blocks.items()}

        seen: dict[str, int] = {}
        blocks: dict[str, Block] = await self._letta.call(
            self._process, f"read {agent_id}", "read", act
        )
        self._known.update(seen)
        if blocks:
            self._process.world.npcs.tempted(agent_id)
        return blocks

    async def write(self, block_id: str, value: str, metadata: dict[str, Any]) -> None:
        def act() -> None:
            block = self._letta.block(block_id)
            if block is None:
                raise BlockMissingError(block_id)
            self._letta.overwrite(block, value, kept, known, self._process.name)

        known, kept = self._known.get(block_id, -1), _copy(metadata)
        try:
            await self._letta.call(self._process, f"write {block_id}", "write", act)
        except ConflictError:
            block = self._letta.block(block_id)
            self._known[block_id] = block.version if block else -1  # it was told: read again
            raise

    async def runs(self) -> list[AgentRun]:
        listed: list[AgentRun] = await self._letta.call(
            self._process, "runs", "runs", lambda: list(self._letta.runs[:RUNS_LISTED])
        )
        return listed

    async def change(
        self,
        block_id: str,
        *,
        read_only: bool | None = None,
        description: str | None = None,
        limit: int | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        def act() -> None:
            block = self._letta.block(block_id)
            if block is None:
                raise BlockMissingError(block_id)
            block.read_only = block.read_only if read_only is None else read_only
            if kept is not None:
                self._letta.overwrite(block, block.value, kept, known, self._process.name)

        known = self._known.get(block_id, -1)
        kept = None if metadata is None else _copy(metadata)
        await self._letta.call(self._process, f"change {block_id}", "change", act)

    async def delete(self, block_id: str) -> None:
        raise AssertionError("no writer takes a block away")

    async def create(
        self,
        agent_id: str,
        label: str,
        value: str,
        metadata: dict[str, Any],
        description: str,
        *,
        read_only: bool = False,
        limit: int = 0,
    ) -> Block:
        def act() -> Block:
            blocks = self._letta.agents.get(agent_id)
            if blocks is None:
                raise AgentMissingError(agent_id)
            if label in blocks:
                raise ConflictError(label)
            npc_id = next(n for n, a in self._letta.tags.items() if a == agent_id)
            blocks[label] = Stored(f"{agent_id}-{label}", label, npc_id, value, kept, read_only)
            return _as_read(blocks[label])

        kept = _copy(metadata)
        made: Block = await self._letta.call(
            self._process, f"create {agent_id}-{label}", "create", act
        )
        return made

    @property
    def _letta(self) -> Letta:
        return self._process.world.letta


class Npcs:
    """What the NPCs do to their own blocks."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_quiet = False
        self.about: dict[str, str] = {}
        """The member each token is about, if it is about one."""
        self._tokens = 0

    def edit_any(self) -> None:
        """Some NPC writes something now."""
        blocks = [b for blocks in self.world.letta.agents.values() for b in blocks.values()]
        if blocks:
            self._edit(self.world.random.choice(blocks), "")

    def edit_block(self, block_id: str, why: str) -> None:
        block = self.world.letta.block(block_id)
        if block is not None and not self.is_quiet:
            self._edit(block, why)

    def tempted(self, agent_id: str) -> None:
        """Somebody has just read: some NPCs write right then."""
        if not self.is_quiet and self.world.random.random() < 0.06:
            label = self.world.random.choice((GROUP, STATUS))
            delay = self.world.random.uniform(0.0, 0.1)
            self.world.timeline.after(
                delay, self.edit_block, f"{agent_id}-{label}", "between read and write"
            )

    def run_tool(self) -> None:
        """A tool runs for a while and in the end writes back what it held."""
        letta, random = self.world.letta, self.world.random
        agent_id = random.choice(sorted(letta.agents)) if letta.agents else None
        if agent_id is not None and not self.is_quiet:
            blocks = letta.agents[agent_id].values()
            held = {b.id: b.value for b in blocks if b.label != NOTES}  # its own it knows of
            letta.running += 1
            run = letta.begin_run(agent_id)
            self.world.timeline.after(random.uniform(0.2, 3.0), self._tool_ends, held, run)

    def _tool_ends(self, held: dict[str, str], run: AgentRun) -> None:
        self.world.letta.running -= 1
        self.world.letta.end_run(run)
        for block_id, value in held.items():
            block = self.world.letta.block(block_id)
            if block is not None:
                self.world.letta.write_back(block, value)

    def _edit(self, block: Stored, why: str) -> None:
        if block.read_only:  # the tool refuses, so the note goes where it belongs
            block = self.world.letta.agents[block.id.rpartition("-")[0]][NOTES]
        self._tokens += 1
        token = f"<{self._tokens}>"
        block.value = self._edited(block, token)
        block.version += 1
        block.tokens[token] = block.version
        self.world.trace.counts["npc edits"] += 1
        self.world.trace.say(block.npc_id, f"notes {token} in {block.label} {why}")

    def _edited(self, block: Stored, token: str) -> str:
        random = self.world.random
        document = _document(block.value)
        if document is None or random.random() < 0.15:
            return f"{block.value}\n{token}" if block.value else token
        members = document.get("members")
        if block.label == STATUS or not isinstance(members, dict) or random.random() < 0.2:
            field = random.choice(("plan", "mood"))
            document[field] = f"{document.get(field, '')} {token}".strip()
        elif not members or random.random() < 0.15:
            members[f"ghost-{token[1:-1]}"] = {"notes": token}
        else:
            who = random.choice(sorted(members))
            self._note(members, who, token)
        return json.dumps(document)

    def _note(self, members: dict[str, Any], who: str, token: str) -> None:
        entry = members[who] if isinstance(members[who], dict) else {"notes": str(members[who])}
        field = self.world.random.choice(("notes", "notes", "trust"))
        members[who] = {**entry, field: f"{entry.get(field, '')} {token}".strip()}
        if not who.startswith("ghost"):
            self.about[token] = who


def _document(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _shown(value: str, metadata: dict[str, Any]) -> str:
    noted = {**(metadata.get(OUR_KEY) or {})}
    noted.pop("own", None)
    return value + orjson.dumps({**metadata, OUR_KEY: noted}).decode()


def _mark(metadata: dict[str, Any]) -> Mark:
    noted = metadata.get(OUR_KEY) or {}
    names = (("observed_at", 0.0), ("offset", -1), ("command_offset", -1))
    return Mark(*(noted.get(name, default) for name, default in names))


def _copy(metadata: dict[str, Any]) -> dict[str, Any]:
    copied: dict[str, Any] = orjson.loads(orjson.dumps(metadata))
    return copied


def _as_read(block: Stored) -> Block:
    return Block(
        id=block.id,
        label=block.label,
        value=block.value,
        metadata=_copy(block.metadata),
        limit=100_000,
        read_only=block.read_only,
    )
