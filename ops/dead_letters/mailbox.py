"""Reads `dead-letters` (and what compacted topics hold), from the beginning to the end of now.

Values pass through one at a time and only marks are kept: a topic of a
gigabyte needs little memory.
"""

from collections.abc import AsyncIterator, Collection

from ops.dead_letters.letter import REQUEUED_FROM, Letter, LetterId, Mark, read
from ops.dead_letters.verdict import Newest
from ops.records import records
from ops.tables import demand_topics, silence_client
from topics.catalogue import DEAD_LETTERS
from topics.connection import KafkaConnection


class Mailbox:
    """The dead letters of one prefix."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection

    async def open(self) -> None:
        """A Failure unless the topic exists. Call it first."""
        silence_client()
        await demand_topics(self._connection, [DEAD_LETTERS])

    async def marks(self) -> dict[LetterId, Mark]:
        """The last mark of each letter that was requeued."""
        return {each.letter: each async for each in self._all() if isinstance(each, Mark)}

    async def letters(self) -> AsyncIterator[Letter]:
        """All letters; those of a partition in the order in which they failed."""
        async for each in self._all():
            if isinstance(each, Letter):
                yield each

    async def find(self, ids: Collection[LetterId]) -> dict[LetterId, Letter]:
        """Those of the letters that (still) stand on the topic, oldest first."""
        found = {each.id: each async for each in self.letters() if each.id in ids}
        return dict(sorted(found.items()))

    async def newest(self, name: str) -> dict[tuple[int | None, bytes], Newest]:
        """The last record of each partition and key of another topic of the catalogue."""
        return {
            (record.partition, record.key): Newest(record.offset, _requeued_from(record.headers))
            async for record in records(self._connection, name)
            if record.key is not None
        }

    async def _all(self) -> AsyncIterator[Letter | Mark]:
        async for record in records(self._connection, DEAD_LETTERS):
            where = LetterId(record.partition, record.offset)
            seconds = record.timestamp / 1000
            found = read(where, seconds, record.key, record.value, record.headers)
            if found is not None:
                yield found


def _requeued_from(headers: Collection[tuple[str, bytes | None]]) -> str:
    return (dict(headers).get(REQUEUED_FROM) or b"").decode(errors="replace")
