"""`rollcall publish`: lines in, records out, and every wrong line told."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ops.cli import main
from ops.publish import Pace, WrongLineError, lines, parsed, send
from ops.tables import read_table
from topics.connection import KafkaConnection
from topics.wire import RECORD_LIMIT


class Noting:
    """A publisher that only notes what it is given."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    async def snapshot(self, value: Mapping[str, Any]) -> None:
        self.calls.append(("npc-snapshots", value["npc_id"]))

    async def world(self, value: Mapping[str, Any], world_id: str) -> int:
        self.calls.append(("world-snapshots", world_id))
        return 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"x", "not JSON: Expecting value at column 1"),
        (b"[1]", "an object is expected, {...}"),
        (b'{"npc_id": NaN}', "not JSON: NaN is no number of JSON"),
        (b'{"npc_id": "\xff"}', "the line is not UTF-8"),
        (b'{"a":' * 100_000, "the line is nested too deeply"),
        (b'"' + b"x" * RECORD_LIMIT + b'"', f"the line has more than {RECORD_LIMIT} bytes"),
    ],
)
def test_a_line_that_is_no_object_is_refused_with_its_reason(line: bytes, reason: str) -> None:
    with pytest.raises(WrongLineError) as refused:
        parsed(line)

    assert str(refused.value) == reason


async def test_the_fields_of_a_line_tell_its_topic() -> None:
    publisher: Any = Noting()

    await send(b'{"npc_id": "npc-7"}', publisher)
    await send(b'{"clusters": {}}', publisher)
    await send(b'{"clusters": [], "world_id": "harbour"}', publisher)

    assert publisher.calls == [
        ("npc-snapshots", "npc-7"),
        ("world-snapshots", "world"),
        ("world-snapshots", "harbour"),
    ]


async def test_a_line_of_neither_kind_is_refused() -> None:
    publisher: Any = Noting()

    with pytest.raises(WrongLineError, match="neither npc_id"):
        await send(b'{"npc": "npc-7"}', publisher)

    assert publisher.calls == []


async def test_lines_are_put_together_from_any_chunks() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b"on", b"e\ntwo\n", b"\nth", b"ree"):
            yield chunk

    assert [line async for line in lines(chunks())] == [b"one", b"two", b"", b"three"]


async def test_an_endless_line_is_not_kept_in_memory() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 65_536
        yield b"\nnext\n"

    first, second = [line async for line in lines(chunks())]

    assert RECORD_LIMIT < len(first) < 2 * RECORD_LIMIT
    assert second == b"next"


async def test_lines_go_at_the_rate_asked_for() -> None:
    now, waits = [100.0], []

    async def sleep(seconds: float) -> None:
        waits.append(round(seconds, 6))
        now[0] += seconds

    pace = Pace(10, lambda: now[0], sleep)
    for _ in range(3):
        await pace.wait()
    now[0] += 5
    await pace.wait()
    await pace.wait()

    assert waits == [0, 0.1, 0.1, 0, 0.1]


@pytest.mark.integration
def test_right_lines_are_sent_and_wrong_ones_told(
    connection: KafkaConnection, tmp_path: Path
) -> None:
    path = tmp_path / "snapshots.ndjson"
    path.write_text(
        '{"npc_id": "a"}\n\n{"npc_id": "b", "position": [1]}\n{"clusters": {"c": ["Alice"]}}'
    )

    result = CliRunner().invoke(main, ["publish", str(path), "--json"])

    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"sent": 2, "failed": 0, "wrong": 1}
    assert result.stderr.startswith(f"{path}:3: position: ")
    assert list(asyncio.run(read_table(connection, "npc-snapshots"))) == [b"a"]
    assert list(asyncio.run(read_table(connection, "world-snapshots"))) == [b"world"]


@pytest.mark.integration
def test_missing_topics_are_named(
    kafka_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ROLLCALL_BROKER", f"kafka://{kafka_address}")
    monkeypatch.setenv("ROLLCALL_TOPIC_PREFIX", f"nobody-{uuid.uuid4().hex}.")
    path = tmp_path / "snapshots.ndjson"
    path.write_text('{"npc_id": "a"}\n')

    result = CliRunner().invoke(main, ["publish", str(path)])

    assert result.exit_code == 1
    assert "npc-snapshots" in result.stderr
    assert "rollcall topics apply" in result.stderr
