from unittest.mock import Mock

import pytest

from ops.top.npcs import Npcs
from ops.top.reading import Asked, Watcher
from streams.metrics import Metrics
from tests.top.pages import page
from topics.connection import KafkaConnection

URL = "http://worker:9400/metrics"


async def test_rates_are_of_the_time_between_pages_however_long_the_lag_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, metrics = [100.0], Metrics()
    monkeypatch.setattr("ops.top.reading.time.monotonic", lambda: now[0])

    async def six_snapshots_later() -> dict[str, object]:
        metrics.snapshots.labels(outcome="sent").inc(6)
        return {URL: page(metrics)}

    async def lag_read_slowly(_groups: object) -> list[object]:
        now[0] += slow.pop()
        return []

    slow = [0.0, 5.0]
    lag = Mock(read=lag_read_slowly, own_groups=lambda: {"rollcall-writer": ["commands"]})
    asked = Asked(
        KafkaConnection.from_environment(broker="kafka://nowhere:9092"), [URL], 10.0, 60.0, 3
    )
    follower = Mock(**{"has_caught_up.is_set.return_value": False})
    watcher = Watcher(asked, Mock(look=six_snapshots_later), lag, follower, Npcs(60.0, 3))

    await watcher.look()
    now[0] = 102.0
    sight = await watcher.look()

    assert sight.figures is not None
    assert {"sent": 3.0} == sight.figures.snapshots
