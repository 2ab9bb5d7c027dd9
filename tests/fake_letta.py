"""An in-memory stand-in for a Letta server: the few REST calls the writer uses, and every way in
which a server or the road to it can fail. `tests/writer/test_store_contract.py` runs the same suite
against it and against the real one, so that it cannot drift from what it stands for.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

Json = dict[str, Any]
TRAITS = ("limit", "read_only", "description")


@dataclass
class Fault:
    """What happens to requests instead of, or before, being answered."""

    method: str = ""
    """"" for any."""
    path: str = ""
    """A piece of the path, "" for any."""
    times: int = 1
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str = '{"detail":"An unknown error occurred"}'
    seconds: float = 0.0
    """Wait before anything else happens."""
    is_reset: bool = False
    """The connection breaks without an answer."""
    comes_after: bool = False
    """The request takes effect first: the writer cannot know."""
    before: Callable[[], None] | None = None
    """Something somebody else does at that moment."""

    def meets(self, request: web.Request) -> bool:
        """Whether this request is one of its kind."""
        is_kind = self.method in ("", request.method)
        return self.times > 0 and is_kind and self.path in request.path


@dataclass
class FakeLetta:
    """Agents and blocks, in memory. `requests`: method and path of everything asked."""

    agents: dict[str, Json] = field(default_factory=dict)
    blocks: dict[str, Json] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    runs: list[Json] = field(default_factory=list)
    """Newest first; see `run`."""
    requests: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    url: str = ""

    def fail(self, **how: Any) -> None:
        """The next request of a kind meets a fault; see Fault."""
        self.faults.append(Fault(**how))

    def agent(self, *tags: str, **blocks: str) -> str:
        """A new agent; its blocks by label."""
        made = [self._new_block(label, value) for label, value in blocks.items()]
        agent_id = f"agent-{uuid.uuid4()}"
        self.agents[agent_id] = {
            "id": agent_id,
            "tags": list(tags),
            "created_at": datetime.now(UTC).isoformat(),
            "block_ids": [block["id"] for block in made],
        }
        return agent_id

    def run(self, agent_id: str) -> Json:
        """A run of an agent that has begun; it ends when its `status` says `completed`."""
        made: Json = {"id": f"run-{uuid.uuid4()}", "agent_id": agent_id, "status": "created"}
        made["created_at"] = datetime.now(UTC).isoformat()
        self.runs.insert(0, made)
        return made

    def block(self, agent_id: str, label: str) -> Json:
        """An agent's block as it stands."""
        return next(block for block in self.blocks_of(agent_id) if block["label"] == label)

    def blocks_of(self, agent_id: str) -> list[Json]:
        """An agent's blocks."""
        ids = self.agents[agent_id]["block_ids"]
        return [self.blocks[block_id] for block_id in ids if block_id in self.blocks]

    def calls(self, method: str = "") -> list[str]:
        """Requests so far, of one method or all."""
        return [request for request in self.requests if request.startswith(method)]

    def _new_block(self, label: str, value: str, **more: Any) -> Json:
        block_id = f"block-{uuid.uuid4()}"
        made: Json = {"id": block_id, "label": label, "value": value, "metadata": {}}
        made |= {"limit": 5000, "read_only": False, "description": None, **more}
        self.blocks[block_id] = made
        return made

    # -- the server --------------------------------------------------------------------------------

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FakeLetta"]:
        """Answers on a free port of the loopback until the context ends."""
        runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._with_faults])
        core = "/v1/agents/{agent_id}/core-memory/blocks"
        app.add_routes(
            [
                web.get("/v1/health/", self._health),
                web.get("/v1/agents/", self._list_agents),
                web.post("/v1/agents/", self._create_agent),
                web.get("/v1/agents/{agent_id}", self._get_agent),
                web.delete("/v1/agents/{agent_id}", self._delete_agent),
                web.patch(core + "/attach/{block_id}", self._attach),
                web.get(core + "/{label}", self._get_by_label),
                web.patch(core + "/{label}", self._patch_by_label),
                web.get("/v1/runs/", self._list_runs),
                web.post("/v1/blocks/", self._create_block),
                web.patch("/v1/blocks/{block_id}", self._patch_block),
                web.delete("/v1/blocks/{block_id}", self._delete_block),
            ]
        )
        return app

    @web.middleware
    async def _with_faults(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        self.tokens.append(request.headers.get("Authorization"))
        fault = next((fault for fault in self.faults if fault.meets(request)), None)
        if fault is None:
            return await handler(request)
        fault.times -= 1
        if fault.before is not None:
            fault.before()
        await asyncio.sleep(fault.seconds)
        if fault.comes_after:
            await handler(request)
        return await self._failing(fault, request, handler)

    async def _failing(
        self,
        fault: Fault,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        if fault.is_reset:
            assert request.transport is not None
            request.transport.abort()
        elif fault.status is None:
            return await handler(request)
        return web.Response(
            status=fault.status or 200,
            text=fault.body,
            headers=fault.headers,
            content_type="application/json",
        )

    # -- answers -----------------------------------------------------------------------------------

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "0.16.8", "status": "ok"})

    async def _list_agents(self, request: web.Request) -> web.Response:
        wanted = set(request.query.getall("tags", []))
        found = [agent for agent in self.agents.values() if wanted & set(agent["tags"])]
        is_descending = request.query.get("order", "desc") == "desc"
        found.sort(key=lambda agent: agent["created_at"], reverse=is_descending)
        limit = int(request.query.get("limit", "50"))
        return web.json_response([self._agent_json(agent, request) for agent in found[:limit]])

    async def _create_agent(self, request: web.Request) -> web.Response:
        body = await request.json()
        blocks = {block["label"]: block["value"] for block in body.get("memory_blocks", [])}
        agent_id = self.agent(*body.get("tags", []), **blocks)
        self.agents[agent_id]["block_ids"] += body.get("block_ids", [])
        agent = self.agents[agent_id]
        return web.json_response({**agent, "blocks": self.blocks_of(agent_id)})

    async def _get_agent(self, request: web.Request) -> web.Response:
        agent_id = request.match_info["agent_id"]
        if not agent_id.startswith("agent-"):
            return _unprocessable("agent_id", agent_id)
        if agent_id not in self.agents:
            return _not_found(f"Agent with ID {agent_id}")
        return web.json_response(self._agent_json(self.agents[agent_id], request))

    def _agent_json(self, agent: Json, request: web.Request) -> Json:
        included = request.query.getall("include", [])
        blocks = self.blocks_of(agent["id"]) if "agent.blocks" in included else []
        tags = agent["tags"] if "agent.tags" in included else []
        return {
            "id": agent["id"], "created_at": agent["created_at"], "tags": tags, "blocks": blocks
        }  # fmt: skip

    async def _delete_agent(self, request: web.Request) -> web.Response:
        gone = self.agents.pop(request.match_info["agent_id"], None)
        return web.json_response(None) if gone else _not_found("Agent")

    async def _list_runs(self, request: web.Request) -> web.Response:
        limit = int(request.query.get("limit", "100"))
        return web.json_response(self.runs[:limit])

    async def _attach(self, request: web.Request) -> web.Response:
        agent = self.agents.get(request.match_info["agent_id"])
        block = self.blocks.get(request.match_info["block_id"])
        if agent is None or block is None:
            return _not_found("Block" if agent else "Agent")
        present = self.blocks_of(agent["id"])
        if any(b["label"] == block["label"] and b["id"] != block["id"] for b in present):
            return _detail(409, "A unique constraint was violated for Agent.")
        if block not in present:
            agent["block_ids"].append(block["id"])
        return web.json_response(self._agent_json(agent, request))

    async def _get_by_label(self, request: web.Request) -> web.Response:
        block = self._by_label(request)
        return web.json_response(block) if block else _not_found("Block")

    async def _patch_by_label(self, request: web.Request) -> web.Response:
        return await self._patched(self._by_label(request), request)

    def _by_label(self, request: web.Request) -> Json | None:
        agent_id, label = request.match_info["agent_id"], request.match_info["label"]
        blocks = self.blocks_of(agent_id) if agent_id in self.agents else []
        return next((block for block in blocks if block["label"] == label), None)

    async def _create_block(self, request: web.Request) -> web.Response:
        body = await request.json()
        more = {name: body[name] for name in ("metadata", *TRAITS) if name in body}
        return web.json_response(self._new_block(body["label"], _stored(body["value"]), **more))

    async def _patch_block(self, request: web.Request) -> web.Response:
        block_id = request.match_info["block_id"]
        if not block_id.startswith("block-"):
            return _unprocessable("block_id", block_id)
        return await self._patched(self.blocks.get(block_id), request)

    async def _patched(self, block: Json | None, request: web.Request) -> web.Response:
        body = await request.json()
        if block is None:
            return _not_found("Block")
        if not isinstance(body.get("value", ""), str):
            return _unprocessable("value", body["value"])
        if "value" in body:
            block["value"] = _stored(body["value"])
        if "metadata" in body:
            block["metadata"] = body["metadata"]
        block |= {name: body[name] for name in TRAITS if name in body}
        return web.json_response(block)

    async def _delete_block(self, request: web.Request) -> web.Response:
        gone = self.blocks.pop(request.match_info["block_id"], None)
        return web.json_response(None) if gone else _not_found("Block")


def _stored(value: str) -> str:
    # As PostgreSQL has no NUL in a text, Letta leaves it out.
    return value.replace("\0", "")


def _detail(status: int, detail: str) -> web.Response:
    return web.Response(
        status=status, text=json.dumps({"detail": detail}), content_type="application/json"
    )


def _not_found(what: str) -> web.Response:
    return _detail(404, f"{what} not found")


def _unprocessable(field: str, given: object) -> web.Response:
    error = {"type": "string_pattern_mismatch", "loc": ("path", field), "input": given}
    return _detail(422, str([error]))
