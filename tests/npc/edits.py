"""NPCs that edit their memory while the writer writes to it at full rate, on a real Letta.

The writer is the real one (`WriteLoop`, `Reconciler`, `LettaStore`), fed without Kafka: each NPC
has its next command as soon as its last one is done, and each changes members or status. The NPCs
write numbered notes through Letta's own tools, some of them in whole agent steps that a scripted
model drives. In the end each note is looked for, and `ledger` says what became of those that are
not there.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from letta_client import APIError, AsyncLetta
from letta_client.types import ToolReturnMessage

from streams.settings import Layout, Settings
from streams.writer.layout import NOTES
from streams.writer.letta import connect
from streams.writer.limit import FixedLimit
from streams.writer.loop import Update, WriteLoop
from streams.writer.notes import NotesInMemory
from streams.writer.reconcile import GROUP, STATUS, Reconciler
from streams.writer.rules import Rules
from tests.npc.ledger import Edit, Fate, Write, fates, note
from tests.npc.model import ScriptedModel, ToolCall
from tests.npc.witness import Testimony, text_of, witnessed
from tests.writer.agents import NewAgent, agents_on
from tests.writer.commands import command
from topics.models import Member, Outcome, Reason, UpdateCommand, UpdateResult

TOOLS = ("core_memory_append", "core_memory_replace", "memory_insert")
CROWD = tuple(
    Member(id=f"10{number:02}", name=name, appearance=f"{name}, number {number} of the crowd")
    for number, name in enumerate(("Alice", "Bob", "Greta", "Hans", "Ines", "Jack"))
)
FIRST_OBSERVED = 1_795_426_413.0
LONGEST_THOUGHT = 1.0
"""Seconds a model may think in a whole step."""
PATIENCE = 60.0
"""Seconds that one tool or step may take, and the writer to come to an end."""


@dataclass(frozen=True, slots=True)
class Options:
    """`rate`: commands a second over all NPCs, 0: as many as the writer takes, None: no writer.
    `pause`: mean seconds between two edits of one hand. `hands`: edits of one NPC at a time.
    """

    edits: int = 1000
    agents: int = 10
    seed: int = 1
    rate: float | None = 0.0
    pause: float = 1.0
    steps: float = 0.1
    hands: int = 1


@dataclass(slots=True)
class Figures:
    """What a run came to."""

    seconds: float = 0.0
    edits: list[Edit] = field(default_factory=list)
    results: list[UpdateResult] = field(default_factory=list)
    fates: dict[int, Fate] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    reverted: int = 0
    conflicts: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    """NPCs whose memory is not as their last command says."""

    def count(self, fate: Fate) -> int:
        """How many notes ended so."""
        return sum(found is fate for found in self.fates.values())

    @property
    def unexplained(self) -> int:
        """Notes that the design must not lose."""
        return self.count(Fate.LOST) + self.count(Fate.DROPPED)


@dataclass(slots=True)
class Npc:
    """An NPC and what the game said of it last."""

    npc_id: str
    agent_id: str
    chance: Random
    step: int = 0
    members: tuple[Member, ...] = CROWD[:2]
    action: str = "idle"

    def next_command(self, reason: Reason = Reason.MEMBERS) -> UpdateCommand:
        """Other members, or another action; a verification says the same again."""
        self.step += 1
        if reason is not Reason.VERIFY:
            self._change()
        return command(
            *self.members,
            npc_id=self.npc_id,
            action=self.action,
            reason=reason,
            offset=self.step,
            observed_at=FIRST_OBSERVED + self.step,
        )

    def _change(self) -> None:
        others = [member for member in CROWD if member not in self.members]
        if self.chance.random() < 0.5:
            self.members = (*self.members[-2:], self.chance.choice(others))
        else:
            self.action = f"counting to {self.step}"


OnProgress = Callable[[Figures], None]


async def run(
    url: str,
    options: Options,
    settings: Settings | None = None,
    *,
    update: Update | None = None,
    on_progress: OnProgress = lambda _: None,
) -> Figures:
    """Plays the whole of it. `update`: a writer's way to be tried in place of the present one."""
    settings = settings or Settings()
    async with _stage(url, settings, options) as stage:
        update = update or Reconciler(Rules.of(settings), stage.notes)
        return await Game(stage, options, settings, update, on_progress).play()


@dataclass(slots=True)
class Stage:
    """What stands ready before the first edit."""

    client: AsyncLetta
    model: ScriptedModel
    store: Any
    seen: Testimony
    npcs: list[Npc]
    labels: tuple[str, ...]
    """Blocks that the NPCs note in."""
    notes: NotesInMemory = field(default_factory=NotesInMemory)


@asynccontextmanager
async def _stage(url: str, settings: Settings, options: Options) -> AsyncIterator[Stage]:
    token = settings.letta_token.get_secret_value() if settings.letta_token else "none"
    async with AsyncExitStack() as stack:
        client = AsyncLetta(base_url=url, api_key=token, max_retries=0, timeout=PATIENCE)
        await stack.enter_async_context(client)
        model = await stack.enter_async_context(ScriptedModel().serving())
        make = await stack.enter_async_context(agents_on(client, model.config))
        npcs = [await _npc(make, number, options.seed) for number in range(options.agents)]
        seen = Testimony({npc.agent_id: npc.npc_id for npc in npcs})
        store = connect(url, token, settings.letta_timeout)
        stack.push_async_callback(store.close)
        is_split = settings.layout is Layout.SPLIT
        labels = (NOTES,) if is_split else (GROUP.label, STATUS.label)
        yield Stage(client, model, witnessed(store, seen), seen, npcs, labels)


async def _npc(make: NewAgent, number: int, seed: int) -> Npc:
    agent_id = await make(tools=TOOLS, **{GROUP.label: "", STATUS.label: ""})
    return Npc(f"npc-{number}", agent_id, Random(f"{seed} {number}"))


class Game:
    """The feed of commands on one side, the NPCs' hands on the other."""

    def __init__(
        self,
        stage: Stage,
        options: Options,
        settings: Settings,
        update: Update,
        on_progress: OnProgress,
    ) -> None:
        self._stage, self._options, self._on_progress = stage, options, on_progress
        self._figures = Figures()
        self._is_over = False
        self._left = iter(range(1, options.edits + 1))
        self._chance = Random(options.seed)
        agents = {npc.npc_id: npc.agent_id for npc in stage.npcs}
        self._loop = WriteLoop(
            stage.store,
            self._publish,
            agents.get,
            _nothing,
            _nothing,
            update=update,
            limit=FixedLimit(4),
            recheck_delay=settings.verify_delay,
            run_patience=settings.run_patience,
        )

    async def play(self) -> Figures:
        """Begins with a memory the writer made, and ends with one verified by it."""
        clock = asyncio.get_running_loop().time
        await self._all_told(Reason.FIRST_SEEN)
        began = clock()
        async with asyncio.TaskGroup() as feed:
            if self._options.rate is not None:
                for npc in self._stage.npcs:
                    feed.create_task(self._feed(npc))
            try:
                await self._edit_all()
            finally:
                self._is_over = True
        self._figures.seconds = clock() - began
        await self._all_told(Reason.VERIFY)
        await self._loop.stop(PATIENCE)
        await self._judge()
        return self._figures

    # -- commands ----------------------------------------------------------------------------------

    async def _feed(self, npc: Npc) -> None:
        rate = self._options.rate
        while not self._is_over:
            await self._tell(npc.next_command())
            if rate:
                await asyncio.sleep(npc.chance.expovariate(rate / self._options.agents))

    async def _all_told(self, reason: Reason) -> None:
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(
                *(self._tell(npc.next_command(reason)) for npc in self._stage.npcs)
            )

    async def _tell(self, asked: UpdateCommand) -> None:
        done = asyncio.Event()
        self._loop.submit(asked, done.set)
        await done.wait()

    async def _publish(self, told: UpdateResult) -> None:
        self._figures.results.append(told)

    # -- edits -------------------------------------------------------------------------------------

    async def _edit_all(self) -> None:
        async with asyncio.TaskGroup() as hands:
            for npc in self._stage.npcs:
                for _ in range(self._options.hands):
                    hands.create_task(self._edit_on(npc))

    async def _edit_on(self, npc: Npc) -> None:
        pen = Pen(self._stage, npc, Random(self._chance.random()))
        for number in self._left:
            await asyncio.sleep(self._pause(pen.chance))
            in_step = pen.chance.random() < self._options.steps
            self._figures.edits.append(await pen.write(number, in_step=in_step))
            self._on_progress(self._figures)

    def _pause(self, chance: Random) -> float:
        mean = self._options.pause
        return chance.expovariate(1 / mean) if mean else 0.0

    # -- what became of it -------------------------------------------------------------------------

    async def _judge(self) -> None:
        figures, seen = self._figures, self._stage.seen
        memories = {npc.npc_id: await self._memory(npc) for npc in self._stage.npcs}
        figures.writes, figures.conflicts = seen.writes, seen.conflicts
        figures.calls, figures.reverted = dict(seen.calls), len(seen.reverted)
        figures.fates = fates(figures.edits, memories, seen.writes)

    async def _memory(self, npc: Npc) -> str:
        blocks = await self._stage.store.read(npc.agent_id)
        if not _is_right(npc, blocks[GROUP.label].value, blocks[STATUS.label].value):
            self._figures.wrong.append(npc.npc_id)
        kept = [text_of(block.value, block.metadata) for block in blocks.values()]
        table = self._stage.notes.values.items()
        kept += [value.decode() for place, value in table if place.npc_id == npc.npc_id]
        return "\n".join(kept)


def _is_right(npc: Npc, group: str, status: str) -> bool:
    names = ", ".join(member.name for member in npc.members)
    return f"Current members: {names}" in group and f'"{npc.action}"' in status


async def _nothing(*_: object) -> None:
    return


@dataclass(slots=True)
class Pen:
    """One hand of an NPC: one edit after the other."""

    stage: Stage
    npc: Npc
    chance: Random
    last_note: str = ""
    """What a tool was told to write last, and did."""

    async def write(self, number: int, *, in_step: bool) -> Edit:
        """A note through a tool alone, or in a whole step of the agent."""
        if in_step:
            return await self._in_step(number, self._appending(number))
        if self.chance.random() < 0.4:
            return await self._at_once(number, self._replacing(number))
        return await self._at_once(number, self._appending(number))

    def _appending(self, number: int) -> ToolCall:
        label = self.chance.choice(self.stage.labels)
        thinking = self.chance.uniform(0, LONGEST_THOUGHT)
        if self.chance.random() < 0.3:
            return ToolCall("memory_insert", {"label": label, "new_string": note(number)}, thinking)
        return ToolCall("core_memory_append", {"label": label, "content": note(number)}, thinking)

    def _replacing(self, number: int) -> ToolCall:
        """Refused where what it should replace has just gone."""
        if GROUP.label in self.stage.labels:
            return self._noting_about(number, self.chance.choice(self.npc.members))
        if not self.last_note:
            return self._appending(number)
        args = {"old_content": self.last_note, "new_content": f"{self.last_note} {note(number)}"}
        return ToolCall("core_memory_replace", {"label": NOTES, **args})

    def _noting_about(self, number: int, about: Member) -> ToolCall:
        before = f'"name":"{about.name}","appearance":"{about.appearance}","notes":"'
        args = {"old_content": before, "new_content": f"{before}{note(number)} "}
        return ToolCall("core_memory_replace", {"label": GROUP.label, **args})

    async def _at_once(self, number: int, call: ToolCall) -> Edit:
        began = _now()
        try:
            done = await self.stage.client.agents.tools.run(
                call.tool, agent_id=self.npc.agent_id, args=dict(call.args)
            )
            is_refused, saw = done.status != "success", str(done.func_return)
        except APIError as error:
            is_refused, saw = True, type(error).__name__
        return self._edit(number, call, call.tool, began, (began, _now()), is_refused, saw)

    async def _in_step(self, number: int, call: ToolCall) -> Edit:
        script, held_from = self.stage.model.script(call), _now()
        try:
            said = await self.stage.client.agents.messages.create(
                self.npc.agent_id, messages=[script.message]
            )
            returns = [m for m in said.messages if isinstance(m, ToolReturnMessage)]
        except APIError:
            returns = []
        saw = "\n".join(str(answer.tool_return) for answer in returns)
        is_refused = not any(answer.status == "success" for answer in returns)
        times = (script.answered[0], script.asked[1]) if len(script.asked) > 1 else None
        return self._edit(
            number, call, "a whole step", held_from, times or (held_from, _now()), is_refused, saw
        )

    def _edit(
        self,
        number: int,
        call: ToolCall,
        how: str,
        held_from: float,
        times: tuple[float, float],
        is_refused: bool,
        saw: str,
    ) -> Edit:
        label = str(call.args["label"])
        self.last_note = self.last_note if is_refused else note(number)
        return Edit(number, self.npc.npc_id, label, how, held_from, *times, is_refused, saw)


def _now() -> float:
    return asyncio.get_running_loop().time()


def outcomes(figures: Figures) -> Counter[Outcome]:
    """How the writer's commands ended."""
    return Counter(told.outcome for told in figures.results)
