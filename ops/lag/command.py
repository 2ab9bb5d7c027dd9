"""`rollcall lag`: how far behind every group is, once, live, for a script or for Prometheus."""

import asyncio
import json
import signal
import time
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any

import click
import structlog
from aiokafka.errors import KafkaError
from prometheus_client import start_http_server
from rich.console import Console
from rich.live import Live

from ops.failure import Failure
from ops.lag.exporter import LagCollector, registry_of
from ops.lag.reading import LagReader, Position, lag_reader
from ops.lag.view import Windows, above, as_json, behind, drawn
from topics.connection import KafkaConnection

SAMPLES = 5
"""Of a window; about four seconds tell a group that stands still from one between two commits."""

WATCHED = 60
"""Samples that a watched line shows."""

log = structlog.get_logger()


@click.command()
@click.option(
    "--group",
    "patterns",
    multiple=True,
    metavar="NAME",
    help="Any group on the broker, * and ? allowed; may be repeated. Default: rollcall's own.",
)
@click.option(
    "--topic",
    "topics",
    multiple=True,
    metavar="NAME",
    help="Only these topics, with the prefix or without it.",
)
@click.option("--behind", "only_behind", is_flag=True, help="Only partitions with any lag.")
@click.option("--watch", is_flag=True, help="Until Ctrl-C, with the lag of the last minutes.")
@click.option(
    "--interval",
    type=click.FloatRange(0.2),
    default=1.0,
    show_default=True,
    help="Seconds between two samples.",
)
@click.option("--max", "most", type=click.IntRange(0), metavar="N", help="Exit 1 above N records.")
@click.option(
    "--max-seconds",
    type=click.FloatRange(0),
    metavar="S",
    help="Exit 1 where a record has waited for more than S seconds.",
)
@click.option(
    "--export",
    "port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve it to Prometheus on this port until SIGTERM or Ctrl-C.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve it on.")
@click.option("--json", "as_data", is_flag=True, help="Print JSON; with --watch a line a sample.")
def lag(
    patterns: tuple[str, ...],
    topics: tuple[str, ...],
    only_behind: bool,
    watch: bool,
    interval: float,
    most: int | None,
    max_seconds: float | None,
    port: int | None,
    host: str,
    as_data: bool,
) -> None:
    """Tell how far behind each consumer group is, in records and in seconds.

    \b
    OK      keeps up, or catches up      STALL   has members, and finishes nothing
    WARN    more comes than is finished  STOP    has no member, and finishes nothing
    NONE    never committed              REWIND  was reset to an earlier offset

    Seconds are the age of the next record that is not finished. `a second` is the growth of the
    lag over the samples taken, five of them without --watch.

    \b
    rollcall lag --max-seconds 30        # for a script: exit 1 when somebody waits longer
    rollcall lag --watch --group 'my-*'  # other people's groups too
    rollcall lag --export 9308           # kafka_exporter's metrics, and seconds
    """
    connection = KafkaConnection.from_environment()
    asked = _Asked(connection, patterns, topics, interval)
    if port is not None:
        asyncio.run(_until_sigterm(_export(asked, host, port)))
    elif watch:
        asyncio.run(_watch(asked, as_data=as_data, only_behind=only_behind))
    else:
        positions, windows = asyncio.run(_once(asked))
        if as_data:
            told = behind(positions, windows) if only_behind else positions
            click.echo(json.dumps(as_json(told, windows), indent=2))
        else:
            Console(highlight=False).print(drawn(positions, windows, only_behind=only_behind))
        sentences = above(positions, most, max_seconds)
        for sentence in sentences:
            click.echo(sentence, err=True)
        raise SystemExit(1 if sentences else 0)


class _Asked:
    """What the user wants to know."""

    def __init__(
        self,
        connection: KafkaConnection,
        patterns: tuple[str, ...],
        topics: tuple[str, ...],
        interval: float,
    ) -> None:
        self.connection, self.interval = connection, interval
        self._patterns, self._topics = patterns, topics

    async def groups(self, reader: LagReader) -> Mapping[str, list[str]]:
        """By name, with the topics they are known to read."""
        return await reader.named_groups(self._patterns) if self._patterns else reader.own_groups()

    async def positions(self, reader: LagReader, groups: Mapping[str, list[str]]) -> list[Position]:
        """Where they stand, on the topics asked for."""
        every = await reader.read(groups)
        wanted = {*self._topics, *map(self.connection.topic, self._topics)}
        return [one for one in every if not wanted or one.topic in wanted]


async def _once(asked: _Asked) -> tuple[list[Position], Windows]:
    windows, positions = Windows(SAMPLES), list[Position]()
    async with lag_reader(asked.connection) as reader:
        groups = await asked.groups(reader)
        for number in range(SAMPLES):
            await asyncio.sleep(asked.interval if number else 0.0)
            positions = await asked.positions(reader, groups)
            windows.add(positions)
    return positions, windows


async def _watch(asked: _Asked, *, as_data: bool, only_behind: bool) -> None:
    windows, console = Windows(WATCHED), Console(highlight=False)
    async with lag_reader(asked.connection) as reader:
        groups = await asked.groups(reader)
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while True:
                positions = await asked.positions(reader, groups)
                windows.add(positions)
                if as_data:
                    some = behind(positions, windows) if only_behind else positions
                    told: dict[str, Any] = {"at": round(time.time(), 3)}
                    click.echo(json.dumps(told | {"groups": as_json(some, windows)}))
                else:
                    page = drawn(positions, windows, with_lines=True, only_behind=only_behind)
                    live.update(page, refresh=True)
                await asyncio.sleep(asked.interval)


async def _until_sigterm(work: Coroutine[Any, Any, None]) -> None:
    """The first process of a container ignores SIGTERM unless it asks for it."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


async def _export(asked: _Asked, host: str, port: int) -> None:
    collector, windows = LagCollector(), Windows(WATCHED)
    try:
        server, _ = start_http_server(port, host, registry_of(collector))
    except OSError as error:
        raise Failure(f"cannot listen on {host}:{port}: {error.strerror}.") from error
    click.echo(f"Serving lag on http://{host}:{server.server_port}/metrics")
    async with lag_reader(asked.connection) as reader:
        groups = await asked.groups(reader)
        while True:
            try:
                positions = await asked.positions(reader, groups)
            except KafkaError as error:
                collector.fail()
                log.warning("lag_not_read", error=type(error).__name__)
            else:
                windows.add(positions)
                collector.show(positions, windows)
            await asyncio.sleep(asked.interval)
