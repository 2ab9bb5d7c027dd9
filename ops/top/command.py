"""`rollcall top`: options; the rest is beside it."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from math import inf
from time import monotonic

import click
from rich.console import Console
from rich.live import Live

from ops.lag.command import SAMPLES
from ops.tables import silence_client
from ops.top.document import document
from ops.top.reading import Asked, Sight, Watcher, watcher
from ops.top.scrape import MetricsUrl, urls_of
from ops.top.view import Course, drawn
from streams.settings import Settings
from topics.connection import KafkaConnection

CATCHING_UP = 30.0
"""Seconds that --once waits for older commands and results to be read."""

_WIDTH = 120
"""Columns where there is no terminal to ask."""


@click.command()
@click.option(
    "--metrics",
    "urls",
    type=MetricsUrl(),
    multiple=True,
    metavar="URL",
    help="A worker's metrics, as host:port or a URL; may be repeated. Default: three ports from "
    "ROLLCALL_METRICS_PORT on.",
)
@click.option(
    "--interval",
    type=click.FloatRange(0.2, 3600),
    default=2.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option(
    "--over",
    type=click.FloatRange(0, 3600),
    default=10.0,
    show_default=True,
    help="Seconds that rates and quantiles are of, if that is more.",
)
@click.option(
    "--worst",
    type=click.IntRange(1, 100),
    default=5,
    show_default=True,
    help="NPCs named of those told late, and of those that wait.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(0.1, 60),
    default=5.0,
    show_default=True,
    help="How far to look back for NPCs that were told late.",
)
@click.option("--once", is_flag=True, help="One view over one interval.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; without --once a line a look.")
def top(
    urls: tuple[str, ...],
    interval: float,
    over: float,
    worst: int,
    minutes: float,
    once: bool,
    as_json: bool,
) -> None:
    """Watch the whole pipeline: rates, lag, Letta, the writer's queue, and the NPCs worst off.

    Rates, freshness, Letta and the queue come from the workers' metrics (`rollcall worker
    --metrics-port`), added up where a role has several; a worker that does not answer is named.
    Lag, and the NPCs that were told late or wait, come from Kafka and need no worker's metrics.
    Nothing is written, and no consumer group is joined.

    \b
    told latest   the oldest snapshots, when the memory they asked for was in place
    waiting       commands without a result: in the writer's hands, or not taken yet
    """
    silence_client()
    settings = Settings()
    found = urls or urls_of(settings.metrics_host, settings.metrics_port)
    asked = Asked(KafkaConnection.from_environment(), found, over, minutes * 60, worst)
    if once:
        _print(asyncio.run(_once(asked, interval)), Course(), _console(), as_json=as_json, indent=2)
    else:
        asyncio.run(_watch(asked, interval, as_json=as_json))


async def _once(asked: Asked, interval: float) -> Sight:
    """One interval, in several looks: a verdict on lag needs more than two."""
    async with watcher(replace(asked, over=inf)) as one:
        await one.caught_up(CATCHING_UP)
        sight, end = await one.look(), monotonic() + interval
        while (left := end - monotonic()) > 0:
            await asyncio.sleep(min(left, interval / (SAMPLES - 1)))
            sight = await one.look()
        return sight


async def _watch(asked: Asked, interval: float, *, as_json: bool) -> None:
    console, course = _console(), Course()
    async with watcher(asked) as one:
        if console.is_terminal and not as_json:
            await _live(one, interval, console, course)
        async for sight in _looks(one, interval):
            _print(sight, course, console, as_json=as_json)


async def _looks(one: Watcher, interval: float) -> AsyncIterator[Sight]:
    """A look every interval, or as often as looking takes no longer."""
    while True:
        begun = monotonic()
        yield await one.look()
        await asyncio.sleep(max(begun + interval - monotonic(), 0.0))


async def _live(one: Watcher, interval: float, console: Console, course: Course) -> None:
    with Live(console=console, auto_refresh=False, screen=True) as live:
        async for sight in _looks(one, interval):
            course.add(sight)
            live.update(drawn(sight, course), refresh=True)


def _print(
    sight: Sight, course: Course, console: Console, *, as_json: bool, indent: int | None = None
) -> None:
    course.add(sight)
    if as_json:
        click.echo(json.dumps(document(sight), indent=indent))
    else:
        console.print(drawn(sight, course))


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=_WIDTH, highlight=False)
