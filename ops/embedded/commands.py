"""`rollcall broker` and `rollcall letta`: start, stop and look at the embedded servers.

Exit code: 0 done (status: it runs and answers), 1 failed (status: it does not), 2 wrong use.
"""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from ops.embedded.errors import ServerError
from ops.embedded.folders import data_folder
from ops.embedded.kafka import DEFAULT_PORT as KAFKA_PORT
from ops.embedded.kafka import KafkaServer, ensure_kafka, kafka_status, stop_kafka
from ops.embedded.letta import DEFAULT_PORT as LETTA_PORT
from ops.embedded.letta import LettaServer, ensure_letta, letta_status, stop_letta
from ops.embedded.progress import Progress, shown_progress
from ops.embedded.status import Status, as_json, as_sentence

P = ParamSpec("P")
R = TypeVar("R")
PORT = click.IntRange(1, 65535)

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of data, logs and pid files.  [default: $ROLLCALL_DATA_DIR, "
    "else ~/.local/share/rollcall]",
)
any_port_option = click.option(
    "--port", type=PORT, help="Only a server on this port.  [default: whichever port it has]"
)
json_option = click.option("--json", "json_output", is_flag=True, help="Print JSON.")


def plain_errors(function: Callable[P, R]) -> Callable[P, R]:
    """A ServerError becomes its sentence on standard error, and exit code 1."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except ServerError as error:
            raise click.ClickException(str(error)) from error

    return run


@click.group()
def broker() -> None:
    """The embedded Kafka: a real broker on this machine."""


@broker.command("start")
@click.option("--port", type=PORT, default=KAFKA_PORT, show_default=True)
@data_dir_option
@plain_errors
def start_broker(port: int, data_dir: Path | None) -> None:
    """Install it if need be, start it, wait until it answers."""
    with shown_progress() as progress:
        server = ensure_kafka(data_dir or data_folder(), port, progress)
    _tell_started("Kafka", server, server.address)


@broker.command("stop")
@any_port_option
@data_dir_option
@plain_errors
def stop_broker(port: int | None, data_dir: Path | None) -> None:
    """Stop it; its data is kept."""
    _stop(kafka_status, stop_kafka, data_dir or data_folder(), port)


@broker.command("status")
@any_port_option
@data_dir_option
@json_option
@plain_errors
def broker_status(port: int | None, data_dir: Path | None, json_output: bool) -> None:
    """Tell whether it runs and answers (exit code 0) or not (1)."""
    _tell_status(kafka_status(data_dir or data_folder()), port, json_output)


@click.group()
def letta() -> None:
    """The embedded Letta: a real server with a database of its own."""


@letta.command("start")
@click.option("--port", type=PORT, default=LETTA_PORT, show_default=True)
@data_dir_option
@click.option(
    "--pass-env",
    "passed",
    multiple=True,
    metavar="NAME",
    help="Pass this environment variable on to Letta (a model's API key, say); repeatable.",
)
@plain_errors
def start_letta(port: int, data_dir: Path | None, passed: tuple[str, ...]) -> None:
    """Install it if need be, start it, wait until it answers."""
    environment = _passed(passed)
    with shown_progress() as progress:
        server = ensure_letta(data_dir or data_folder(), port, progress, environment)
    _tell_started("Letta", server, server.url)


@letta.command("stop")
@any_port_option
@data_dir_option
@plain_errors
def stop_letta_command(port: int | None, data_dir: Path | None) -> None:
    """Stop it and its database; its data is kept."""
    _stop(letta_status, stop_letta, data_dir or data_folder(), port)


@letta.command("status")
@any_port_option
@data_dir_option
@json_option
@plain_errors
def letta_status_command(port: int | None, data_dir: Path | None, json_output: bool) -> None:
    """Tell whether it runs and answers (exit code 0) or not (1)."""
    _tell_status(letta_status(data_dir or data_folder()), port, json_output)


def _passed(names: tuple[str, ...]) -> dict[str, str]:
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise click.UsageError(f"Not set in the environment: {', '.join(missing)}.")
    return {name: os.environ[name] for name in names}


def _tell_started(name: str, server: KafkaServer | LettaServer, address: str) -> None:
    state = "is ready at" if server.started_here else "already runs at"
    click.echo(f"{name} {state} {address} (pid {server.pid}; log {server.log_file}).")


def _stop(
    status_of: Callable[[Path], Status],
    stop: Callable[[Path, Progress], bool],
    data_dir: Path,
    port: int | None,
) -> None:
    status = status_of(data_dir)
    if port is not None and status.port not in {None, port}:
        raise ServerError(f"{status.name} runs on port {status.port}, not on {port}.")
    with shown_progress() as progress:
        stopped = stop(data_dir, progress)
    click.echo(f"{status.name} is stopped." if stopped else f"{status.name} did not run.")


def _tell_status(status: Status, port: int | None, json_output: bool) -> None:
    click.echo(as_json(status) if json_output else as_sentence(status))
    here = port is None or status.port == port
    if not (status.healthy and here):
        raise click.exceptions.Exit(1)
