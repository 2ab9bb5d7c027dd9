"""`rollcall dead-letters`: list, show and requeue. Options and output; the rest is beside it."""

import asyncio
import heapq
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from ops.dead_letters import view
from ops.dead_letters.letter import Fate, Letter, LetterId, Selection, Told
from ops.dead_letters.mailbox import Mailbox
from ops.dead_letters.requeue import Edit, Requeue, Rules
from ops.failure import Failure
from ops.moment import Moment
from ops.visible import pretty
from streams.settings import Settings
from topics.connection import KafkaConnection

SHOWN = 4_000
"""Characters of a value that `show` prints unless asked for more."""

Command = TypeVar("Command", bound=Callable[..., Any])


class IdType(click.ParamType):
    """`<partition>-<offset>`."""

    name = "id"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> LetterId:
        """A usage error for anything else."""
        try:
            return LetterId.parse(str(value))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


def _filters(command: Command) -> Command:
    options = (
        click.option("--stage", help="Only of this stage: splitter, filter, writer, npc-roster..."),
        click.option("--topic", help="Only from this topic, with or without the prefix."),
        click.option("--key", help="Only with exactly this record key."),
        click.option("--since", type=Moment(), help="Only failed at or after this time."),
        click.option("--until", type=Moment(), help="Only failed before this time."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group("dead-letters")
def dead_letters() -> None:
    """What no stage could handle, and another try.

    A dead letter is a record as it came, with headers that tell which stage gave it up and why. Its
    id is <partition>-<offset> on the topic dead-letters. A TIME is ISO 8601 (UTC without a zone),
    seconds since the epoch, or how long ago: 90s, 15m, 2h, 3d.
    """


# ---------------------------------------------------------------- list


@dead_letters.command("list")
@_filters
@click.option("--oldest", is_flag=True, help="Oldest first. Default: newest first.")
@click.option("--open", "only_open", is_flag=True, help="Only those that were never requeued.")
@click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(oldest: bool, only_open: bool, limit: int, as_json: bool, **filters: Any) -> None:
    """Print dead letters, one a line."""
    asyncio.run(_list(filters, oldest, only_open, limit, as_json))


async def _list(
    filters: dict[str, Any], oldest: bool, only_open: bool, limit: int, as_json: bool
) -> None:
    connection = KafkaConnection.from_environment()
    selection = Selection(prefix=connection.topic_prefix, **filters)
    mailbox = Mailbox(connection)
    await mailbox.open()
    with _busy("Reading dead letters"):
        marks = await mailbox.marks()
        found = (
            letter
            async for letter in mailbox.letters()
            if letter in selection and not (only_open and letter.id in marks)
        )
        letters, total = await first_of(found, limit, oldest)
    if as_json:
        click.echo(json.dumps([view.as_json(one, marks.get(one.id)) for one in letters], indent=2))
        return
    if letters:
        Console(highlight=False).print(view.table(letters, marks))
    click.echo(_counted(len(letters), total))


async def first_of(
    letters: AsyncIterator[Letter], limit: int, oldest: bool
) -> tuple[list[Letter], int]:
    """The first by time, without their values, and how many there are in all."""
    kept: list[Letter] = []
    total = 0

    def shortened() -> list[Letter]:
        pick = heapq.nsmallest if oldest else heapq.nlargest
        return pick(limit, kept, key=lambda letter: (letter.at, letter.id))

    async for letter in letters:
        total += 1
        kept.append(replace(letter, value=None))
        if len(kept) >= 2 * limit:
            kept = shortened()
    return shortened(), total


def _counted(shown: int, total: int) -> str:
    letters = "1 dead letter" if total == 1 else f"{total:,} dead letters"
    return f"{letters}." if shown == total else f"{shown:,} of {letters}; --limit shows more."


# ---------------------------------------------------------------- show


@dead_letters.command()
@click.argument("letter_id", metavar="ID", type=IdType())
@click.option("--full", is_flag=True, help=f"The whole value, not its first {SHOWN:,} characters.")
@click.option("--raw", is_flag=True, help="Only the bytes of the value, into a file or pipe.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the whole value.")
def show(letter_id: LetterId, full: bool, raw: bool, as_json: bool) -> None:
    """Print one dead letter: why it failed, its key and its value.

    What does not print shows as \\x1b or \\u202e, so that nothing in a record acts on the terminal.
    With --raw the value comes as it is, ready for `requeue ID --value FILE`.
    """
    if raw and sys.stdout.isatty():
        raise click.UsageError("--raw is for a file or a pipe; a terminal might obey the bytes.")
    asyncio.run(_show(letter_id, full, raw, as_json))


async def _show(letter_id: LetterId, full: bool, raw: bool, as_json: bool) -> None:
    mailbox = Mailbox(KafkaConnection.from_environment())
    await mailbox.open()
    with _busy("Reading dead letters"):
        marks = await mailbox.marks()
        letter = (await _found(mailbox, [letter_id]))[0]
    mark = marks.get(letter_id)
    if raw:
        click.get_binary_stream("stdout").write(letter.value or b"")
    elif as_json:
        click.echo(json.dumps(view.as_json(letter, mark, whole=True), indent=2))
    else:
        console = Console(highlight=False)
        for line in view.page(letter, mark, None if full else SHOWN):
            console.print(line, soft_wrap=True)


async def _found(mailbox: Mailbox, ids: Iterable[LetterId]) -> list[Letter]:
    """The letters, oldest first; a Failure unless all of them stand on the topic."""
    wanted = set(ids)
    letters = await mailbox.find(wanted)
    missing = ", ".join(map(str, sorted(wanted - letters.keys())))
    if missing:
        raise Failure(f"no dead letter {missing}; it may be past the topic's retention.")
    return list(letters.values())


# ---------------------------------------------------------------- requeue


@dead_letters.command()
@click.argument("ids", metavar="[ID]...", nargs=-1, type=IdType())
@click.option("--all", "everything", is_flag=True, help="All letters that the filters leave.")
@_filters
@click.option("--edit", is_flag=True, help="Open each value in $EDITOR first.")
@click.option(
    "--value",
    "value_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Send the bytes of this file in place of the value; with one ID.",
)
@click.option("--dry-run", is_flag=True, help="Tell what would be sent; send nothing.")
@click.option("--again", is_flag=True, help="Also letters that were requeued before.")
@click.option(
    "--force", is_flag=True, help="Also what would be a dead letter again, or undo a newer record."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def requeue(
    ids: Sequence[LetterId],
    everything: bool,
    edit: bool,
    value_file: Path | None,
    as_json: bool,
    dry_run: bool,
    again: bool,
    force: bool,
    **filters: Any,
) -> None:
    """Send dead letters back to the topic they came from.

    With the original bytes (or the edited), the original key, and in the order in which they
    failed. Each is checked first: what would become a dead letter again is refused. A letter that
    was requeued before is skipped, so this can be repeated.

    \b
    rollcall dead-letters requeue 0-12 0-13
    rollcall dead-letters requeue 0-12 --edit
    rollcall dead-letters requeue --all --topic npc-snapshots --since 2h --dry-run

    Exits with 1 when a letter was refused or could not be sent.
    """
    _demand_one_way(ids, everything, edit or value_file is not None, filters)
    if value_file and (len(ids) != 1 or edit):
        raise click.UsageError("--value goes with one ID and without --edit.")
    limits = Settings()
    rules = Rules(force, again, dry_run, limits.max_clock_ahead)
    run = _Run(as_json)
    asyncio.run(run.go(set(ids), filters, rules, _editor(edit, value_file, run.edits)))
    raise SystemExit(run.finish())


def _demand_one_way(
    ids: Sequence[LetterId], everything: bool, edited: bool, filters: dict[str, Any]
) -> None:
    if bool(ids) == everything:
        raise click.UsageError("give the IDs of dead letters, or --all.")
    if ids and any(value is not None for value in filters.values()):
        raise click.UsageError("the filters go with --all, not with IDs.")
    if everything and edited:
        raise click.UsageError("--edit and --value go with IDs, not with --all.")


Edits = dict[LetterId, bytes]


def _editor(edit: bool, value_file: Path | None, edits: Edits) -> Edit | None:
    if value_file:
        content = value_file.read_bytes()
        return lambda _: content
    return (lambda letter: _edited(letter, edits)) if edit else None


def _edited(letter: Letter, edits: Edits) -> bytes | None:
    before = pretty(letter.value or b"")
    after = click.edit(before, extension=".json")
    if after is None or after.rstrip() == before.rstrip():
        return None
    # Editors end a file with a line feed, which no producer sends.
    edits[letter.id] = after.rstrip(b"\r\n")
    return edits[letter.id]


class _Run:
    """A requeue as the command line tells it."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._fates: Counter[Fate] = Counter()
        self._told: list[dict[str, str]] = []
        self.edits: Edits = {}

    async def go(
        self, ids: set[LetterId], filters: dict[str, Any], rules: Rules, edit: Edit | None
    ) -> None:
        """Requeue these letters, or those that the filters leave."""
        connection = KafkaConnection.from_environment()
        selection = Selection(prefix=connection.topic_prefix, **filters)
        mailbox = Mailbox(connection)
        await mailbox.open()
        with _busy("Reading dead letters"):
            marks = await mailbox.marks()
            letters = await _found(mailbox, ids) if ids else None
        chosen = _each(letters) if letters is not None else _matching(mailbox, selection)
        try:
            await Requeue(connection, rules, self._hear, time.time).run(chosen, marks, edit)
        except Failure:
            self.finish()
            raise

    def _hear(self, one: Told) -> None:
        self._fates[one.fate] += 1
        edit = self.edits.get(one.letter.id) if one.fate in (Fate.REFUSED, Fate.FAILED) else None
        kept = _kept(one.letter.id, edit) if edit is not None else None
        self._told.append({"id": str(one.letter.id), "fate": one.fate, "details": one.details})
        if not self._as_json:
            click.echo(view.told(one), err=one.fate in (Fate.REFUSED, Fate.FAILED))
        if kept:
            click.echo(f"Your edit is kept in {kept}; --value sends it.", err=True)

    def finish(self) -> int:
        """Print the sums; the exit code."""
        if self._as_json:
            click.echo(json.dumps(self._told, indent=2))
        else:
            counts = ", ".join(f"{count:,} {fate}" for fate, count in self._fates.items())
            click.echo(f"{counts or 'No dead letter matches'}.")
        return int(any(self._fates[fate] for fate in (Fate.REFUSED, Fate.FAILED)))


def _kept(letter_id: LetterId, edit: bytes) -> Path:
    name = f"rollcall-{letter_id}-"
    with tempfile.NamedTemporaryFile(prefix=name, suffix=".json", delete=False) as file:
        file.write(edit)
    return Path(file.name)


async def _each(letters: Iterable[Letter]) -> AsyncIterator[Letter]:
    for letter in letters:
        yield letter


async def _matching(mailbox: Mailbox, selection: Selection) -> AsyncIterator[Letter]:
    async for letter in mailbox.letters():
        if letter in selection:
            yield letter


def _busy(what: str) -> AbstractContextManager[object]:
    """Says on a terminal that something goes on."""
    console = Console(stderr=True)
    return console.status(f"{what}...") if console.is_terminal else nullcontext()
