"""`rollcall demo`: the command around a run: servers, stage, summary, and the way out."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from ops.demo.run import Options, perform
from ops.demo.servers import Servers, ensure_servers, new_run
from ops.demo.stage import Stage
from ops.demo.summary import Summary, shown
from ops.demo.town import Town, build_town
from ops.demo.view import open_console, opened_view
from ops.embedded.progress import shown_progress
from ops.tables import silence_client
from streams.settings import Mode

WAKE_UP = 15.0
"""Seconds in which the NPCs of a demo appear, so that Letta keeps up with their first writes."""

MODES = [mode.value for mode in Mode]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for."""

    options: Options
    mode: Mode
    keep: bool
    json_file: Path | None
    record_file: Path | None


@click.command()
@click.option("--npcs", type=click.IntRange(1, 10_000), default=30, show_default=True)
@click.option("--seconds", type=click.FloatRange(3), default=60, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same game.")
@click.option(
    "--wake-up",
    type=click.FloatRange(0),
    default=None,
    metavar="SECONDS",
    help="Time in which the NPCs appear one after the other; 0: all within three seconds, which "
    "asks more of Letta than it takes. Default: 15, at most a quarter of the game.",
)
@click.option("--mode", type=click.Choice(MODES), default=Mode.CACHED.value, show_default=True)
@click.option("--keep", is_flag=True, help="Leave servers, workers, topics and agents running.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Save the summary as JSON.",
)
@click.option(
    "--record",
    "record_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Save the snapshots as NDJSON, for `rollcall publish`.",
)
def demo(
    npcs: int,
    seconds: float,
    seed: int,
    wake_up: float | None,
    mode: str,
    keep: bool,
    json_file: Path | None,
    record_file: Path | None,
) -> None:
    """Run the whole system on this machine and prove that it works.

    Starts a real Kafka and a real Letta of its own (or uses those of ROLLCALL_BROKER and
    ROLLCALL_LETTA_URL), loads a small town, creates its Letta agents, runs splitter, filter and
    writer as worker processes and plays a seeded game: players walk, join and leave groups, NPCs
    move, each NPC is told of every 3 seconds. When the game is over and everything has been
    handled, the memory of every NPC is compared with the last snapshot that was sent.

    Topics, consumer groups and agents have names of this run and are removed at the end. The first
    start installs the servers, which takes some minutes; later ones take half a minute.

    Exits with 1 when the memory of an NPC is not what it should be.
    """
    options = Options(
        npcs=npcs,
        seconds=seconds,
        seed=seed,
        wake_up=min(WAKE_UP, seconds / 4) if wake_up is None else wake_up,
        notes=mode != Mode.DIRECT.value,
    )
    wish = Wish(options, Mode(mode), keep, json_file, record_file)
    with stopped_by_sigterm():
        summary = run_demo(wish)
    raise SystemExit(0 if summary.is_right else 1)


def run_demo(wish: Wish) -> Summary:
    """Servers, stage, game and summary; everything this started is stopped again."""
    console = open_console()
    with running_servers(console, keep=wish.keep) as servers, ExitStack() as last:
        summary = asyncio.run(_on_stage(wish, servers, console, last))
        console.print(shown(summary))
        if wish.json_file:
            wish.json_file.write_text(json.dumps(summary.as_json(), indent=2) + "\n")
    return summary


@contextmanager
def running_servers(console: Console, *, keep: bool = False) -> Iterator[Servers]:
    """The servers of a run; those started here are stopped again, unless they are to be kept."""
    silence_client()
    with ExitStack() as stack:
        with shown_progress() as progress:
            servers = ensure_servers(stack, progress, keep)
        try:
            yield servers
        finally:
            _say_farewell(console, servers, keep)
            with uninterrupted():
                stack.close()


async def _on_stage(wish: Wish, servers: Servers, console: Console, last: ExitStack) -> Summary:
    run = new_run("demo")
    town = build_town(wish.options.npcs, wish.options.seed, f"{run}-")
    stage = new_stage(run, town, wish.mode, servers)
    failed = True
    try:
        with shown_progress() as progress:
            await stage.prepare(progress.step)
        with (
            opened_view(console) as view,
            wish.record_file.open("w") if wish.record_file else nullcontext() as recording,
        ):
            summary = await perform(stage, wish.options, view, recording=recording)
        failed = not summary.is_right
        return summary
    except asyncio.CancelledError:
        failed = False
        raise
    finally:
        if wish.keep:
            last.callback(_say_kept, console, stage)
        else:
            await clear(stage, keep_logs=failed)


def new_stage(run: str, town: Town, mode: Mode, servers: Servers) -> Stage:
    """A stage that is not prepared yet, with names of its own."""
    return Stage(
        run=run,
        town=town,
        mode=mode,
        connection=servers.connection(f"{run}-"),
        letta=servers.letta(),
        letta_url=servers.letta_url,
        folder=servers.folder / run,
        server_pids=servers.pids,
    )


async def clear(stage: Stage, *, keep_logs: bool) -> None:
    """Remove all that a run made; the logs stay when something went wrong."""
    try:
        with uninterrupted():
            await stage.clear()
    finally:
        if keep_logs:
            click.echo(f"The workers' logs are in {stage.folder}.", err=True)
        else:
            shutil.rmtree(stage.folder, ignore_errors=True)


def _say_kept(console: Console, stage: Stage) -> None:
    console.print("\n".join(kept_lines(stage)), soft_wrap=True)


def kept_lines(stage: Stage) -> list[str]:
    """How to look at what was left running, and how to stop it."""
    pids = " ".join(str(worker.process.pid) for worker in stage.workers)
    pages = " ".join(f"--metrics 127.0.0.1:{worker.port}" for worker in stage.workers)
    return [
        "Everything is left running. To look at it:",
        f"  export ROLLCALL_BROKER={stage.connection.broker}",
        f"  export ROLLCALL_LETTA_URL={stage.letta_url}",
        f"  export ROLLCALL_TOPIC_PREFIX={stage.connection.topic_prefix}",
        f"  rollcall top {pages}",
        f"The workers' logs are in {stage.folder}. To stop the workers: kill {pids}",
    ]


def _say_farewell(console: Console, servers: Servers, keep: bool) -> None:
    if servers.own and not keep:
        click.echo("Stopping the servers.", err=True)
    for name in servers.own if keep else ():
        command = {"kafka": "broker", "letta": "letta"}[name]
        stop = f"rollcall {command} stop --data-dir {servers.folder}"
        console.print(f"To stop {name}: {stop}", soft_wrap=True)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """No Ctrl-C in the block: interrupted tidying would leave things behind."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does: in order, with everything stopped.

    A shell that starts us in the background has SIGINT ignored, and with it both would be lost.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGTERM, interrupt)
    before_interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before_interrupt)
        signal.signal(signal.SIGTERM, before)
        sys.stdout.flush()
