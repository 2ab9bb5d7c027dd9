"""`rollcall dead-letters` on a real broker: order, repeats, edits, and what is refused."""

import asyncio
import json
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner, Result

from ops.cli import main
from ops.records import records
from ops.tables import admin_client
from ops.topics_admin import apply
from topics.connection import KafkaConnection
from topics.dead_letter import headers_for

pytestmark = pytest.mark.integration

FAILED_AT = float(int(time.time()) - 60)

Bad = tuple[str, bytes | None, bytes | None]
"""Topic, key and value of a record that some stage gave up."""


@pytest.fixture
def connection(kafka_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaConnection]:
    monkeypatch.setenv("ROLLCALL_BROKER", f"kafka://{kafka_address}")
    monkeypatch.setenv("ROLLCALL_TOPIC_PREFIX", f"dl-{uuid.uuid4().hex[:8]}.")
    connection = KafkaConnection.from_environment()
    asyncio.run(_create(connection))
    yield connection
    asyncio.run(_delete_topics(connection))


async def _create(connection: KafkaConnection) -> None:
    await apply(connection)


async def _delete_topics(connection: KafkaConnection) -> None:
    async with admin_client(connection) as admin:
        prefix = connection.topic_prefix
        await admin.delete_topics([t for t in await admin.list_topics() if t.startswith(prefix)])


def give_up(connection: KafkaConnection, *bad: Bad, offset: int = 7) -> None:
    """Dead letters as a stage writes them; the first of them gets the id 0-0."""

    async def send() -> None:
        async with AIOKafkaProducer(**connection.client_options()) as producer:
            for topic, key, value in bad:
                headers = headers_for(
                    "filter", "it is bad", connection.topic(topic), 2, offset, FAILED_AT
                )
                await producer.send_and_wait(
                    connection.topic("dead-letters"), value, key, headers=headers
                )

    asyncio.run(send())


def standing(connection: KafkaConnection, name: str) -> list[Any]:
    async def read() -> list[Any]:
        return [record async for record in records(connection, name)]

    return asyncio.run(read())


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, ["dead-letters", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def fates(*arguments: str) -> dict[str, str]:
    """What became of each letter, by id."""
    result = run("requeue", *arguments, "--json")
    return {one["id"]: one["fate"] for one in json.loads(result.stdout)}


def snapshot(npc_id: str, action: str) -> bytes:
    return json.dumps({"npc_id": npc_id, "observed_at": FAILED_AT, "action": action}).encode()


def letters(npc_id: str, actions: Sequence[str]) -> list[Bad]:
    return [("npc-snapshots", npc_id.encode(), snapshot(npc_id, action)) for action in actions]


def test_letters_of_a_key_come_back_once_in_their_order(connection: KafkaConnection) -> None:
    one, two = letters("npc-1", "abc"), letters("npc-2", "xyz")
    give_up(connection, *(bad for pair in zip(one, two, strict=True) for bad in pair))

    first = run("requeue", "--all")
    again = run("requeue", "--all")

    assert first.exit_code == again.exit_code == 0
    assert first.stdout.endswith("6 sent.\n")
    assert again.stdout.endswith("6 requeued before.\n")
    found = standing(connection, "npc-snapshots")
    for bad in (one, two):
        assert [r.value for r in found if r.key == bad[0][1]] == [value for _, _, value in bad]
    by_header = {dict(r.headers)["rollcall-requeued-from"]: r.value for r in found}
    assert by_header[b"0-1"] == two[0][2]
    assert {r.timestamp for r in found} == {FAILED_AT * 1000}


def test_named_letters_are_sent_in_the_order_of_failure_whatever_the_order_of_the_names(
    connection: KafkaConnection,
) -> None:
    give_up(connection, *letters("npc-1", "abc"))

    assert fates("0-2", "0-0") == {"0-0": "sent", "0-2": "sent"}
    assert [json.loads(r.value)["action"] for r in standing(connection, "npc-snapshots")] == [
        "a",
        "c",
    ]


def test_a_requeued_letter_is_recognised_unless_again_is_asked_for(
    connection: KafkaConnection,
) -> None:
    give_up(connection, *letters("npc-1", "a"))

    assert fates("0-0") == {"0-0": "sent"}
    assert fates("0-0") == {"0-0": "requeued before"}
    assert fates("0-0", "--again") == {"0-0": "sent"}
    assert len(standing(connection, "npc-snapshots")) == 2
    listed = json.loads(run("list", "--json").stdout)
    assert [(one["id"], one["requeued_at"] is not None) for one in listed] == [("0-0", True)]
    assert json.loads(run("list", "--open", "--json").stdout) == []


def test_a_record_sent_but_not_marked_is_sent_again(
    connection: KafkaConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> None:
        raise KeyboardInterrupt

    give_up(connection, *letters("npc-1", "a"))
    with monkeypatch.context() as patch:
        patch.setattr("ops.dead_letters.requeue._marked", crash)
        CliRunner().invoke(main, ["dead-letters", "requeue", "0-0"])
    assert len(standing(connection, "npc-snapshots")) == 1

    assert fates("0-0") == {"0-0": "sent"}
    assert len(standing(connection, "npc-snapshots")) == 2


def test_what_would_fail_again_is_refused_and_the_rest_is_sent(
    connection: KafkaConnection,
) -> None:
    give_up(
        connection,
        ("npc-snapshots", b"npc-1", b"{"),
        *letters("npc-2", "a"),
        ("bank-transfers", b"npc-1", b"{}"),
    )

    result = run("requeue", "--all")

    assert result.exit_code == 1
    assert "0-0 refused: it would be a dead letter again: the record is not JSON" in result.stderr
    assert "is no topic of the catalogue" in result.stderr
    assert [r.key for r in standing(connection, "npc-snapshots")] == [b"npc-2"]
    assert fates("--all", "--force")["0-0"] == "sent"
    assert fates("--all", "--force")["0-2"] == "refused"


def test_a_dry_run_tells_and_sends_nothing(connection: KafkaConnection) -> None:
    give_up(connection, *letters("npc-1", "a"))

    assert fates("0-0", "--dry-run") == {"0-0": "would send"}
    assert standing(connection, "npc-snapshots") == []
    assert fates("0-0") == {"0-0": "sent"}


def test_a_mended_value_goes_with_the_original_key(
    connection: KafkaConnection, tmp_path: Path
) -> None:
    give_up(connection, ("npc-snapshots", b"npc-1", b'{"npc_id": "npc-1", "cluster": 7}'))
    mended = tmp_path / "mended.json"
    mended.write_bytes(b'{"npc_id": "npc-1", "cluster": []}')

    assert fates("0-0") == {"0-0": "refused"}
    assert fates("0-0", "--value", str(mended)) == {"0-0": "sent"}

    (record,) = standing(connection, "npc-snapshots")
    assert (record.key, record.value) == (b"npc-1", mended.read_bytes())
    assert ", edited" in run("show", "0-0").stdout


def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str) -> None:
    """$EDITOR that replaces a text in the file."""
    script = tmp_path / "editor"
    script.write_text(f"#!/bin/sh\nsed -i 's/{before}/{after}/' \"$1\"\n")
    script.chmod(0o700)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", str(script))


def test_a_value_is_mended_in_the_editor(
    connection: KafkaConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_up(connection, ("npc-snapshots", b"npc-1", b'{"npc_id":"npc-1","cluster":7}'))
    editor(tmp_path, monkeypatch, before="7", after="[]")

    assert fates("0-0", "--edit") == {"0-0": "sent"}

    (record,) = standing(connection, "npc-snapshots")
    assert json.loads(record.value) == {"npc_id": "npc-1", "cluster": []}


def test_a_value_left_as_it_was_stays_a_dead_letter(
    connection: KafkaConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_up(connection, *letters("npc-1", "a"))
    editor(tmp_path, monkeypatch, before="nothing", after="nothing")

    assert fates("0-0", "--edit") == {"0-0": "not edited"}
    assert standing(connection, "npc-snapshots") == []


def test_an_edit_that_is_refused_is_not_lost(
    connection: KafkaConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_up(connection, *letters("npc-1", "a"))
    editor(tmp_path, monkeypatch, before='"npc-1"', after="[]")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    result = run("requeue", "0-0", "--edit")

    assert result.exit_code == 1
    (kept,) = tmp_path.glob("rollcall-0-0-*.json")
    assert str(kept) in result.stderr
    assert json.loads(kept.read_bytes())["npc_id"] == []


def test_an_older_profile_does_not_undo_a_newer_one(connection: KafkaConnection) -> None:
    old, new = (json.dumps({"player_id": "1001", "name": name}).encode() for name in ("Old", "New"))

    async def publish() -> None:
        topic = connection.topic("player-profiles")
        async with AIOKafkaProducer(**connection.client_options()) as producer:
            for value in (old, new):
                await producer.send_and_wait(topic, value, b"1001", partition=2)

    asyncio.run(publish())
    give_up(connection, ("player-profiles", b"1001", old), offset=0)
    give_up(connection, ("player-profiles", b"1001", new), offset=1)

    assert fates("--all") == {"0-0": "refused", "0-1": "sent"}
    assert fates("0-1", "--again") == {"0-1": "sent"}
    assert "a newer record of its key stands at" in run("requeue", "0-0").stderr
    assert fates("0-0", "--force") == {"0-0": "sent"}


def test_letters_are_listed_by_any_filter(connection: KafkaConnection) -> None:
    give_up(connection, *letters("npc-1", "ab"), ("locations", b"inn", b"\x1b[2J"))

    def ids(*filters: str) -> list[str]:
        return [one["id"] for one in json.loads(run("list", "--json", *filters).stdout)]

    assert ids() == ["0-2", "0-1", "0-0"]
    assert ids("--oldest") == ["0-0", "0-1", "0-2"]
    assert ids("--limit", "1") == ["0-2"]
    assert ids("--topic", "locations") == ["0-2"]
    assert ids("--key", "npc-1", "--oldest") == ["0-0", "0-1"]
    assert ids("--stage", "writer") == []
    assert ids("--since", str(FAILED_AT + 1)) == []
    shown = run("list", "--limit", "2").stdout
    assert "2 of 3 dead letters; --limit shows more." in shown
    assert "0-0" not in shown


def test_a_letter_is_shown_and_taken_out_byte_by_byte(connection: KafkaConnection) -> None:
    value = b'{"npc_id":"\x1b]0;owned\x07"}' + b"\xff" * 5000
    give_up(connection, ("npc-snapshots", b"npc-1", value))

    shown = run("show", "0-0").stdout

    assert "\\x1b]0;owned\\x07" in shown
    assert "\x1b" not in shown
    assert "more bytes)" in shown
    assert run("show", "0-0", "--raw").stdout_bytes == value
    assert json.loads(run("show", "0-0", "--json").stdout)["value"] is None


def test_a_letter_that_is_not_there_is_one_sentence(connection: KafkaConnection) -> None:
    for arguments in (["show", "0-5"], ["requeue", "0-5"]):
        result = run(*arguments)

        assert result.exit_code == 1
        assert result.stderr == (
            "Error: no dead letter 0-5; it may be past the topic's retention.\n"
        )
    assert run("list").stdout == "0 dead letters.\n"
    assert run("requeue", "--all").stdout == "No dead letter matches.\n"
