"""`rollcall publish`: snapshots, one JSON object a line, from a file or standard input to Kafka.

A line with `npc_id` is an NPC snapshot, one with `clusters` a world snapshot (its key is the line's
`world_id`, if it has one). A wrong line is told and counted, and the lines after it are sent.
"""

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from ops.tables import demand_topics, silence_client
from topics.catalogue import NPC_SNAPSHOTS, WORLD_SNAPSHOTS
from topics.connection import KafkaConnection
from topics.decode import DecodeError
from topics.publisher import DEFAULT_WORLD_ID, Failure, Publisher
from topics.wire import RECORD_LIMIT

_CHUNK = 64 * 1024
_PROGRESS_SECONDS = 2.0

Sleep = Callable[[float], Awaitable[None]]


class WrongLineError(ValueError):
    """A line that is no snapshot; the message says why."""


@dataclass(slots=True)
class Tally:
    """Lines so far: acknowledged by the broker, not taken by it, and wrong in themselves."""

    sent: int = 0
    failed: int = 0
    wrong: int = 0


class Pace:
    """At most `rate` lines a second, evenly; None: as fast as they come."""

    def __init__(self, rate: float | None, clock: Callable[[], float], sleep: Sleep) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._next = clock()

    async def wait(self) -> None:
        """Until the next line may go. A late line does not make the ones after it faster."""
        if self._rate is None:
            return
        await self._sleep(max(0.0, self._next - self._clock()))
        self._next = max(self._next, self._clock()) + 1 / self._rate


def parsed(line: bytes) -> dict[str, Any]:
    """The object of a line. WrongLineError for anything else."""
    if len(line) > RECORD_LIMIT:
        raise WrongLineError(f"the line has more than {RECORD_LIMIT} bytes")
    try:
        value = json.loads(line, parse_constant=_refuse_constant)
    except RecursionError:
        raise WrongLineError("the line is nested too deeply") from None
    except UnicodeDecodeError:
        raise WrongLineError("the line is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise WrongLineError(f"not JSON: {error.msg} at column {error.colno}") from None
    except ValueError as error:
        raise WrongLineError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise WrongLineError("an object is expected, {...}")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


async def send(line: bytes, publisher: Publisher) -> None:
    """Send one line to the topic its fields tell. WrongLineError or DecodeError."""
    value = parsed(line)
    if "npc_id" in value:
        await publisher.snapshot(value)
    elif "clusters" in value:
        await publisher.world(value, str(value.get("world_id") or DEFAULT_WORLD_ID))
    else:
        raise WrongLineError("neither npc_id (an NPC snapshot) nor clusters (a world snapshot)")


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Lines without their ends; of a line far beyond the limit only a beginning beyond it."""
    rest = bytearray()
    async for chunk in chunks:
        *whole, last = chunk.split(b"\n")
        for part in whole:
            yield bytes(rest + part)
            rest.clear()
        if len(rest) <= RECORD_LIMIT:
            rest += last
    if rest:
        yield bytes(rest)


async def chunks_of(descriptor: int) -> AsyncIterator[bytes]:
    """What a file or pipe holds, as it comes. Leaves no thread behind that Ctrl-C waits for."""
    queue: asyncio.Queue[bytes] = asyncio.Queue(maxsize=16)
    loop = asyncio.get_running_loop()

    def read() -> None:
        chunk = b"."
        while chunk:
            try:
                chunk = os.read(descriptor, _CHUNK)
            except OSError:
                chunk = b""
            asyncio.run_coroutine_threadsafe(queue.put(chunk), loop).result()

    threading.Thread(target=read, daemon=True).start()
    while chunk := await queue.get():
        yield chunk


@click.command()
@click.argument(
    "file",
    required=False,
    type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True, path_type=Path),
)
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Lines a second. Default: all."
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def publish(file: Path | None, rate: float | None, as_json: bool) -> None:
    """Send snapshots to Kafka, one JSON object a line (NDJSON).

    Reads FILE, or standard input without one. A line with `npc_id` goes to npc-snapshots, a line
    with `clusters` to world-snapshots. Without `observed_at` the time of sending counts.

    \b
    {"npc_id": "npc-7", "cluster": ["Alice"], "location": "market-square", "action": "idle"}

    Each wrong line is told as FILE:LINE and left out; the exit code is 1 then.
    """
    name = "stdin" if file is None or str(file) == "-" else str(file)
    with nullcontext(sys.stdin) if name == "stdin" else Path(name).open("rb") as source:
        tally = asyncio.run(_publish(name, source.fileno(), rate))
    _tell(tally, as_json)
    raise SystemExit(1 if tally.wrong or tally.failed else 0)


async def _publish(name: str, descriptor: int, rate: float | None) -> Tally:
    silence_client()
    connection = KafkaConnection.from_environment()
    await demand_topics(connection, [NPC_SNAPSHOTS, WORLD_SNAPSHOTS])
    tally = Tally()
    async with AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(Publisher(connection, on_failure=_told))
        pace = Pace(rate, time.monotonic, asyncio.sleep)
        progress = asyncio.create_task(_progress(publisher))
        stack.callback(progress.cancel)
        await _send_all(name, descriptor, publisher, pace, tally)
        report = await publisher.flush()
    tally.sent, tally.failed = report.sent, report.failed
    return tally


async def _send_all(
    name: str, descriptor: int, publisher: Publisher, pace: Pace, tally: Tally
) -> None:
    number = 0
    async for line in lines(chunks_of(descriptor)):
        number += 1
        if not line.strip():
            continue
        await pace.wait()
        try:
            await send(line, publisher)
        except (WrongLineError, DecodeError) as error:
            tally.wrong += 1
            click.echo(f"{name}:{number}: {error}.", err=True)


def _told(failure: Failure) -> None:
    key = failure.key.decode(errors="replace")
    click.echo(f"{failure.topic} {key!r} was not taken by Kafka: {failure.error}.", err=True)


async def _progress(publisher: Publisher) -> None:
    while sys.stderr.isatty():
        await asyncio.sleep(_PROGRESS_SECONDS)
        click.echo(f"{publisher.report.sent} sent", err=True)


def _tell(tally: Tally, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(tally)))
        return
    counts = [f"{tally.sent} sent"]
    counts += [f"{tally.wrong} wrong"] if tally.wrong else []
    counts += [f"{tally.failed} not taken by Kafka"] if tally.failed else []
    click.echo(", ".join(counts) + ".")
