"""Planted bugs: each puts a faulty piece in the place of a sound one, and is to be found.

what is wrong                              which promise it breaks
-----------------------------------------  -----------------------------------------------------
ack before send                            a crash between loses the change
state before the command is acknowledged   the same: the state says it was sent
no fence                                   an older command overwrites a newer one
drop on 409                                a conflict is taken for done
commit skips an unacked record             what was in work at a crash never comes again
absent notes forgotten                     notes of a player who left
write again after 409 without reading      the edit that caused the conflict
done before written                        the writer acks what it has only taken in
notes leave the metadata too early         a crash before the Table has them
notes leave the Table too early            a crash before the block has them again
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

from streams.barrier import OrderedAcks, delivered
from streams.outbox import Outbox
from streams.writer import reconcile as reconciling
from streams.writer.loop import WriteLoop
from streams.writer.notes import Change, Custody, Place
from streams.writer.stamp import stamped
from streams.writer.store import ConflictError


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug. `patches`: faulty pieces by place; `writer_options`: of the WriteLoop."""

    name: str
    patches: dict[str, Any] = field(default_factory=dict)
    writer_options: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Within it the bug is there."""
        with ExitStack() as stack:
            for where, what in self.patches.items():
                stack.enter_context(patch(where, what))
            yield


class _AcksFirst(Outbox):
    async def deliver(self, acks: OrderedAcks) -> bool:
        for taken in self.finished:
            acks.finish(taken)
        self.finished = []
        return await Outbox.deliver(self, acks)


class _StoresFirst(Outbox):
    async def deliver(self, acks: OrderedAcks) -> bool:
        await self.store()
        await delivered(topic.send_many(some) for topic, some in self._by_topic())
        for taken in self.finished:
            acks.finish(taken)
        return True


class _UnorderedAcks(OrderedAcks):
    def finish(self, taken: Any) -> None:
        if self.is_ours(taken):
            self._ack(taken.event.message.tp, taken.event.message.offset)


class _Door:
    """A store that deals with a conflict in its own way."""

    def __init__(self, store: Any, on_conflict: Callable[..., Any]) -> None:
        self._store, self._on_conflict = store, on_conflict

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def observed_by(self, on_call: Any) -> "_Door":
        return _Door(self._store.observed_by(on_call), self._on_conflict)

    async def write(self, *block: Any) -> None:
        try:
            await self._store.write(*block)
        except ConflictError:
            await self._on_conflict(self._store, *block)


async def _ignore(store: Any, *block: Any) -> None:
    return None


async def _write_again(store: Any, *block: Any) -> None:
    await store.write(*block)


def _updating_through(on_conflict: Callable[..., Any]) -> Any:
    async def update(
        command: Any, agent_id: str, store: Any, now: Any, effort: Any, mark: Any
    ) -> Any:
        return await reconciling.reconcile(
            command, agent_id, _Door(store, on_conflict), now, effort, mark
        )

    return update


def _forgetful(*args: Any) -> Any:
    forgot = {**stamped(*args)}
    return {**forgot, "rollcall": {**forgot["rollcall"], "absent": {}}}


_in_transit = Custody.in_transit


def _nothing_in_transit(self: Custody, wanted: Any) -> Any:
    return replace(_in_transit(self, wanted), absent={})


_write = reconciling._write


async def _write_after_the_table(plan: Any, work: Any, store: Any) -> bool:
    custody: Custody = plan.custody
    returned = frozenset(custody.kept.absent) - plan.wanted.absent.keys()
    if custody.may_keep and returned:
        place = Place(work.command.npc_id, plan.kind.label)
        await work.notes.keep(place, Change(gone=returned, keeper=custody.keeper))
    return await _write(plan, work, store)


def _never(*_: Any) -> bool:
    return False


class _HastyLoop(WriteLoop):
    def submit(self, command: Any, done: Any, *more: Any) -> None:
        done()
        super().submit(command, _nothing, *more)


def _nothing() -> None:
    return None


MUTANTS = (
    Mutant("ack before send", {"streams.filter.agent.Outbox": _AcksFirst}),
    Mutant("state before the command", {"streams.filter.agent.Outbox": _StoresFirst}),
    Mutant(
        "no fence",
        {"streams.writer.reconcile.is_outdated": _never, "streams.writer.loop.is_before": _never},
    ),
    Mutant("drop on 409", writer_options={"update": _updating_through(_ignore)}),
    Mutant("commit skips an unacked record", {"streams.writer.agent.OrderedAcks": _UnorderedAcks}),
    Mutant("absent notes forgotten", {"streams.writer.reconcile.stamped": _forgetful}),
    Mutant(
        "write again after 409 without reading",
        writer_options={"update": _updating_through(_write_again)},
    ),
    Mutant("done before written", {"tests.simulation.process.WriteLoop": _HastyLoop}),
    Mutant(
        "notes leave the metadata too early",
        {"streams.writer.reconcile.Custody.in_transit": _nothing_in_transit},
    ),
    Mutant(
        "notes leave the Table too early",
        {"streams.writer.reconcile._write": _write_after_the_table},
    ),
)
