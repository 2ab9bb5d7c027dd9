"""`rollcall bench faults`: everything that is known to go wrong, and what was broken by it.

    what         needs               how often
    simulation   nothing             each seed a town in virtual time (docs/simulation.md)
    fuzz         nothing             hostile records through decoder, splitter and filter
    kills        Kafka, Letta        kill -9 of filter and writer, each so many times, under load
    outages      Kafka, Letta        the tests of tests/reliability but the kills

The trials live with the tests, so this works in a checkout of the repository.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ops.bench import simulate
from ops.bench.options import json_option
from ops.demo.command import running_servers, stopped_by_sigterm
from ops.demo.servers import Servers, new_run
from ops.failure import Failure

ROOT = Path(__file__).parents[2]
SHOWN = 10
"""Faults of one trial that are told; `--json` has them all."""

OnDone = Callable[[int], None]
"""Hears how much is done."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for. `seed`: the first of the simulation, that of everything else."""

    seeds: int
    records: int
    kills: int
    seed: int


@dataclass(slots=True)
class Trial:
    """What came of one kind. `often`: in words; `broken`: a sentence for each promise broken."""

    what: str
    often: str
    broken: list[str]
    seed: int | None = None
    seconds: float = 0.0
    told: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


@click.command()
@click.option(
    "--only",
    type=click.Choice(["simulation", "fuzz", "kills", "outages"]),
    multiple=True,
    help="Only this kind; may be given more than once.",
)
@click.option("--seeds", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--records", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option(
    "--kills", type=click.IntRange(2), default=20, show_default=True, help="Of each role."
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@json_option
def faults(
    only: tuple[str, ...], seeds: int, records: int, kills: int, seed: int, json_file: Path | None
) -> None:
    """Crashes, outages and hostile input of every kind, and what they broke.

    Starts a Kafka and a Letta of its own (or uses those of ROLLCALL_BROKER and ROLLCALL_LETTA_URL)
    where a kind needs them. Everything takes about half an hour.

    Exits with 1 when a promise was broken.
    """
    wish, console = Wish(seeds, records, kills, seed), Console()
    chosen = [kind for kind in KINDS.values() if not only or kind.name in only]
    _check_checkout()
    with stopped_by_sigterm(), ExitStack() as stack:
        servers = None
        if any(kind.needs_servers for kind in chosen):
            servers = stack.enter_context(running_servers(console))
        trials = [trial for kind in chosen for trial in _tried(kind, wish, servers, console)]
    console.print(compared(trials))
    if json_file:
        figures = [asdict(trial) for trial in trials]
        json_file.write_text(json.dumps(figures, indent=2) + "\n")
    raise SystemExit(1 if any(trial.broken for trial in trials) else 0)


def _check_checkout() -> None:
    try:
        import tests.fuzz.road
        import tests.reliability.kills
        import tests.simulation.run  # noqa: F401 - that they can be imported is the question
    except ImportError as error:
        message = f"these trials come with the repository, not the package: {error}"
        raise Failure(message) from None


def _tried(kind: "Kind", wish: Wish, servers: Servers | None, console: Console) -> Iterator[Trial]:
    began = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task(kind.name, total=kind.total(wish))
        trial = kind.run(wish, servers, lambda done: progress.update(task, completed=done))
    trial.seconds = round(time.monotonic() - began, 1)
    shown = [*trial.told, *(f"BROKEN {fault}" for fault in trial.broken[:SHOWN])]
    console.print("\n".join(f"  {line}" for line in shown), highlight=False, soft_wrap=True)
    yield trial


def compared(trials: list[Trial]) -> Table:
    """All kinds, one below the other."""
    table = Table(box=None, pad_edge=False)
    for column, side in {
        "What": "left",
        "How often": "left",
        "Broken": "right",
        "Seconds": "right",
        "Seed": "right",
    }.items():
        table.add_column(column, justify="right" if side == "right" else "left")
    for one in trials:
        seed = "-" if one.seed is None else str(one.seed)
        table.add_row(one.what, one.often, str(len(one.broken)), f"{one.seconds:.1f}", seed)
    return table


# ---------------------------------------------------------------- the kinds


def _simulation(wish: Wish, _: Servers | None, on_done: OnDone) -> Trial:
    from tests.simulation.run import run_seeds

    seeds = range(wish.seed, wish.seed + wish.seeds)
    figures = run_seeds(seeds, on_seed=lambda so_far: on_done(so_far.seeds))
    return Trial(
        "simulation",
        f"{figures.seeds} seeds, {sum(figures.counts.values())} faults",
        [f"seed {seed}: {promise}" for seed, promise in figures.broken.items()],
        wish.seed,
        told=simulate.told(figures)[:4],
        figures=simulate.as_json(figures),
    )


def _fuzz(wish: Wish, _: Servers | None, on_done: OnDone) -> Trial:
    from tests.fuzz.road import fuzz

    tally = fuzz(wish.seed, wish.records, on_batch=lambda so_far: on_done(so_far.records))
    fates = ", ".join(f"{count} {fate}" for fate, count in tally.fates.most_common())
    rate = f"{tally.records / tally.cpu:.0f} records a second of one core"
    often = f"{tally.records} hostile records"
    return Trial(
        "fuzz", often, tally.faults, wish.seed, told=[fates, rate], figures=tally.as_json()
    )


def _kills(wish: Wish, servers: Servers | None, on_done: OnDone) -> Trial:
    assert servers is not None
    folder = servers.folder / new_run("kills")
    folder.mkdir(parents=True)
    done: Counter[str] = Counter()

    def on_kill(role: str) -> None:
        done[role] += 1
        on_done(done.total())

    trial = Trial("kills", "", [], wish.seed)
    try:
        trial = asyncio.run(_killed(wish, servers, folder, on_kill))
    except* AssertionError as stuck:  # what never came, in a sentence
        trial.broken = [str(error) for error in _leaves(stuck)]
    trial.often = "kill -9: " + ", ".join(f"{many} of {role}" for role, many in done.items())
    if trial.broken:
        trial.told.append(f"The workers' logs are in {folder}.")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return trial


async def _killed(
    wish: Wish, servers: Servers, folder: Path, on_kill: Callable[[str], None]
) -> Trial:
    from tests.integration.harness import Town, new_prefix
    from tests.reliability import kills

    connection, plan = servers.connection(new_prefix()), kills.Plan(wish.kills, seed=wish.seed)
    async with (
        Town(connection, folder, servers.letta_url) as town,
        servers.letta() as letta,
    ):
        verdict = await kills.run(town, letta, plan, on_kill)
    return Trial(
        "kills",
        "",
        verdict.broken(),
        wish.seed,
        told=verdict.told(),
        figures=verdict.as_json(),
    )


def _leaves(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


_VERDICT = re.compile(r"^(tests/\S+::.+?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL)")


def _outages(_: Wish, servers: Servers | None, on_done: OnDone) -> Trial:
    assert servers is not None
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.jsonl"
        verdicts, code, last = _pytest(servers, figures, on_done)
        told = figures.read_text().splitlines() if figures.exists() else []
    broken = [test for test, verdict in verdicts.items() if verdict in ("FAILED", "ERROR")]
    if code and not broken:
        broken = [f"the tests ended with {code}: {last}"]
    return Trial(
        "outages",
        f"{len(verdicts)} tests of tests/reliability",
        broken,
        told=told,
        figures={"figures": [json.loads(line) for line in told], "tests": verdicts},
    )


def _pytest(servers: Servers, figures: Path, on_done: OnDone) -> tuple[dict[str, str], int, str]:
    """The tests as they stand; each with its verdict, pytest's exit code, and its last line."""
    command = [sys.executable, "-m", "pytest", "-v", "--color=no", "-p", "no:cacheprovider"]
    environment = {
        **os.environ,
        "ROLLCALL_BROKER": servers.broker,
        "ROLLCALL_LETTA_URL": servers.letta_url,
        "ROLLCALL_FIGURES": str(figures),
    }
    verdicts: dict[str, str] = {}
    last = ""
    with subprocess.Popen(  # noqa: S603 - this Python, on tests of this checkout
        [*command, "tests/reliability", "--ignore=tests/reliability/test_kills.py"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as tests:
        assert tests.stdout is not None
        for line in tests.stdout:
            last = line.strip() or last
            if found := _VERDICT.match(line):
                verdicts[found[1]] = found[2]
                on_done(len(verdicts))
    return verdicts, tests.returncode, last


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of trial. `total`: how much there is to do, None while nobody knows."""

    name: str
    run: Callable[[Wish, Servers | None, OnDone], Trial]
    total: Callable[[Wish], int | None]
    needs_servers: bool = False


KINDS = {
    kind.name: kind
    for kind in (
        Kind("simulation", _simulation, lambda wish: wish.seeds),
        Kind("fuzz", _fuzz, lambda wish: wish.records),
        Kind("kills", _kills, lambda wish: 2 * wish.kills, needs_servers=True),
        Kind("outages", _outages, lambda _: None, needs_servers=True),
    )
}
