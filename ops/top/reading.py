"""All of it at one moment: the workers' metrics, consumer lag, and single NPCs from the topics."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError

from ops.failure import first_line
from ops.lag.reading import LagReader, Position, lag_reader
from ops.lag.view import Windows
from ops.tables import demand_topics
from ops.top.behind import Behind, summed
from ops.top.figures import Figures, figures, role_of
from ops.top.follower import TOPICS, Follower, follower
from ops.top.npcs import Late, Npcs, Wait
from ops.top.rates import NOTHING, Growth, Look, Page, growth, together
from ops.top.scrape import Scraper, Silence, scraper, without_user
from streams.topology import Role, group_id
from topics.connection import KafkaConnection

REACH = 3600.0
"""Seconds before now from which commands without a result are looked for, at most."""

JUDGED = 15
"""Samples of lag of which a verdict is made."""

_PATIENCE = 15.0
"""Seconds a reading of lag may take, a broker that was restarted meanwhile included."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user wants to see."""

    connection: KafkaConnection
    urls: Sequence[str]
    over: float
    """Seconds that rates and quantiles are of, at least the time between two looks."""
    window: float
    """Seconds looked back for NPCs that were told late."""
    most: int
    """NPCs named at most."""


class WorkerSeen(NamedTuple):
    """A worker that was asked for its metrics. `why_not`: empty where it answered."""

    url: str
    role: str
    why_not: str


class Sight(NamedTuple):
    """One moment."""

    at: float
    """Seconds since the epoch."""
    workers: list[WorkerSeen]
    figures: Figures | None
    """None where no worker answered."""
    behind: list[Behind]
    lag_why_not: str
    """Why the lag could not be read; empty where it could."""
    late: list[Late]
    waiting: list[Wait]
    waiting_npcs: int | None
    """All that wait. None: not all that stood on the topics has been read yet."""


@dataclass(slots=True)
class Watcher:
    """Looks again and again; what it remembers of the looks before is bounded."""

    asked: Asked
    scraper: Scraper
    lag: LagReader
    follower: Follower
    npcs: Npcs
    _last: Look = field(default_factory=lambda: Look(time.monotonic(), {}))
    _grown: deque[Growth] = field(default_factory=deque)
    _windows: Windows = field(default_factory=lambda: Windows(JUDGED))

    async def look(self) -> Sight:
        """How things stand now."""
        asked_at = time.monotonic()  # the lag may take far longer than the pages
        answers, (positions, why_not) = await asyncio.gather(self.scraper.look(), self._positions())
        self.npcs.take_commits(self._commits(positions))
        pages = {url: page for url, page in answers.items() if isinstance(page, Page)}
        grown, now = self._since(Look(asked_at, pages)), time.time()
        is_known = self.follower.has_caught_up.is_set()
        return Sight(
            at=now,
            workers=[_seen(url, answer) for url, answer in answers.items()],
            figures=figures(grown, pages.values()) if pages else None,
            behind=summed(positions, self._windows, self.lag.own_groups()),
            lag_why_not=why_not,
            late=self.npcs.told_late(now),
            waiting=self.npcs.waiting(now) if is_known else [],
            waiting_npcs=self.npcs.waiting_npcs if is_known else None,
        )

    async def caught_up(self, within: float) -> bool:
        """Whether all that stood on the topics has been read; waits for it, so many seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.follower.has_caught_up.wait(), within)
        return self.follower.has_caught_up.is_set()

    def _since(self, look: Look) -> Growth:
        """What grew in the last `over` seconds; at first nothing."""
        if self._last.pages:
            self._grown.append(growth(self._last, look))
        self._last = look
        while len(self._grown) > 1 and (
            sum(one.seconds for one in self._grown) - self._grown[0].seconds >= self.asked.over
        ):
            self._grown.popleft()
        return together(self._grown) if self._grown else NOTHING

    async def _positions(self) -> tuple[list[Position], str]:
        """Where the groups stand; none, and why."""
        try:
            async with asyncio.timeout(_PATIENCE):
                positions = await self.lag.read(self.lag.own_groups())
        except TimeoutError:
            return [], f"no answer within {_PATIENCE:.0f} s"
        except (KafkaConnectionError, NodeNotReadyError):
            return [], "Kafka does not answer"
        except KafkaError as error:
            return [], first_line(error)
        self._windows.add(positions)
        return positions, ""

    def _commits(self, positions: Sequence[Position]) -> dict[int, int]:
        writer = _writer(self.asked.connection)
        topic = self.lag.own_groups()[writer][0]
        return {
            one.partition: one.sample.committed or 0
            for one in positions
            if (one.group, one.topic) == (writer, topic)
        }


@asynccontextmanager
async def watcher(asked: Asked) -> AsyncIterator[Watcher]:
    """One at work. A Failure where a topic is missing, KafkaError where Kafka is."""
    npcs = Npcs(asked.window, asked.most)
    async with lag_reader(asked.connection) as lag, scraper(asked.urls) as scraping:
        await demand_topics(asked.connection, TOPICS)
        since = time.time() - await _reach(asked, lag)
        async with follower(asked.connection, npcs, since) as following:
            yield Watcher(asked, scraping, lag, following, npcs)


async def _reach(asked: Asked, lag: LagReader) -> float:
    """Seconds before now to read from: the window, or the oldest command the writer has in hand."""
    writer = _writer(asked.connection)
    positions = await lag.read({writer: lag.own_groups()[writer]})
    oldest = max(map(_unfinished, positions), default=0.0)
    return max(asked.window, min(oldest + 1.0, REACH))


def _unfinished(one: Position) -> float:
    """For how long a command may have waited on a partition, in seconds."""
    if one.sample.committed is None:
        return REACH if one.sample.end > one.sample.start else 0.0
    return one.seconds or 0.0


def _writer(connection: KafkaConnection) -> str:
    return group_id(Role.WRITER, connection.topic_prefix)


def _seen(url: str, answer: Page | Silence) -> WorkerSeen:
    if isinstance(answer, Silence):
        return WorkerSeen(without_user(url), "", answer.why)
    return WorkerSeen(without_user(url), role_of(answer), "")
