"""`rollcall`: the command line. Only names and translates; a command is imported when it is used.

Exit codes: 0 done, 1 failed, 2 wrong use. An expected failure is one sentence on standard error.
"""

import os
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import NamedTuple

import click

from ops.failure import sentence_of

ROLES = ("splitter", "filter", "writer")


class Entry(NamedTuple):
    """Where a command is defined, and its line in the overview."""

    where: str
    summary: str


COMMANDS = {
    "demo": Entry("ops.demo.command:demo", "The whole system on this machine, with a game."),
    "broker": Entry("ops.embedded.commands:broker", "Start, stop or look at an embedded Kafka."),
    "letta": Entry("ops.embedded.commands:letta", "Start, stop or look at an embedded Letta."),
    "topics": Entry("ops.topics_admin:topics", "Create the topics, or compare them."),
    "load": Entry("ops.load:load", "Check and publish the roster and the locations."),
    "worker": Entry("ops.cli:worker", "Run splitter, filter and writer, or some of them."),
    "publish": Entry("ops.publish:publish", "Send snapshots from a file or standard input."),
    "verify": Entry("ops.verification.command:verify", "Compare memories, mend what differs."),
    "rebuild": Entry("ops.rebuild.command:rebuild", "Start again from the topics."),
    "check": Entry("ops.check:check", "Tell whether everything is in place."),
    "lag": Entry("ops.lag.command:lag", "How far behind each consumer group is."),
    "top": Entry("ops.top.command:top", "Watch the whole pipeline, live."),
    "explain": Entry("ops.explain.command:explain", "Why an NPC's memory is as it is."),
    "replay": Entry("ops.replay.command:replay", "A stretch of a topic once more."),
    "block": Entry("ops.history.command:block", "What an NPC's memory was, and how it changed."),
    "dead-letters": Entry("ops.dead_letters.command:dead_letters", "What failed, and another try."),
    "layout": Entry("ops.layout.command:layout", "Where NPCs keep their notes; move them."),
    "notes": Entry("ops.notes.command:notes", "What is kept of an NPC beside its blocks."),
    "config": Entry("ops.config:config", "Print every setting, its value and its source."),
    "bench": Entry("ops.bench.command:bench", "Measure."),
}


class Program(click.Group):
    """The commands of `COMMANDS`, imported when needed; expected failures become sentences."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        return _imported(entry.where) if entry else None

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            sentence = sentence_of(error)
            if sentence is None:
                raise
            raise click.ClickException(sentence) from error


def _imported(where: str) -> click.Command:
    module, _, name = where.partition(":")
    command = getattr(import_module(module), name)
    assert isinstance(command, click.Command), where
    return command


def _version() -> str:
    try:
        return installed_version("rollcall")
    except PackageNotFoundError:
        return "(not installed, run from its sources)"


def _show_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"rollcall {_version()}")
        ctx.exit()


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def main() -> None:
    """NPCs that know who is around: game snapshots in Kafka become memory in Letta.

    Settings come from ROLLCALL_* environment variables; `rollcall config` prints them all. Each
    command explains itself with --help. Exit codes: 0 done, 1 failed, 2 wrong use.
    """


def _roles(_ctx: click.Context, _option: click.Parameter, value: str) -> Sequence[str]:
    roles = [role.strip() for role in value.split(",") if role.strip()]
    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        raise click.BadParameter(f"unknown role {unknown[0]!r}; there are {', '.join(ROLES)}.")
    if not roles:
        raise click.BadParameter(f"no role given; there are {', '.join(ROLES)}.")
    return list(dict.fromkeys(roles))


@click.command()
@click.option(
    "--roles",
    default=",".join(ROLES),
    show_default=True,
    callback=_roles,
    metavar="A,B",
    help="What this worker does. Several roles run in a process each.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    default=None,
    help="Serve Prometheus metrics on this port; 0 for any free one. Default: "
    "ROLLCALL_METRICS_PORT, or none.",
)
def worker(roles: Sequence[str], metrics_port: int | None) -> None:
    """Run a Faust worker until SIGTERM or Ctrl-C.

    \b
    splitter   world-snapshots -> npc-snapshots
    filter     npc-snapshots -> npc-update-commands, only where there is a reason
    writer     npc-update-commands -> memory blocks in Letta

    Start as many as you like: workers of a role share the partitions of its topic.
    """
    if metrics_port is not None:
        os.environ["ROLLCALL_METRICS_PORT"] = str(metrics_port)
    from streams.worker import run

    raise SystemExit(run(roles))


if __name__ == "__main__":
    main(prog_name="rollcall")
