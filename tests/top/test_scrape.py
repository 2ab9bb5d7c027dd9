import asyncio
import gzip
from collections.abc import AsyncIterator

import click
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from ops.top import scrape
from ops.top.rates import Page, total
from ops.top.scrape import (
    LARGEST,
    Answer,
    MetricsUrl,
    Scraper,
    Silence,
    page_of,
    scraper,
    urls_of,
    without_user,
)
from streams.metrics import Metrics
from tests.top.pages import page

URL = "http://worker:9400/metrics"


async def answer_to(response: httpx.Response) -> Answer:
    """What becomes of a worker's response."""
    transport = httpx.MockTransport(lambda _request: response)
    async with httpx.AsyncClient(transport=transport) as client:
        return (await Scraper(client, [URL]).look())[URL]


def body_of(metrics: Metrics) -> bytes:
    return generate_latest(metrics.registry)


async def test_a_page_is_read_with_its_counters_and_gauges() -> None:
    metrics = Metrics()
    metrics.snapshots.labels(outcome="sent").inc(3)
    metrics.silent.set(2)
    metrics.freshness.observe(0.4)

    answer = await answer_to(httpx.Response(200, stream=httpx.ByteStream(body_of(metrics))))

    assert isinstance(answer, Page)
    assert 3.0 == total(answer.counters, "rollcall_snapshots_total", outcome="sent")
    assert 1.0 == total(answer.counters, "rollcall_memory_freshness_seconds_bucket", le="0.5")
    assert 2.0 == total(answer.gauges, "rollcall_silent_npcs")


HOSTILE = {
    "another program": (b"<html>hello</html>", "tells no metrics of rollcall"),
    "somebody else's metrics": (b"go_goroutines 7\n", "tells no metrics of rollcall"),
    "nothing": (b"", "tells no metrics of rollcall"),
    "broken metrics": (b'rollcall_x{a="b 1\n', "answers with something else than metrics"),
    "a label without end": (b"rollcall_x{a,,} 1\n", "answers with something else than metrics"),
    "a long line": (
        b"rollcall_x" + b"{" * 600 + b" 1\n",
        "answers with something else than metrics",
    ),
    "a huge number": (
        b"rollcall_x 1" + b"0" * 400 + b"\n",
        "answers with something else than metrics",
    ),
    "no number": (b"rollcall_x NaN\nrollcall_y +Inf\n", "tells no metrics of rollcall"),
    "a flood": (b"rollcall_x 1\n" * (LARGEST // 10), f"more than {LARGEST // 1024} KiB"),
    "compressed": (gzip.compress(b"rollcall_x 1\n"), "tells no metrics of rollcall"),
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_an_answer_that_is_no_page_is_a_sentence(case: str) -> None:
    body, why = HOSTILE[case]

    answer = await answer_to(httpx.Response(200, stream=httpx.ByteStream(body)))

    assert Silence(why) == answer


async def test_another_status_is_a_sentence_and_no_redirect_is_followed() -> None:
    away = httpx.Response(302, headers={"location": "http://elsewhere/metrics"})

    assert Silence("answers with status 302") == await answer_to(away)
    assert Silence("answers with status 500") == await answer_to(httpx.Response(500))


async def test_who_does_not_answer_in_time_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "PATIENCE", 0.05)

    async def drop_by_drop() -> AsyncIterator[bytes]:
        yield b"rollcall_x 1\n"
        await asyncio.Event().wait()

    answer = await answer_to(httpx.Response(200, content=drop_by_drop()))

    assert Silence("no answer within 0 s") == answer


async def test_nobody_there_is_a_sentence() -> None:
    where = "http://127.0.0.1:1/metrics"
    async with scraper([where]) as one:
        answers = await one.look()

    assert {where: Silence("nobody answers there")} == answers


@given(st.binary(max_size=300) | st.text(max_size=80).map(lambda t: f"rollcall_{t}".encode()))
def test_no_bytes_are_an_error(body: bytes) -> None:
    assert isinstance(scrape._read(body), Page | Silence)


@given(st.text('ab_{}=,\\"# \t0123456789.eE+-\n', max_size=60))
def test_nothing_like_a_page_is_an_error(text: str) -> None:
    assert isinstance(scrape._read(f"rollcall_{text}".encode()), Page | Silence)


def test_the_time_at_which_a_counter_was_made_is_no_figure() -> None:
    metrics = Metrics()
    metrics.snapshots.labels(outcome="sent").inc()

    assert not [name for name, _ in page(metrics).gauges if name.endswith("_created")]


def test_a_histogram_without_its_type_is_not_taken_for_a_counter() -> None:
    assert {} == page_of("rollcall_x_bucket 3\n").counters


PLACES = {
    "worker-1:9400": "http://worker-1:9400/metrics",
    "http://worker:9400": "http://worker:9400/metrics",
    "http://worker:9400/": "http://worker:9400/metrics",
    "https://worker/other": "https://worker/other",
    "http://[::1]:9400": "http://[::1]:9400/metrics",
}


@pytest.mark.parametrize("text", PLACES)
def test_a_worker_is_named_by_host_and_port_or_url(text: str) -> None:
    assert PLACES[text] == MetricsUrl().convert(text, None, None)


@pytest.mark.parametrize("text", ["", "ftp://worker", "http://", "http://[", "a b:1", "x:y:z"])
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no URL"):
        MetricsUrl().convert(text, None, None)


def test_each_role_of_one_command_has_the_next_port() -> None:
    assert [f"http://127.0.0.1:{port}/metrics" for port in (9400, 9401, 9402)] == urls_of(
        "0.0.0.0", 9400
    )
    assert ["http://[::1]:65535/metrics"] == urls_of("::", 65535)
    assert [] == urls_of("127.0.0.1", None) == urls_of("127.0.0.1", 0)


def test_a_password_in_a_url_is_not_shown() -> None:
    assert "http://worker/metrics" == without_user("http://me:secret@worker/metrics")
