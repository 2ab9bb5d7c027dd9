"""Bad records of the reference topics become one dead letter each."""

from pathlib import Path
from typing import Any

import pytest

from streams.filter import judge as module
from streams.filter.judge import DECODERS, Judge
from streams.topology import RawTopics, Role
from tests.streams.stage import CONNECTION, Stage
from topics.catalogue import LOCATIONS, NPC_ROSTER, PLAYER_PROFILES

GOOD: dict[str, tuple[str, Any]] = {
    NPC_ROSTER: ("npc-1", {"npc_id": "npc-1", "name": "Greta"}),
    LOCATIONS: ("inn", {"slug": "inn", "name": "Inn", "coordinates": [0, 0, 0]}),
    PLAYER_PROFILES: ("1001", {"player_id": "1001", "name": "Alice"}),
}
ON_EVERY_TOPIC = pytest.mark.parametrize("topic", GOOD)


class Judging(Stage):
    def __init__(self, folder: Path) -> None:
        super().__init__(Role.FILTER, self._judge, folder)

    def _judge(self, app: Any, _settings: Any, _connection: Any, metrics: Any) -> Judge:
        return Judge(app, RawTopics(app, CONNECTION.topic_prefix), metrics)

    async def judge(self, topic: str, key: str | None, value: object) -> None:
        await self.agent._judge(topic, DECODERS[topic], self.event(topic, key, value))


@pytest.fixture
def stage(tmp_path: Path) -> Judging:
    return Judging(tmp_path)


def test_every_reference_topic_is_judged() -> None:
    assert set(DECODERS) == set(GOOD)


@ON_EVERY_TOPIC
async def test_a_good_record_and_a_deletion_are_acked_and_nothing_else(
    stage: Judging, topic: str
) -> None:
    key, value = GOOD[topic]

    await stage.judge(topic, key, value)
    await stage.judge(topic, key, None)

    assert (stage.dead_letters, stage.acked) == ([], [0, 1])


@ON_EVERY_TOPIC
@pytest.mark.parametrize("bad", [b"", b"{nope", b"null", b"\xff", {}, {"slug": 3}])
async def test_a_bad_record_is_one_dead_letter(stage: Judging, topic: str, bad: object) -> None:
    await stage.judge(topic, GOOD[topic][0], bad)

    [(_, told)] = stage.dead_letters
    assert (told.stage, told.topic, told.offset) == (topic, f"t-{topic}", 0)
    assert stage.acked == [0]
    assert stage.count("dead_letters_total", stage=topic) == 1
    assert stage.count("errors_total", stage=topic) == 1


@ON_EVERY_TOPIC
@pytest.mark.parametrize("key", [None, ""])
async def test_a_deletion_of_nobody_is_a_dead_letter(
    stage: Judging, topic: str, key: str | None
) -> None:
    await stage.judge(topic, key, None)

    assert len(stage.dead_letters) == 1
    assert stage.acked == [0]


async def test_a_dead_letter_that_was_not_taken_acks_nothing_and_ends_the_process(
    stage: Judging, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = []
    monkeypatch.setattr(module, "leave_process", lambda: left.append(True))
    stage.broker.refused.add("dead-letters")
    event = stage.event(PLAYER_PROFILES, "1001", b"{nope")
    monkeypatch.setattr(module, "records", lambda stream: stream)

    async def stream() -> Any:
        yield event

    await stage.agent._agent(PLAYER_PROFILES, DECODERS[PLAYER_PROFILES])(stream())

    assert (left, stage.acked) == ([True], [])
