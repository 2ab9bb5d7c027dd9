"""What files of a deployment may name: variables that somebody reads, command lines that parse."""

from collections.abc import Sequence

import click

from ops.cli import main
from streams.settings import Settings
from topics.connection import KafkaConnection

OF_KAFKA = {"ROLLCALL_BROKER", "ROLLCALL_TOPIC_PREFIX"} | {
    f"ROLLCALL_KAFKA_{name.upper()}"
    for name in set(KafkaConnection.model_fields) - {"broker", "topic_prefix"}
}
VARIABLES = OF_KAFKA | {f"ROLLCALL_{name.upper()}" for name in Settings.model_fields}


def parsed(words: Sequence[str]) -> click.Context:
    """The command that these words after `rollcall` run, with its options; nothing is run.

    Raises click.UsageError where `rollcall` would.
    """
    context = main.make_context("rollcall", list(words))
    while isinstance(context.command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, command, rest = context.command.resolve_command(context, rest)
        assert command is not None
        context = command.make_context(name, rest, parent=context)
    return context


def words_of(context: click.Context) -> str:
    """Which command it is."""
    return context.command_path.removeprefix("rollcall ")
