"""Everything that Letta and the road to it can do wrong, one at a time."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, formatdate

import pytest

from streams.writer.letta import LettaStore, connect
from streams.writer.store import (
    BlockMissingError,
    ConflictError,
    PermanentError,
    StoreError,
    TemporaryError,
)
from tests.fake_letta import FakeLetta

SECRET = "token-of-the-realm"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_a_server_in_trouble_is_tried_again(
    fake: FakeLetta, letta: LettaStore, status: int
) -> None:
    fake.fail(status=status)

    with pytest.raises(TemporaryError, match=f"Letta answered {status} to a read"):
        await letta.read(fake.agent())


@pytest.mark.parametrize(
    ("header", "delay"),
    [("7", 7.0), ("0.5", 0.5), ("99999", 300.0), ("soon", None), ("-3", None), ("", None),
     (formatdate(0, usegmt=True), 0.0), ("9" * 400, 300.0)],
)  # fmt: skip
async def test_retry_after_is_heeded_within_reason(
    fake: FakeLetta, letta: LettaStore, header: str, delay: float | None
) -> None:
    fake.fail(status=429, headers={"Retry-After": header})

    with pytest.raises(TemporaryError) as refused:
        await letta.read(fake.agent())

    assert refused.value.delay == delay


async def test_retry_after_may_be_a_date(fake: FakeLetta, letta: LettaStore) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    fake.fail(status=503, headers={"Retry-After": soon})

    with pytest.raises(TemporaryError) as refused:
        await letta.read(fake.agent())

    assert 50 < (refused.value.delay or 0) <= 60


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_token_is_no_commands_fault(
    fake: FakeLetta, letta: LettaStore, status: int
) -> None:
    fake.fail(status=status)

    with pytest.raises(TemporaryError, match="token") as refused:
        await letta.read(fake.agent())

    assert refused.value.delay == 30.0


async def test_a_conflict_is_told_apart_and_never_repeated_by_the_client(
    fake: FakeLetta, letta: LettaStore
) -> None:
    block = fake.block(fake.agent(status="x"), "status")
    fake.fail(method="PATCH", status=409)

    with pytest.raises(ConflictError):
        await letta.write(block["id"], "y", {})

    assert len(fake.calls("PATCH")) == 1


@pytest.mark.parametrize("status", [400, 402, 405, 413, 418, 422])
async def test_any_other_refusal_is_for_good_and_quotes_nothing_that_was_sent(
    fake: FakeLetta, status: int
) -> None:
    store = connect(fake.url, SECRET)
    block = fake.block(fake.agent(status="x"), "status")
    detail = f'Value error: \'{{"notes": "my diary"}}\' {SECRET}'
    fake.fail(method="PATCH", status=status, body=json.dumps({"detail": detail}))

    with pytest.raises(PermanentError) as refused:
        await store.write(block["id"], "my diary", {})

    assert str(refused.value) == f"Letta answered {status} to a write: Value error:"
    await store.close()


@pytest.mark.parametrize("body", ["[]", "null", "7", '{"detail":{"a":1}}', "<html>", "", "\x00"])
async def test_a_refusal_in_any_form_is_one_sentence(
    fake: FakeLetta, letta: LettaStore, body: str
) -> None:
    block = fake.block(fake.agent(status="x"), "status")
    fake.fail(method="PATCH", status=400, body=body)

    with pytest.raises(PermanentError, match=r"^Letta answered 400 to a write$"):
        await letta.write(block["id"], "x", {})


async def test_a_broken_connection_is_tried_again(fake: FakeLetta, letta: LettaStore) -> None:
    fake.fail(is_reset=True)

    with pytest.raises(TemporaryError, match="no connection to Letta for a read"):
        await letta.read(fake.agent())


async def test_a_server_that_is_not_there_is_tried_again() -> None:
    store = connect("http://127.0.0.1:1")

    with pytest.raises(TemporaryError, match="no connection to Letta"):
        await store.find_agents(["npc-7"])
    await store.close()


async def test_a_slow_answer_is_given_up(fake: FakeLetta) -> None:
    store = connect(fake.url, timeout=0.05)
    fake.fail(seconds=5.0)

    with pytest.raises(TemporaryError, match=r"did not answer a read within 0\.05 s"):
        await store.read(fake.agent())
    await store.close()


async def test_an_answer_that_trickles_in_is_given_up() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    store = connect(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout=0.2)

    with pytest.raises(TemporaryError, match="did not answer"):
        await store.read("agent-1")
    await store.close()
    server.close()


@pytest.mark.parametrize(
    "body",
    ["", "<html>gateway</html>", "[]", "null", "{", '{"id":7,"blocks":[]}', '{"id":"a"}',
     '{"id":"a","blocks":null}', '{"id":"a","blocks":[{"id":"b","value":null}]}',
     '{"id":"a","blocks":[{"id":"b","value":"\\ud800"}]}', "[" * 100_000,
     '{"id":"a","blocks":[{"id":"b","value":"x","metadata":[]}]}'],
)  # fmt: skip
async def test_an_answer_that_is_no_agent_is_tried_again(
    fake: FakeLetta, letta: LettaStore, body: str
) -> None:
    fake.fail(status=200, body=body)

    with pytest.raises(TemporaryError, match="not what Letta answers"):
        await letta.read(fake.agent())


@pytest.mark.parametrize("body", ["{}", "[1]", '[{"id":7}]', '[{"id":"a","tags":"npc:x"}]', "no"])
async def test_an_answer_that_is_no_list_of_agents_is_tried_again(
    fake: FakeLetta, letta: LettaStore, body: str
) -> None:
    fake.fail(status=200, body=body)

    with pytest.raises(TemporaryError, match="not what Letta answers"):
        await letta.find_agents(["x"])


async def test_agents_nobody_asked_for_are_not_taken(fake: FakeLetta, letta: LettaStore) -> None:
    stranger = [{"id": "agent-1", "tags": ["npc:other"]}, {"id": "agent-2"}]
    fake.fail(status=200, body=json.dumps(stranger))

    assert await letta.find_agents(["npc-7"]) == {}


async def test_a_block_without_a_label_is_no_block_of_ours(
    fake: FakeLetta, letta: LettaStore
) -> None:
    fake.fail(status=200, body='{"id":"a","blocks":[{"id":"b","value":"x"}]}')

    assert await letta.read("agent-1") == {}


async def test_a_token_is_sent_only_where_one_is_set(
    fake: FakeLetta, letta: LettaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LETTA_API_KEY", "of the cloud")
    await letta.find_agents(["a"])
    unaware = connect(fake.url)
    await unaware.find_agents(["a"])
    knowing = connect(fake.url, SECRET)
    await knowing.find_agents(["a"])

    assert fake.tokens == [None, None, f"Bearer {SECRET}"]
    await unaware.close()
    await knowing.close()


async def test_a_new_block_that_cannot_be_attached_is_taken_away_again(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = fake.agent()
    fake.fail(path="/attach/", status=500)

    with pytest.raises(TemporaryError):
        await letta.create(agent_id, "status", "x", {}, "")

    assert fake.blocks == {}


async def test_litter_that_cannot_be_taken_away_hides_no_error(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = fake.agent()
    fake.fail(path="/attach/", status=409)
    fake.fail(method="DELETE", is_reset=True)

    with pytest.raises(ConflictError):
        await letta.create(agent_id, "status", "x", {}, "")


async def test_listeners_hear_of_failures_too(fake: FakeLetta, letta: LettaStore) -> None:
    calls: list[tuple[str, str, float]] = []
    listening = letta.observed_by(lambda *call: calls.append(call))
    fake.fail(status=503)
    fake.fail(is_reset=True)
    for _ in range(2):
        with pytest.raises(StoreError):
            await listening.read(fake.agent())
    with pytest.raises(BlockMissingError):
        await listening.write("block-1", "x", {})

    assert [call[:2] for call in calls] == [("read", "503"), ("read", "error"), ("write", "404")]
    assert all(call[2] > 0 for call in calls)
