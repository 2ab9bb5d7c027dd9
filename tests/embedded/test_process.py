import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from ops.embedded.errors import ServerError
from ops.embedded.process import (
    Record,
    Service,
    bare_environment,
    last_trouble,
    memory,
    rotate,
    write_atomically,
)
from ops.embedded.progress import Quiet

PATIENCE = 20.0
LIVE = "import sys, time; print('ready', flush=True); time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {LIVE}"

Run = Callable[[str], Record]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service("Thing", tmp_path / "thing.pid", tmp_path / "logs" / "thing.log")
    yield service
    service.stop(PATIENCE)


@pytest.fixture
def run(service: Service, tmp_path: Path) -> Run:
    """Starts a Python program as the service and waits until it has printed something."""

    def start(program: str) -> Record:
        record = service.start(
            [sys.executable, "-c", program],
            port=1,
            environment=bare_environment(),
            folder=tmp_path,
        )
        service.wait_until(lambda: service.log_file.stat().st_size > 0, PATIENCE, Quiet(), "")
        return record

    return start


@pytest.fixture
def stranger() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is not ours to stop."""
    with subprocess.Popen([sys.executable, "-c", LIVE], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        yield process
        process.kill()


def test_a_started_process_is_found_again_by_its_pid_file(service: Service, run: Run) -> None:
    record = run(LIVE)

    assert service.running() == record
    assert Service("Thing", service.pid_file, service.log_file).running() == record


def test_it_has_its_own_session_so_that_an_interrupt_of_ours_spares_it(run: Run) -> None:
    record = run(LIVE)

    assert os.getsid(record.pid) == record.pid != os.getsid(0)


def test_a_stopped_process_is_gone_with_its_pid_file(service: Service, run: Run) -> None:
    record = run(LIVE)

    assert service.stop(PATIENCE)

    assert not psutil.pid_exists(record.pid)
    assert not service.pid_file.exists()
    assert service.running() is None


def test_stopping_what_does_not_run_is_no_error(service: Service) -> None:
    assert not service.stop(PATIENCE)


def test_a_process_deaf_to_sigterm_is_killed(service: Service, run: Run) -> None:
    record = run(DEAF)

    assert service.stop(0.2)

    assert not psutil.pid_exists(record.pid)


def test_a_process_that_ended_by_itself_does_not_run(service: Service, run: Run) -> None:
    record = run(LIVE)
    os.kill(record.pid, signal.SIGKILL)
    os.waitid(os.P_PID, record.pid, os.WEXITED | os.WNOWAIT)

    assert service.running() is None


@pytest.mark.parametrize(
    "mistake", [{"started_at": 1000.0}, {"command": ["other", "program"]}], ids=str
)
def test_a_pid_that_belongs_to_somebody_else_now_is_left_alone(
    service: Service, stranger: "subprocess.Popen[bytes]", mistake: dict[str, object]
) -> None:
    process = psutil.Process(stranger.pid)
    theirs = Record(process.pid, process.create_time(), process.cmdline(), 1)
    stale = msgspec.structs.replace(theirs, **mistake)
    write_atomically(service.pid_file, msgspec.json.encode(stale))

    stopped = service.stop(PATIENCE)

    assert not stopped
    assert stranger.poll() is None


@pytest.mark.parametrize("content", [b"", b"12", b"{}", b"\xff\x00", b'{"pid": "x"}'])
def test_a_damaged_pid_file_is_no_process(service: Service, content: bytes) -> None:
    service.pid_file.write_bytes(content)

    assert service.running() is None


def test_a_process_that_dies_while_starting_is_told_with_its_log_and_last_error(
    service: Service, tmp_path: Path
) -> None:
    dying = [sys.executable, "-c", "print('hello\\nFATAL: no \\x1b[31mdata\\nbye')"]
    service.start(dying, port=1, environment=bare_environment(), folder=tmp_path)

    with pytest.raises(ServerError) as raised:
        service.wait_until(lambda: False, PATIENCE, Quiet(), "Starting")

    assert (
        f"Thing ended while starting; its log {service.log_file} says: FATAL: no [31mdata"
        == str(raised.value)
    )


def test_a_process_that_never_answers_is_told_after_the_bound(service: Service, run: Run) -> None:
    run(LIVE)

    with pytest.raises(ServerError, match="does not answer after 0 seconds"):
        service.wait_until(lambda: False, 0.2, Quiet(), "Starting")


def test_a_program_that_is_not_there_is_one_sentence(service: Service, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"Thing could not be started: No such file .*\(/nowhere"):
        service.start(["/nowhere/program"], port=1, environment={}, folder=tmp_path)


def test_each_start_begins_a_new_log_and_keeps_three_older(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for number in range(6):
        rotate(log)
        log.write_text(str(number))

    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}

    assert kept == {"log": "5", "log.1": "4", "log.2": "3", "log.3": "2"}


def test_an_error_line_is_preferred_to_the_last_line_and_is_bounded(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("java.net.BindException: " + "x" * 1000 + "\ngood bye\n")

    assert last_trouble(log).startswith("java.net.BindException: xxx")
    assert len(last_trouble(log)) == 300


def test_an_empty_or_missing_log_has_no_trouble(tmp_path: Path) -> None:
    assert last_trouble(tmp_path / "none") == ""


def test_no_secret_of_our_environment_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx1g")
    monkeypatch.setenv("https_proxy", "http://proxy")

    environment = bare_environment()

    assert "secret" not in environment.values()
    assert "JAVA_TOOL_OPTIONS" not in environment
    assert environment["https_proxy"] == "http://proxy"
    assert "PATH" in environment


def test_memory_of_a_process_that_is_gone_is_nothing(run: Run, service: Service) -> None:
    record = run(LIVE)
    assert memory(record.pid) > 1_000_000

    service.stop(PATIENCE)

    assert memory(record.pid) == 0


def test_a_killed_predecessor_is_awaited_before_the_next_start(service: Service, run: Run) -> None:
    first = run(LIVE)
    os.kill(first.pid, signal.SIGKILL)
    while service.running():
        pass

    second = run(LIVE)

    assert not psutil.pid_exists(first.pid)
    assert service.running() == second
