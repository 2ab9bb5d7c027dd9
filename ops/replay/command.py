"""`rollcall replay`: options and output; the rest is beside it."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console

from ops.bench.plots import Line, Panel, draw
from ops.embedded.progress import Progress, shown_progress
from ops.failure import Failure
from ops.moment import Moment
from ops.npc_id import NpcId
from ops.replay import files, regression, view
from ops.replay.batch import Batch
from ops.replay.beside import Beside
from ops.replay.comparison import Comparison, Tally
from ops.replay.dry_run import DECIDED, Decision, DryRun
from ops.replay.reading import Wanted
from ops.replay.regression import is_shown
from ops.replay.republish import Pace, Shift, republish
from ops.replay.settings import WrongSettingError, assignments, changed
from ops.replay.source import FileSource, Source, TopicSource, heard, shown
from ops.replay.stored import Stored
from ops.replay.undisturbed import undisturbed
from ops.tables import missing_topics
from streams.filter.core import SnapshotOutcome
from streams.settings import Settings
from topics.catalogue import BY_NAME, NPC_SNAPSHOTS
from topics.connection import KafkaConnection

_FILE = click.Path(dir_okay=False, path_type=Path)
_THERE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Offsets(click.ParamType):
    """`PARTITION:FROM-TO`, the last one left out."""

    name = "offsets"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, tuple[int, int]]:
        """A usage error for anything else."""
        found = re.fullmatch(r"(\d{1,9}):(\d{1,18})-(\d{1,18})", str(value), re.ASCII)
        if found is None or int(found[2]) > int(found[3]):
            self.fail(f"{str(value)[:40]!r} is no PARTITION:FROM-TO, as 3:1200-1300.", param, ctx)
        return int(found[1]), (int(found[2]), int(found[3]))


class Speed(click.ParamType):
    """Times real time, or `max`."""

    name = "speed"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        """None: as fast as possible. A usage error for what is no positive number."""
        if value is None or value == "max":
            return None
        try:
            speed = float(str(value))
        except ValueError:
            speed = 0.0
        if not 0 < speed < float("inf"):
            self.fail(f"{str(value)[:40]!r} is no speed: 1, 10, 0.5, or max.", param, ctx)
        return speed


@click.command()
@click.option("--topic", default=NPC_SNAPSHOTS, show_default=True, help="Without the prefix.")
@click.option("--import", "file", type=_THERE, help="An export instead of a topic.")
@click.option("--from", "--since", "since", type=Moment(), help="From this time on. Default: all.")
@click.option("--to", "--until", "until", type=Moment(), help="Up to this time, which is left out.")
@click.option("--offsets", type=Offsets(), multiple=True, help="P:FROM-TO instead of times.")
@click.option("--npc", "npc_id", type=NpcId(), help="Only the records of this key.")
@click.option("--dry-run", is_flag=True, help="Decide only. The default without --into, --export.")
@click.option(
    "--state",
    type=click.Choice(["recovered", "empty"]),
    default="recovered",
    show_default=True,
    help="What the filter knows at first: what came before --from led to it, or nothing.",
)
@click.option("--set", "others", multiple=True, metavar="NAME=VALUE", help="Compare with this.")
@click.option(
    "--compare",
    nargs=2,
    metavar="OLD NEW",
    help="Compare two: `current`, NAME=VALUE,... or a file of such lines.",
)
@click.option("--all", "with_suppressed", is_flag=True, help="Show suppressed snapshots, too.")
@click.option("--quiet", is_flag=True, help="Only the sums.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@click.option("--plot", type=_FILE, metavar="FILE", help="Draw Letta calls a minute.")
@click.option("--export", type=_FILE, help="Save the stretch: a bug report is a file.")
@click.option("--keep-as", type=_FILE, metavar="FILE.ndjson", help="Save it as a regression test.")
@click.option("--into", metavar="TOPIC", help="Publish the stretch there, without the prefix.")
@click.option("--speed", type=Speed(), default="1", show_default=True, help="With --into; or max.")
@click.option("--now", "is_now", is_flag=True, help="With --into: move its times to now.")
@click.option("--live", is_flag=True, help="With --into: a topic that workers read is meant.")
def replay(
    topic: str,
    file: Path | None,
    since: float | None,
    until: float | None,
    offsets: tuple[tuple[int, tuple[int, int]], ...],
    npc_id: str | None,
    dry_run: bool,
    state: str,
    others: tuple[str, ...],
    compare: tuple[str, str] | None,
    with_suppressed: bool,
    quiet: bool,
    as_json: bool,
    plot: Path | None,
    export: Path | None,
    keep_as: Path | None,
    into: str | None,
    speed: float | None,
    is_now: bool,
    live: bool,
) -> None:
    """Play a stretch of a topic once more: what is decided on it, or published from it.

    A dry run touches no group, no Table and no Letta. It decides under the settings of this
    environment, or those of an export, with the roster, the locations and the profiles of now.
    The same stretch gives the same output.

    \b
    rollcall replay --from 15m --npc npc-7                   what was decided, and why
    rollcall replay --from 2h --set stale_data_threshold=60  what another setting would save
    rollcall replay --from 15m --export bug.ndjson           a bug report
    rollcall replay --import bug.ndjson                      ... looked at elsewhere
    rollcall replay --import bug.ndjson --into test --speed 9 ... published, nine times as fast
    """
    if file is not None and (since is not None or until is not None or offsets):
        raise click.UsageError(
            "--import is a stretch already; --from, --to and --offsets do not go with it."
        )
    if sum(map(bool, (export, keep_as, into, dry_run))) > 1:
        raise click.UsageError("One of --dry-run, --export, --keep-as and --into at a time.")
    with (
        shown_progress() as progress,
        undisturbed(),
        _source(topic, file, since, until, dict(offsets), npc_id, state, progress) as source,
    ):
        if into is not None:
            _publish(source, into, Pace(speed), is_now=is_now, live=live, progress=progress)
        elif export is not None or keep_as is not None:
            _save(source, export or keep_as or Path(), is_test=keep_as is not None)
        else:
            output = _Output(as_json=as_json, with_suppressed=with_suppressed, quiet=quiet)
            _decide(source, others, compare, output, plot)


@contextmanager
def _source(
    topic: str,
    file: Path | None,
    since: float | None,
    until: float | None,
    offsets: dict[int, tuple[int, int]],
    npc_id: str | None,
    state: str,
    progress: Progress,
) -> Iterator[Source]:
    if file is not None:
        yield FileSource(file, npc_id)
        return
    if offsets and (since is not None or until is not None):
        raise click.UsageError("--offsets instead of --since and --until, not beside them.")
    wanted = Wanted(topic, since, until, npc_id, offsets or None)
    connection = KafkaConnection.from_environment()

    def tell(done: int, total: int) -> None:
        progress.step(f"Reading {topic}", done / total if total else 1.0)

    earlier = None if since is None else since - _lead(state)
    with Beside(connection, wanted._replace(since=earlier)) as reading:
        yield TopicSource(connection, wanted, reading, tell)


def _lead(state: str) -> float:
    """Seconds after which the newest full push of every NPC has come again."""
    return 1.5 * Settings().force_refresh_interval if state == "recovered" else 0.0


class _Output:
    """Prints decisions as they come."""

    def __init__(self, *, as_json: bool, with_suppressed: bool, quiet: bool) -> None:
        self.as_json, self.with_suppressed, self._quiet = as_json, with_suppressed, quiet
        self.console = Console(highlight=False)

    def tell(self, decision: Decision, mark: str = "") -> None:
        """One decision, unless nothing came of it. `mark`: old or new."""
        held = decision.outcome is SnapshotOutcome.SUPPRESSED and not self.with_suppressed
        if self._quiet or (held and not mark):
            return
        if self.as_json:
            told = view.document(decision)
            click.echo(json.dumps({"settings": mark, **told} if mark else told))
            return
        for line in view.lines(decision, f"{mark}: " if mark else ""):
            self.console.print(line, soft_wrap=True)


def _decide(
    source: Source,
    others: tuple[str, ...],
    compare: tuple[str, str] | None,
    output: _Output,
    plot: Path | None,
) -> None:
    head = source.head
    if head.topic not in DECIDED:
        raise Failure(f"no decision is made on {head.topic}, only on {' and '.join(DECIDED)}.")
    current = _settings(Settings(), head.settings)
    if others and compare:
        raise click.UsageError("--set compares with the settings as they are, --compare any two.")
    if others or compare:
        old, new = compare or ("current", ",".join(others))
        asyncio.run(_compare(source, current, old, new, output, plot))
    else:
        asyncio.run(_dry_run(source, current, output, plot))


async def _dry_run(source: Source, settings: Settings, output: _Output, plot: Path | None) -> None:
    run, tally, since = DryRun(settings, await heard(source)), Tally(), source.head.since
    async for batch in source.batches():
        _take(run, batch, since, output, tally)
    if output.as_json:
        click.echo(json.dumps({"sum": view.tally_document(tally)}))
    else:
        for line in view.summary(tally):
            output.console.print(line, soft_wrap=True)
    _draw(plot, {"decided": tally})


def _take(run: DryRun, batch: Batch, since: float | None, output: _Output, tally: Tally) -> None:
    """Decides a batch; what stands before `since` only leads to a state."""
    held, tells_held = 0, output.with_suppressed
    for fields, again in zip(batch.rows(), batch.again, strict=True):
        holds = run.holds(fields, again)
        if holds and not tells_held:
            held += is_shown(fields, since)
            continue
        record = Stored(*fields)
        decided = [run.held(record)] if holds else run.take(record)
        if is_shown(record, since):
            for decision in decided:
                tally.add(decision)
                output.tell(decision)
    tally.hold(held)


async def _compare(
    source: Source, current: Settings, old: str, new: str, output: _Output, plot: Path | None
) -> None:
    known, comparison, since = await heard(source), Comparison(), source.head.since
    runs = [DryRun(_settings(current, _given(one)), known) for one in (old, new)]
    async for batch in source.batches():
        for record, again in zip(batch.records(), batch.again, strict=True):
            held = [run.holds(record, again) for run in runs]
            if all(held):
                comparison.hold(is_shown(record, since))
                continue
            both = [
                [run.held(record)] if holds else list(run.take(record))
                for run, holds in zip(runs, held, strict=True)
            ]
            if is_shown(record, since) and comparison.add(*both):
                for mark, made in zip(("old", "new"), both, strict=True):
                    for decision in made:
                        output.tell(decision, mark)
    if output.as_json:
        sums = {"old": comparison.old, "new": comparison.new}
        told = {name: view.tally_document(one) for name, one in sums.items()}
        click.echo(json.dumps(told | {"differing": comparison.differing}))
    else:
        output.console.print(view.comparison_table(comparison, *map(_titled, (old, new))))
        output.console.print(view.verdict(comparison), soft_wrap=True)
    _draw(plot, {_titled(old): comparison.old, _titled(new): comparison.new})


def _given(text: str) -> dict[str, str]:
    """What one side of a comparison is: `current`, a file, or assignments."""
    if text == "current":
        return {}
    file = Path(text)
    try:
        return assignments(file.read_text() if "=" not in text and file.is_file() else text)
    except (WrongSettingError, UnicodeDecodeError) as error:
        raise Failure(f"{error}.") from None


def _settings(base: Settings, values: dict[str, str]) -> Settings:
    try:
        return changed(base, values)
    except WrongSettingError as error:
        raise Failure(f"{error}.") from None


def _titled(side: str) -> str:
    return view.shown(side if "=" in side or side == "current" else Path(side).name)


def _draw(plot: Path | None, tallies: dict[str, Tally]) -> None:
    if plot is None:
        return
    lines = [Line(name, view.calls_by_minute(tally)) for name, tally in tallies.items()]
    panel = Panel("minutes of the game", "Letta calls a minute", lines)
    for file in draw(plot, "What a stretch costs Letta", [panel]):
        click.echo(f"Drawn: {file}", err=True)


def _save(source: Source, file: Path, *, is_test: bool) -> None:
    if is_test and file.suffix != regression.STRETCH:
        raise Failure(f"{file}: a test's name ends in {regression.STRETCH}.")
    count, before = asyncio.run(_write(source, file))
    led = f", and {before:,} before them that led to what the filter knew" if before else ""
    click.echo(f"{count:,} records saved to {file}{led}.")
    if is_test:
        click.echo(f"What is decided on them today: {regression.keep(file)}.")


async def _write(source: Source, file: Path) -> tuple[int, int]:
    """How many are of the stretch, and how many came before it."""
    since, count, before = source.head.since, 0, 0
    with files.write(file, source.head) as target:
        async for record in source.known():
            files.add(target, [record])
        async for batch in source.batches():
            count += files.add(target, batch.records())
            before += sum(not is_shown(fields, since) for fields in batch.rows())
    return count - before, before


def _publish(
    source: Source, into: str, pace: Pace, *, is_now: bool, live: bool, progress: Progress
) -> None:
    if into in BY_NAME and not live:
        raise Failure(f"{into} is read by workers or written by them; --live if that is meant.")
    connection = KafkaConnection.from_environment()
    topic = connection.topic(into)

    def tell(sent: int) -> None:
        progress.step(f"{sent:,} records sent to {topic}", None)

    async def send() -> int:
        if await missing_topics(connection, [into]):
            raise Failure(f"{topic} does not exist on the broker.")
        shift = Shift() if is_now else None
        return await republish(connection, shown(source), topic, pace, shift, tell)

    click.echo(f"{asyncio.run(send()):,} records sent to {topic}.")
