"""Everything one run stands on: topics of its own, agents, the loaded town, running workers.

Nothing of the user's is touched: topics and consumer groups have a prefix of this run, NPC ids as
well, so that no agent of the user's has their tags. `clear` removes all of it again.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError
from letta_client import AsyncLetta

from ops.demo.agents import Agents
from ops.demo.lag import LagReader
from ops.demo.notes import Notebook, first_memory
from ops.demo.town import Town, number_of
from ops.demo.workers import WorkerProcess, peak_memory, start_worker, stop_workers
from ops.failure import Failure
from ops.load import Changes, publish_changes
from ops.roster_checks import Checked
from ops.tables import admin_client
from ops.topics_admin import apply, delete_all
from streams.settings import Layout, Mode
from streams.topology import Role
from topics.connection import KafkaConnection
from topics.models import RosterEntry
from topics.publisher import Publisher

READY_PATIENCE = 90.0
"""Seconds in which all workers must have joined their groups."""

_UNTAGGED_SHARE = 5
"""Every fifth NPC has no agent_id in the roster: the writer finds its agent by the tag."""

Step = Callable[[str, float | None], None]


@dataclass(slots=True)
class Stage:
    """A run's surroundings. `run`: its name, the prefix of all it makes."""

    run: str
    town: Town
    mode: Mode
    connection: KafkaConnection
    letta: AsyncLetta
    letta_url: str
    folder: Path
    """For the workers' logs and data."""
    server_pids: dict[str, int] = field(default_factory=dict)
    """Embedded servers by name."""
    agents: Agents = field(init=False)
    notebook: Notebook = field(default_factory=Notebook)
    workers: list[WorkerProcess] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    """More of the workers' environment."""
    keeps_agents: bool = False
    """Its agents outlive it: others play with them as well."""

    def __post_init__(self) -> None:
        self.agents = Agents(self.letta, f"rollcall-{self.run}")

    async def prepare(self, told: Step) -> None:
        """Topics, agents, town and workers, in this order; `told` hears what happens."""
        told("Creating topics", None)
        await apply(self.connection)
        await self._create_agents(told)
        told("Loading the town", None)
        await self._load()
        told("Starting workers", None)
        self._start_workers()
        await self._until_ready()

    async def _create_agents(self, told: Step) -> None:
        npcs = self.town.npcs.keys() - self.agents.ids.keys()
        memories = {npc_id: first_memory(npc_id, self.town, self.notebook) for npc_id in npcs}
        await self.agents.create(
            memories, lambda done: told("Creating Letta agents", done / len(npcs))
        )

    async def _load(self) -> None:
        npcs = {npc_id: self._with_agent(entry) for npc_id, entry in self.town.npcs.items()}
        await publish_changes(
            self.connection,
            Checked(npcs=npcs, locations=self.town.places),
            {"npcs": Changes(new=list(npcs)), "locations": Changes(new=list(self.town.places))},
        )
        async with Publisher(self.connection) as publisher:
            for profile in self.town.profiles_at_start().values():
                await publisher.profile(profile)

    def _with_agent(self, entry: RosterEntry) -> RosterEntry:
        if number_of(entry.npc_id) % _UNTAGGED_SHARE == 0:
            return entry
        fields = {name: getattr(entry, name) for name in entry.__struct_fields__}
        return RosterEntry(**{**fields, "agent_id": self.agents.ids[entry.npc_id]})

    def _start_workers(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for role in Role:
            self.workers.append(start_worker(role.value, self._environment(), self.folder))

    def _environment(self) -> dict[str, str]:
        return self.settings | {
            "ROLLCALL_BROKER": self.connection.broker,
            "ROLLCALL_LETTA_URL": self.letta_url,
            "ROLLCALL_TOPIC_PREFIX": self.connection.topic_prefix,
            "ROLLCALL_MODE": self.mode.value,
            # The NPCs of a demo note where the shared layout wants it.
            "ROLLCALL_LAYOUT": Layout.SHARED.value,
            "ROLLCALL_DATA_DIR": str(self.folder / "data"),
        }

    async def _until_ready(self) -> None:
        deadline = time.monotonic() + READY_PATIENCE
        async with admin_client(self.connection) as admin:
            for worker in self.workers:
                while not await _has_joined(self.connection, admin, Role(worker.role)):
                    worker.demand_alive()
                    if time.monotonic() > deadline:
                        raise Failure(
                            f"The {worker.role} worker did not join its group within "
                            f"{READY_PATIENCE:.0f} s; its log is {worker.log}."
                        )
                    await asyncio.sleep(0.25)

    def demand_workers(self) -> None:
        """A Failure when a worker is gone."""
        for worker in self.workers:
            worker.demand_alive()

    def peak_memory(self) -> dict[str, int]:
        """The most bytes each process ever had resident, as far as the system tells."""
        pids = {worker.role: worker.process.pid for worker in self.workers} | self.server_pids
        peaks = {name: peak_memory(pid) for name, pid in pids.items()}
        return {name: peak for name, peak in peaks.items() if peak is not None}

    async def stop_workers(self) -> list[int]:
        """Stop the workers in order; their exit codes."""
        workers, self.workers = self.workers, []
        return await stop_workers(workers)

    async def clear(self) -> None:
        """Stop the workers and delete the topics and agents of this run."""
        await self.stop_workers()
        if not self.keeps_agents:
            await self.agents.delete()
        await delete_all(self.connection)


async def _has_joined(connection: KafkaConnection, admin: Any, role: Role) -> bool:
    try:
        return bool(await LagReader(connection, admin, None).members(role))
    except KafkaError:
        # The group's coordinator may still be on its way in a broker that has just started.
        return False
