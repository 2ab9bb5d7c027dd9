"""A model that says what a test tells it to: OpenAI's chat completions, on loopback.

A test registers a script, the tool calls of one whole agent step, and sends the NPC the message it
gets for it. Letta asks after each tool for the next call; when the script is through, the model
says a sentence and the step ends:

    script = model.script(ToolCall("core_memory_append", {"label": "status", "content": "tired"}))
    await client.agents.messages.create(agent_id, messages=[script.message])

Answers come whole or as a stream, as the request asks. A request for no script gets the sentence.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from aiohttp import web
from letta_client.types import LlmConfigParam, MessageCreateParam

NAME = "scripted"
LAST_WORDS = "Done."
_SCRIPT = re.compile(r"play script (\d+)")
_USAGE = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}


class ToolCall(NamedTuple):
    """A tool that the NPC shall call. `thinking`: seconds the model takes before it says so.
    `when`: what it waits for on top.
    """

    tool: str
    args: Mapping[str, object] = {}
    thinking: float = 0.0
    when: asyncio.Event | None = None


@dataclass(slots=True)
class Script:
    """One whole agent step. `asked`, `answered`: when Letta asked for each call, by the loop's
    clock, and when it got it: call `i` ran between `answered[i]` and `asked[i + 1]`.
    """

    number: int
    calls: Sequence[ToolCall]
    asked: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    is_begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Letta has loaded the agent's memory and asks for the first call."""

    @property
    def message(self) -> MessageCreateParam:
        """What makes an NPC play this."""
        return {"role": "user", "content": f"play script {self.number}"}


@dataclass(slots=True)
class ScriptedModel:
    """The server. `url`: its base, once it serves; `asked`: requests so far."""

    url: str = ""
    asked: int = 0
    _scripts: dict[int, Script] = field(default_factory=dict)

    def script(self, *calls: ToolCall) -> Script:
        """A step to be played."""
        script = Script(len(self._scripts) + 1, calls)
        self._scripts[script.number] = script
        return script

    @property
    def config(self) -> LlmConfigParam:
        """What an agent that thinks with this model is created with, as its `llm_config`."""
        return {
            "model": NAME,
            "model_endpoint_type": "openai",
            "model_endpoint": self.url,
            "context_window": 32_000,
            "put_inner_thoughts_in_kwargs": False,
        }

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        """Serves on a free port of loopback."""
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._complete)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/v1"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": NAME, "object": "model"}]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        asked = await request.json()
        said = _said(await self._answer(asked.get("messages", [])), self.asked)
        if asked.get("stream"):
            return await _streamed(request, said)
        choice = {"index": 0, "message": said, "finish_reason": _reason(said)}
        return web.json_response(
            _completion("chat.completion", self.asked, [choice]) | {"usage": _USAGE}
        )

    async def _answer(self, messages: Sequence[Mapping[str, Any]]) -> ToolCall | None:
        script, said = self._place(messages)
        if script is None:
            return None
        clock = asyncio.get_running_loop().time
        script.asked.append(clock())
        script.is_begun.set()
        call = script.calls[said] if said < len(script.calls) else None
        await _thought(call)
        script.answered.append(clock())
        return call

    def _place(self, messages: Sequence[Mapping[str, Any]]) -> tuple[Script | None, int]:
        """Which script, and how many calls of it were made: both stand in the conversation."""
        said = 0
        for message in reversed(messages):
            if message.get("role") == "assistant":
                said += 1
            elif found := _SCRIPT.search(json.dumps(message.get("content"))):
                return self._scripts.get(int(found[1])), said
        return None, 0


async def _thought(call: ToolCall | None) -> None:
    if call is not None:
        await asyncio.sleep(call.thinking)
    if call is not None and call.when is not None:
        await call.when.wait()


def _said(call: ToolCall | None, number: int) -> dict[str, Any]:
    if call is None:
        return {"role": "assistant", "content": LAST_WORDS}
    function = {"name": call.tool, "arguments": json.dumps(call.args)}
    tool_call = {"id": f"call_{number}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [tool_call]}


def _reason(said: Mapping[str, Any]) -> str:
    return "tool_calls" if "tool_calls" in said else "stop"


def _completion(kind: str, number: int, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{number}",
        "object": kind,
        "created": 0,
        "model": NAME,
        "choices": choices,
    }


async def _streamed(request: web.Request, said: Mapping[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    calls = [{"index": 0, **call} for call in said.get("tool_calls", ())]
    delta = {**said, **({"tool_calls": calls} if calls else {})}
    for choices in (
        [{"index": 0, "delta": delta, "finish_reason": None}],
        [{"index": 0, "delta": {}, "finish_reason": _reason(said)}],
    ):
        await _event(response, json.dumps(_completion("chat.completion.chunk", 0, choices)))
    usage = _completion("chat.completion.chunk", 0, []) | {"usage": _USAGE}
    await _event(response, json.dumps(usage))
    await _event(response, "[DONE]")
    return response


async def _event(response: web.StreamResponse, data: str) -> None:
    await response.write(f"data: {data}\n\n".encode())
