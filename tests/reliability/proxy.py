"""A road to Letta that can be made bad: everything passes through it, or fails as a test says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum

import aiohttp
from aiohttp import web

from ops.embedded.ports import free_port

RETRY_AFTER = 3.0
SLOW = 10.0


class Road(Enum):
    """What happens to a request."""

    OPEN = "passes"
    SLOW = "is answered after ten seconds"
    REFUSING = "finds nobody listening"
    ERRORS = "is answered with 500"
    BUSY = "is answered with 429 and Retry-After"
    RESET = "loses its connection"
    NONSENSE = "is answered with what is no JSON"
    RESET_AFTER = "takes effect, and loses its connection then"


@dataclass
class FaultProxy:
    """What the writer takes for Letta."""

    upstream: str
    road: Road = Road.OPEN
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def turn(self, road: Road) -> None:
        """From now on requests fare like this; refusing takes the listener away."""
        self.road = road
        if road is Road.REFUSING:
            await self._site.stop()
            for connection in list(self._server.connections):
                connection.force_close()
        elif self._site not in self._runner.sites:
            await self._listen()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FaultProxy"]:
        self._server = web.Server(self._answer)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=0.1)
        await self._runner.setup()
        await self._listen()
        async with aiohttp.ClientSession(auto_decompress=False) as self._client:
            try:
                yield self
            finally:
                await self._runner.cleanup()

    async def _listen(self) -> None:
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await self._site.start()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        match self.road:
            case Road.SLOW:
                await asyncio.sleep(SLOW)
            case Road.ERRORS:
                return web.json_response({"detail": "An unknown error occurred"}, status=500)
            case Road.BUSY:
                headers = {"Retry-After": str(RETRY_AFTER)}
                return web.json_response({"detail": "busy"}, status=429, headers=headers)
            case Road.NONSENSE:
                return web.Response(text="<html>a gateway", content_type="application/json")
            case Road.RESET:
                return _broken(request)
            case Road.RESET_AFTER:
                await self._passed_on(request)
                return _broken(request)
        return await self._passed_on(request)

    async def _passed_on(self, request: web.BaseRequest) -> web.Response:
        async with self._client.request(
            request.method,
            self.upstream + request.raw_path,
            data=await request.read(),
            headers={k: v for k, v in request.headers.items() if k.lower() != "host"},
        ) as answer:
            kind = answer.headers.get("Content-Type", "application/json")
            body = await answer.read()
            return web.Response(status=answer.status, body=body, headers={"Content-Type": kind})


def _broken(request: web.BaseRequest) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
