"""The command line: help, wrong use, and failures in one sentence."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from ops.cli import COMMANDS, main
from ops.failure import sentence_of

HEAVY = ("aiokafka", "faust", "letta_client", "pydantic", "rich")


def test_the_overview_names_every_command() -> None:
    result = CliRunner().invoke(main, ["--help"])

    assert result.exit_code == 0
    for name, entry in COMMANDS.items():
        assert f"  {name} " in result.stdout
        assert entry.summary in result.stdout


def test_the_overview_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from ops.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def commands_of(command: click.Command, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        return [path]
    context = click.Context(command)
    found = []
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        found += commands_of(inner, (*path, name))
    return found


@pytest.mark.parametrize("path", commands_of(main, ()), ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*path, "--help"])

    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: main {' '.join(path)} ")
    assert len(result.stdout.split("Options:")[0].split("\n\n")) > 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["--nonsense"],
        ["worker", "--roles", "baker"],
        ["worker", "--roles", ","],
        ["worker", "--metrics-port", "70000"],
        ["load"],
        ["load", "no-such-file.yaml"],
        ["publish", "no-such-file"],
        ["publish", "--rate", "0"],
        ["topics", "apply", "--replication-factor", "0"],
        ["demo", "--npcs", "0"],
        ["demo", "--mode", "fast"],
        ["bench", "modes", "--speed", "-1"],
        ["check", "extra"],
        ["verify", "--timeout", "0"],
        ["rebuild", "--json"],
        ["config", "--yaml"],
    ],
    ids=" ".join,
)
def test_wrong_use_exits_with_2_and_says_why(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)

    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize(
    "arguments",
    [["topics", "apply"], ["topics", "describe"], ["publish"], ["verify"], ["rebuild"]],
    ids=" ".join,
)
def test_an_unreachable_broker_is_one_sentence(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_BROKER", "kafka://127.0.0.1:1")

    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )

    assert done.returncode == 1
    assert done.stderr == (
        "Error: Kafka cannot be reached at kafka://127.0.0.1:1; set ROLLCALL_BROKER to a running "
        "Kafka, or start one with `rollcall broker start`.\n"
    )


def test_a_wrong_setting_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCALL_BROKER", "http://somewhere")

    result = CliRunner().invoke(main, ["topics", "describe"])

    assert result.exit_code == 1
    assert (
        result.stderr == "Error: ROLLCALL_BROKER: unknown scheme http://, only kafka:// is known\n"
    )


def test_a_bug_keeps_its_traceback() -> None:
    assert sentence_of(KeyError("x")) is None
    assert sentence_of(AssertionError()) is None


def test_missing_embedded_servers_are_explained() -> None:
    sentence = sentence_of(ModuleNotFoundError("No module named 'jgo'", name="jgo"))

    assert sentence is not None
    assert "rollcall[embedded]" in sentence


def test_the_version_is_told() -> None:
    result = CliRunner().invoke(main, ["--version"])

    assert result.exit_code == 0
    assert result.stdout.startswith("rollcall ")
