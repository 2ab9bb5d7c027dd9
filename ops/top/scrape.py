"""The metrics pages of workers, from whoever answers.

Whatever answers there may be anything: an answer is bounded in size and time, only lines of
rollcall's own metrics are read, and one that is no such page is a sentence, never an error.
"""

import asyncio
import math
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

import click
import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from ops.top.rates import Page, Series
from streams.topology import Role

PATIENCE = 3.0
"""Seconds a whole answer may take."""

LARGEST = 512 * 1024
"""Bytes of an answer; a worker's page has some 20,000."""

LONGEST_LINE = 500
_OURS = ("rollcall_", "# TYPE rollcall_")
_HOST = re.compile(rb"[0-9A-Za-z._:-]+")
_USER = re.compile(r"//[^/@]*@")
_GROWS = frozenset({"counter", "histogram"})
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - read, not bound


class Silence(NamedTuple):
    """No page, and why."""

    why: str


Answer = Page | Silence


class MetricsUrl(click.ParamType):
    """Where a worker tells its metrics: a URL, or `host:port` of one."""

    name = "url"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """The whole URL. A usage error for anything else."""
        text = str(value).strip()
        try:
            url = httpx.URL(text if "//" in text else f"http://{text}")
        except httpx.InvalidURL:
            url = httpx.URL("")
        if url.scheme not in ("http", "https") or not _HOST.fullmatch(url.raw_host):
            self.fail("no URL: http://host:9400/metrics, or host:9400.", param, ctx)
        return str(url.copy_with(path="/metrics") if url.path in ("", "/") else url)


def urls_of(host: str, port: int | None) -> list[str]:
    """Where the workers of these settings are: `rollcall worker` counts a port up for each role."""
    found = _ANYWHERE.get(host, host)
    name = f"[{found}]" if ":" in found else found
    ports = [port + number for number in range(len(Role))] if port else []
    return [f"http://{name}:{number}/metrics" for number in ports if number <= 65535]


def without_user(url: str) -> str:
    """A URL as it may be shown."""
    return _USER.sub("//", url)


class Scraper:
    """Asks the workers through an open client."""

    def __init__(self, client: httpx.AsyncClient, urls: Iterable[str]) -> None:
        self._client, self._urls = client, list(dict.fromkeys(urls))

    async def look(self) -> Mapping[str, Answer]:
        """What each of them tells now."""
        answers = await asyncio.gather(*(self._answer(url) for url in self._urls))
        return dict(zip(self._urls, answers, strict=True))

    async def _answer(self, url: str) -> Answer:
        try:
            async with asyncio.timeout(PATIENCE):
                body = await self._body(url)
        except TimeoutError:
            return Silence(f"no answer within {PATIENCE:.0f} s")
        except httpx.ConnectError:
            return Silence("nobody answers there")
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            return Silence(f"not read: {type(error).__name__}")
        return body if isinstance(body, Silence) else await asyncio.to_thread(_read, body)

    async def _body(self, url: str) -> bytes | Silence:
        body = bytearray()
        async with self._client.stream("GET", url) as response:
            if response.status_code != httpx.codes.OK:
                return Silence(f"answers with status {response.status_code}")
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > LARGEST:
                    return Silence(f"more than {LARGEST // 1024} KiB")
        return bytes(body)


@asynccontextmanager
async def scraper(urls: Iterable[str]) -> AsyncIterator[Scraper]:
    """A scraper with a client of its own."""
    # No proxy of the environment may come between us and the loopback interface, and what is not
    # compressed cannot become larger than it was.
    headers = {"accept-encoding": "identity"}
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE, headers=headers) as client:
        yield Scraper(client, urls)


def _read(body: bytes) -> Answer:
    try:
        page = page_of(body.decode(errors="replace"))
    except (ValueError, IndexError, OverflowError):  # IndexError: of the parser, on `a{,`
        return Silence("answers with something else than metrics")
    return page if page.counters or page.gauges else Silence("tells no metrics of rollcall")


def page_of(text: str) -> Page:
    """The samples of rollcall on a page. ValueError, IndexError, OverflowError: it is no page."""
    lines = [line for line in text.split("\n") if line.startswith(_OURS)]
    if any(len(line) > LONGEST_LINE for line in lines):
        raise ValueError("a line that is too long")
    counters: dict[Series, float] = {}
    gauges: dict[Series, float] = {}
    for family in text_string_to_metric_families("\n".join(lines)):
        kind = counters if family.type in _GROWS else gauges
        kind.update({_series(one): float(one.value) for one in family.samples if _counts(one)})
    return Page(counters, gauges)


def _series(sample: Sample) -> Series:
    return sample.name, frozenset(sample.labels.items())


def _counts(sample: Sample) -> bool:
    """Whether it is a figure; `_created` is a time."""
    return math.isfinite(sample.value) and not sample.name.endswith("_created")
