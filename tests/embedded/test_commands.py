import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ops.embedded import commands
from ops.embedded.commands import broker, letta
from ops.embedded.progress import LiveLine, PlainLines
from ops.embedded.status import Status, as_sentence

GROUPS = pytest.mark.parametrize("group", [broker, letta], ids=["broker", "letta"])


def call(group: object, *arguments: object) -> Result:
    return CliRunner().invoke(group, [str(each) for each in arguments])  # type: ignore[arg-type]


def status(*, running: bool, healthy: bool, port: int | None = 9092) -> Status:
    return Status(
        name="Kafka",
        running=running,
        healthy=healthy,
        address="127.0.0.1:9092",
        port=port,
        pids={"kafka": 7},
        memory=5_000_000,
        started_at=1.0,
        data=Path("/data"),
        log=Path("/data/log"),
    )


@GROUPS
def test_the_status_of_a_server_that_does_not_run_is_exit_code_1(
    group: object, tmp_path: Path
) -> None:
    result = call(group, "status", "--data-dir", tmp_path, "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["running"] is False


@GROUPS
def test_asking_leaves_no_trace_in_the_data_folder(group: object, tmp_path: Path) -> None:
    call(group, "status", "--data-dir", tmp_path)
    call(group, "stop", "--data-dir", tmp_path)

    assert list(tmp_path.iterdir()) == []


@GROUPS
def test_stopping_a_server_that_does_not_run_is_done(group: object, tmp_path: Path) -> None:
    result = call(group, "stop", "--data-dir", tmp_path)

    assert result.exit_code == 0
    assert "did not run" in result.output


@GROUPS
@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_an_impossible_port_is_wrong_use(group: object, port: str) -> None:
    assert call(group, "start", "--port", port).exit_code == 2


@GROUPS
def test_a_port_in_use_is_one_sentence_and_exit_code_1(group: object, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = call(group, "start", "--port", port, "--data-dir", tmp_path)

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert f"port {port} is already in use" in result.stderr
    assert result.stdout == ""


def test_a_variable_to_pass_on_that_is_not_set_is_wrong_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)

    assert call(letta, "start", "--pass-env", "NO_SUCH_KEY").exit_code == 2


def test_a_server_that_runs_but_does_not_answer_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands, "kafka_status", lambda _: status(running=True, healthy=False))

    result = call(broker, "status")

    assert result.exit_code == 1
    assert "does not answer" in result.stdout


def test_stopping_by_port_spares_a_server_on_another_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands, "kafka_status", lambda _: status(running=True, healthy=True))
    monkeypatch.setattr(commands, "stop_kafka", lambda *_: pytest.fail("stopped"))

    result = call(broker, "stop", "--port", 9999)

    assert result.exit_code == 1
    assert "runs on port 9092, not on 9999" in result.stderr


def test_a_status_in_words_has_address_pid_and_log() -> None:
    sentence = as_sentence(status(running=True, healthy=True))

    assert sentence == "Kafka runs at 127.0.0.1:9092 (pid kafka 7; 5 MB; log /data/log)."


def test_plain_progress_tells_each_text_once_and_each_quarter(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = PlainLines()
    for fraction in (None, 0.1, 0.2, 0.3, 0.31, 1.0):
        progress.step("Downloading", fraction)

    assert capsys.readouterr().err.splitlines() == [
        "Downloading",
        "Downloading 25 %",
        "Downloading 100 %",
    ]


def test_live_progress_draws_the_text_on_a_terminal() -> None:
    from io import StringIO

    from rich.console import Console
    from rich.progress import Progress

    screen = StringIO()
    with Progress(console=Console(file=screen, force_terminal=True)) as bar:
        LiveLine(bar).step("Downloading", 0.5)

    assert "Downloading" in screen.getvalue()
    assert "50%" in screen.getvalue()
