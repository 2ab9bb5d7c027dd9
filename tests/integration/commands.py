"""`rollcall` as a process of its own, on a town's topics."""

import asyncio
import json
import os
import sys
from typing import Any, NamedTuple

from tests.integration.harness import ROOT, Town


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def rollcall(town: Town, *arguments: str, answer: str = "") -> Done:
    """Run a command to its end; `answer` is typed in."""
    environment = {
        **os.environ,
        "ROLLCALL_BROKER": f"kafka://{town.connection.bootstrap_servers[0]}",
        "ROLLCALL_TOPIC_PREFIX": town.connection.topic_prefix,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ops.cli",
        *arguments,
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(answer.encode())
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())
