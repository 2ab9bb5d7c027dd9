"""Letta 0.16 behind the door of `store`: the only module that knows its client.

    what Letta or the way to it does                  becomes
    ------------------------------------------------  ----------------------------------------------
    no answer in time, no connection, a reset         TemporaryError
    408, 425, 429, 5xx                                TemporaryError, with Retry-After as its delay
    401, 403                                          TemporaryError: no command's fault; none is
                                                      given up while somebody mends the token
    an answer that is no JSON, or lacks what we need  TemporaryError
    404                                               AgentMissingError or BlockMissingError
    an agent id Letta would never give out (422)      AgentMissingError
    409                                               ConflictError
    any other status                                  PermanentError

The client's own retries are off: it repeats a 409 with the same stale body, which overwrites the
very edit that caused it. Facts of Letta 0.16.8 that the code leans on: `agents.retrieve` gives
blocks, metadata included, only when asked to; a block's value and metadata go in one PATCH; blocks
given at an agent's creation lose their metadata; a second block of one label is refused with 409.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, Self, TypeVar

import httpx
import msgspec
import structlog
from aiolimiter import AsyncLimiter
from letta_client import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncLetta,
    DefaultAsyncHttpxClient,
    omit,
)

from streams.writer.budget import LIMIT
from streams.writer.document import Document
from streams.writer.shared_reads import Blocks, SharedReads, TaggedBlocks
from streams.writer.store import (
    RUNS_LISTED,
    AgentMissingError,
    AgentRun,
    Block,
    BlockMissingError,
    ConflictError,
    OnCall,
    PermanentError,
    StoreError,
    TemporaryError,
)
from topics.text import clip

TIMEOUT = 10.0
"""Seconds for a request as a whole, so that an answer that trickles in does not last for ever."""

LONGEST_RUN = 600.0
"""Seconds after which nobody waits for a run to end."""

_KEPT_ALIVE = 3.0
# Letta closes a quiet connection after 5 s; a request on its way just then would be lost.
_CONNECTIONS = 32
_AGENTS_ASKED_FOR = 100
_RETRY_AFTER_LIMIT = 300.0
_REFUSED_DELAY = 30.0
_SHOWN_REASON = 120
_TAG = "npc:"
_TEMPORARY = frozenset({408, 425, 429})
_REFUSED = frozenset({401, 403})

_Answer = TypeVar("_Answer")
_log = structlog.get_logger(__name__)


class _Raw(Protocol):
    @property
    def http_response(self) -> httpx.Response: ...


class _WireBlock(msgspec.Struct):
    id: str
    value: str
    label: str | None = None
    limit: int | None = None
    read_only: bool | None = None
    description: str | None = None
    metadata: dict[str, Any] | None = None


class _WireAgent(msgspec.Struct):
    id: str
    blocks: list[_WireBlock]
    tags: list[str] = []


class _WireTagged(msgspec.Struct):
    id: str
    tags: list[str] = []
    created_at: str | None = None


class _WireRun(msgspec.Struct):
    id: str
    agent_id: str
    created_at: datetime
    status: str = ""


_ENDED = frozenset({"completed", "failed", "cancelled", "expired"})


def connect(
    url: str, token: str | None = None, timeout: float = TIMEOUT, rate: float | None = None
) -> "LettaStore":
    """A store over one pool of connections. `timeout`: seconds a request may take as a whole;
    `rate`: requests a second at most, None: no bound.

    Nothing is sent yet. Without a token none is sent, whatever the environment holds.
    """
    limits = httpx.Limits(max_connections=_CONNECTIONS, keepalive_expiry=_KEPT_ALIVE)
    client = AsyncLetta(
        base_url=url,
        api_key=token,
        timeout=timeout,
        max_retries=0,
        http_client=DefaultAsyncHttpxClient(limits=limits, timeout=timeout),
    )
    client.api_key = token  # the constructor takes LETTA_API_KEY where it gets none
    return LettaStore(client, timeout, turns=_turns(rate))


def _turns(rate: float | None) -> AbstractAsyncContextManager[None]:
    """Entered once for each request: they are spaced evenly, so that no second sees more."""
    return nullcontext() if rate is None else AsyncLimiter(1, 1 / rate)


@dataclass(frozen=True, slots=True)
class LettaStore:
    """Memory blocks of a Letta server; `store.BlockStore` says what each method promises."""

    client: AsyncLetta
    timeout: float = TIMEOUT
    listeners: tuple[OnCall, ...] = ()
    reads: SharedReads = field(default_factory=SharedReads)
    turns: AbstractAsyncContextManager[None] = field(default_factory=nullcontext)

    async def find_agents(self, npc_ids: Sequence[str]) -> dict[str, str]:
        """Agent ids by NPC id. Asks for the oldest 100 agents and never for a second page."""
        tags = {_TAG + npc_id: npc_id for npc_id in npc_ids}
        listed = self.client.agents.with_raw_response.list(
            tags=list(tags),
            match_all_tags=False,
            include=["agent.tags"],
            order="asc",
            order_by="created_at",
            limit=_AGENTS_ASKED_FOR,
        )
        return _oldest(tags, await self._call("find_agents", listed, list[_WireTagged]))

    async def read(self, agent_id: str) -> dict[str, Block]:
        """All blocks by label; several reads at a time share a request (`shared_reads`)."""
        return await self.reads.read(agent_id, self.read_one, self.read_several)

    async def write(self, block_id: str, value: str, metadata: Document) -> None:
        """Value and metadata in one PATCH."""
        sent = self.client.blocks.with_raw_response.update(block_id, value=value, metadata=metadata)
        await self._call("write", sent, msgspec.Raw, BlockMissingError)

    async def change(
        self,
        block_id: str,
        *,
        read_only: bool | None = None,
        description: str | None = None,
        limit: int | None = None,
        metadata: Document | None = None,
    ) -> None:
        """One PATCH without the value."""
        sent = self.client.blocks.with_raw_response.update(
            block_id,
            read_only=omit if read_only is None else read_only,
            description=omit if description is None else description,
            limit=omit if limit is None else limit,
            metadata=omit if metadata is None else metadata,
        )
        await self._call("change_block", sent, msgspec.Raw, BlockMissingError)

    async def create(
        self,
        agent_id: str,
        label: str,
        value: str,
        metadata: Document,
        description: str,
        *,
        read_only: bool = False,
        limit: int = LIMIT,
    ) -> Block:
        """One request creates the block, one attaches it."""
        sent = self.client.blocks.with_raw_response.create(
            label=label,
            value=value,
            metadata=metadata,
            description=description,
            read_only=read_only,
            limit=limit,
        )
        created = await self._call("create_block", sent, _WireBlock)
        try:
            await self._attach(agent_id, created.id)
        except StoreError:
            await self._drop(created.id)
            raise
        return _block(created)

    async def runs(self) -> list[AgentRun]:
        """The newest runs. One that has been going on for LONGEST_RUN was left by a server that
        ended in between; nobody is in it any more.
        """
        asked = self.client.runs.with_raw_response.list(order="desc", limit=RUNS_LISTED)
        listed = await self._call("runs", asked, list[_WireRun])
        return [
            AgentRun(id=run.id, agent_id=run.agent_id, is_active=_is_active(run)) for run in listed
        ]

    async def delete(self, block_id: str) -> None:
        """One DELETE."""
        sent = self.client.blocks.with_raw_response.delete(block_id)
        await self._call("delete_block", sent, msgspec.Raw, BlockMissingError)

    async def read_by_label(self, agent_id: str, label: str) -> Block:
        """One block of an agent; for `direct` alone. Raises BlockMissingError."""
        asked = self.client.agents.blocks.with_raw_response.retrieve(label, agent_id=agent_id)
        return _block(await self._call("read_block", asked, _WireBlock, BlockMissingError))

    async def write_by_label(
        self, agent_id: str, label: str, value: str, metadata: Document
    ) -> None:
        """One block of an agent; for `direct` alone. Raises BlockMissingError."""
        sent = self.client.agents.blocks.with_raw_response.update(
            label, agent_id=agent_id, value=value, metadata=metadata
        )
        await self._call("write_block", sent, msgspec.Raw, BlockMissingError)

    def observed_by(self, on_call: OnCall) -> Self:
        """The same connections, one listener more."""
        return replace(self, listeners=(*self.listeners, on_call))

    async def close(self) -> None:
        """Closes the connections."""
        await self.reads.close()
        await self.client.close()

    async def read_one(self, agent_id: str) -> TaggedBlocks:
        """One agent in a request of its own."""
        asked = self.client.agents.with_raw_response.retrieve(
            agent_id or "-", include=["agent.blocks", "agent.tags"]
        )
        try:
            agent = await self._call("read", asked, _WireAgent, AgentMissingError)
        except _UnprocessableError as error:
            raise AgentMissingError(f"{clip(agent_id, 60)!r} is no id of an agent") from error
        tag = next((tag for tag in agent.tags if tag.startswith(_TAG)), None)
        return TaggedBlocks(_blocks(agent), tag)

    async def read_several(self, tags: Mapping[str, str]) -> dict[str, Blocks]:
        """Agents in one request, given as tags by agent id; who is in no list is missing."""
        asked = self.client.agents.with_raw_response.list(
            tags=list(tags.values()),
            match_all_tags=False,
            include=["agent.blocks", "agent.tags"],
            limit=_AGENTS_ASKED_FOR,
        )
        listed = await self._call("read_several", asked, list[_WireAgent])
        return {agent.id: _blocks(agent) for agent in listed if agent.id in tags}

    async def _attach(self, agent_id: str, block_id: str) -> None:
        sent = self.client.agents.blocks.with_raw_response.attach(block_id, agent_id=agent_id)
        await self._call("attach_block", sent, msgspec.Raw, AgentMissingError)

    async def _drop(self, block_id: str) -> None:
        """Takes a block away that no agent has. Where this fails too, it stays as litter."""
        try:
            await self.delete(block_id)
        except StoreError as error:
            _log.warning("block_left_behind", block_id=block_id, error=str(error))

    async def _call(
        self,
        operation: str,
        request: Awaitable[_Raw],
        answer: type[_Answer],
        missing: type[PermanentError] = PermanentError,
    ) -> _Answer:
        async with self.turns:
            return await self._sent(operation, request, answer, missing)

    async def _sent(
        self,
        operation: str,
        request: Awaitable[_Raw],
        answer: type[_Answer],
        missing: type[PermanentError],
    ) -> _Answer:
        started, status = time.perf_counter(), "error"
        try:
            async with asyncio.timeout(self.timeout):
                response = (await request).http_response
            status = str(response.status_code)
            return _decoded(response.content, answer, operation)
        except APIStatusError as error:
            status = str(error.status_code)
            raise _refusal(error, operation, missing) from error
        except (TimeoutError, APITimeoutError) as error:
            status = "timeout"
            message = f"Letta did not answer a {operation} within {self.timeout:g} s"
            raise TemporaryError(message) from error
        except (APIConnectionError, httpx.HTTPError) as error:
            cause = type(error.__cause__ or error).__name__
            raise TemporaryError(f"no connection to Letta for a {operation}: {cause}") from error
        except ValueError as error:
            # The client refuses to build a request: an empty id, or one with a dot for a path.
            raise missing(f"a {operation} needs another id") from error
        finally:
            for told in self.listeners:
                told(operation, status, time.perf_counter() - started)


class _UnprocessableError(PermanentError):
    """422: Letta understood the request and found its content wrong."""


def _refusal(error: APIStatusError, operation: str, missing: type[PermanentError]) -> StoreError:
    status = error.status_code
    message = f"Letta answered {status} to a {operation}"
    if status in _TEMPORARY or status >= 500:
        return TemporaryError(message, _retry_after(error.response))
    if status in _REFUSED:
        return TemporaryError(f"{message}: the token is missing or wrong", _REFUSED_DELAY)
    if status == 404:
        return missing(message)
    if status == 409:
        return ConflictError(message)
    kind = _UnprocessableError if status == 422 else PermanentError
    return kind(f"{message}{_reason(error.body)}")


def _reason(body: object) -> str:
    """Why Letta refused, told without quoting what was sent.

    Validation errors repeat their input: all from the first quote or brace on is left out.
    """
    detail = body.get("detail") if isinstance(body, dict) else None
    if not isinstance(detail, str):
        return ""
    kinds = re.findall(r"'type': '(\w{1,40})'", detail)
    words = ", ".join(dict.fromkeys(kinds)) or re.split(r"[\"'{\[<]", detail, maxsplit=1)[0]
    return f": {clip(words, _SHOWN_REASON)}" if words.strip() else ""


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds, from either form of the header; None where it is absent or nonsense."""
    text = response.headers.get("retry-after", "")
    try:
        seconds = float(text) if text[:1].isdigit() else _seconds_until(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), _RETRY_AFTER_LIMIT)


def _seconds_until(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time.time()


def _decoded(content: bytes, answer: type[_Answer], operation: str) -> _Answer:
    try:
        return msgspec.json.decode(content, type=answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"Letta's answer to a {operation} is not what Letta answers"
        raise TemporaryError(message) from error


def _is_active(run: _WireRun) -> bool:
    began = run.created_at if run.created_at.tzinfo else run.created_at.replace(tzinfo=UTC)
    return run.status not in _ENDED and time.time() - began.timestamp() < LONGEST_RUN


def _blocks(agent: _WireAgent) -> Blocks:
    return {block.label: _block(block) for block in agent.blocks if block.label}


def _block(wire: _WireBlock) -> Block:
    return Block(
        id=wire.id,
        label=wire.label or "",
        value=wire.value,
        metadata=wire.metadata or {},
        limit=wire.limit,
        read_only=bool(wire.read_only),
        description=wire.description,
    )


def _oldest(tags: dict[str, str], listed: list[_WireTagged]) -> dict[str, str]:
    """The oldest agent of each tag, then the one with the lower id: every worker picks the same."""
    found: dict[str, str] = {}
    for agent in sorted(listed, key=lambda agent: (agent.created_at or "~", agent.id)):
        for npc_id in (tags[tag] for tag in agent.tags if tag in tags):
            if npc_id in found:
                _log.warning("several_agents_for_npc", npc_id=npc_id, used=found[npc_id])
            found.setdefault(npc_id, agent.id)
    return found
