"""How workers log: one event a line, no storm of repeats, no secret."""

import json
import logging
import subprocess
import sys

import pytest

from streams import logs
from streams.logs import OncePerWhile

TOKEN = "hush-8f1c"


def record(name: str = "aiokafka.conn", line: int = 1, text: str = "away") -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "/lib/conn.py", line, text, None, None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the filter sees; a test sets it."""
    time = [1000.0]
    monkeypatch.setattr(logs, "monotonic", lambda: time[0])
    return time


def test_a_message_that_repeats_is_written_once_in_a_while(clock: list[float]) -> None:
    limiter, written = OncePerWhile(10.0), []
    for second in range(31):
        clock[0] = 1000.0 + second
        if limiter.filter(record(text=f"away for {second} s")):
            written.append(second)

    assert written == [0, 10, 20, 30]


def test_another_place_in_the_code_is_another_message(clock: list[float]) -> None:
    limiter = OncePerWhile(10.0)

    assert [limiter.filter(record(line=line)) for line in (1, 2, 1, 2)] == [
        True,
        True,
        False,
        False,
    ]


def test_our_own_lines_are_all_written(clock: list[float]) -> None:
    limiter = OncePerWhile(10.0)

    assert all(limiter.filter(record(name="streams.writer.loop")) for _ in range(5))


@pytest.mark.parametrize("name", ["faust.app.base", "aiokafka", "mode.services", "asyncio"])
def test_libraries_are_limited(name: str, clock: list[float]) -> None:
    limiter = OncePerWhile(10.0)

    assert [limiter.filter(record(name=name)) for _ in range(2)] == [True, False]


def lines(program: str, log_format: str = "json", level: str = "info") -> list[str]:
    """What a fresh process writes to standard error; logging is set up once a process."""
    program = f"""
import logging
import structlog
from streams import logs
logs.configure({log_format!r}, {level!r})
log = structlog.get_logger()
{program}
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"ROLLCALL_LETTA_TOKEN": TOKEN},
    )
    assert ended.stdout == ""
    return ended.stderr.splitlines()


def test_every_line_for_machines_is_one_json_object() -> None:
    written = lines(
        """
structlog.contextvars.bind_contextvars(role="filter")
log.info("metrics_served", port=9400, name="two\\nlines")
logging.getLogger("aiokafka").warning("lost %s", "node 1")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("flush_failed", items=3)
"""
    )

    first, second, third = map(json.loads, written)
    assert (first["event"], first["role"], first["level"]) == ("metrics_served", "filter", "info")
    assert (first["port"], first["name"]) == (9400, "two\nlines")
    assert first["timestamp"].endswith("Z")
    assert (second["event"], second["level"]) == ("lost node 1", "warning")
    assert (third["event"], third["items"]) == ("flush_failed", 3)
    assert "ZeroDivisionError" in third["exception"]


def test_libraries_are_heard_from_warning_on() -> None:
    libraries = ("faust", "mode", "aiokafka", "httpx", "asyncio", "streams.faust_layer")
    chatter = [f"logging.getLogger({name!r}).info('chatter')" for name in libraries]
    trouble = [f"logging.getLogger({name!r}).warning('trouble')" for name in libraries]

    written = lines("\n".join([*chatter, *trouble, "log.debug('detail')"]))

    assert [json.loads(line)["event"] for line in written] == ["trouble"] * len(libraries)


def test_the_level_is_the_one_asked_for() -> None:
    program = 'log.debug("a"); log.info("b"); log.warning("c"); log.error("d")'

    assert [
        len(lines(program, level=level)) for level in ("debug", "info", "warning", "error")
    ] == [
        4,
        3,
        2,
        1,
    ]


def test_a_line_for_people_has_no_json_and_no_colours_in_a_file() -> None:
    [line] = lines('log.info("metrics_served", port=9400)', "console")

    assert "metrics_served" in line
    assert "port=9400" in line
    assert "\x1b" not in line


def test_no_secret_is_written() -> None:
    written = lines(
        """
from streams.settings import Settings
settings = Settings()
log.info("settings", settings=settings, token=settings.letta_token)
log.info(str(settings))
logging.getLogger("httpx").info("GET /v1/agents Authorization: Bearer %s", "hush-8f1c")
try:
    raise ValueError(repr(settings))
except ValueError:
    log.exception("failed")
"""
    )

    assert len(written) == 3
    assert TOKEN not in "".join(written)
