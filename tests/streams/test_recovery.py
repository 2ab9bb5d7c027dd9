"""How long a worker was without its partitions."""

import pytest

from streams.metrics import Metrics
from streams.recovery import Recovery


class Steady:
    def __init__(self) -> None:
        self.now, self.metrics = 100.0, Metrics()
        self.recovery = Recovery(self.metrics, lambda: self.now)

    def told(self) -> tuple[float | None, float | None]:
        get = self.metrics.registry.get_sample_value
        return get("rollcall_recovery_seconds"), get("rollcall_rebalances_total")


@pytest.fixture
def steady() -> Steady:
    return Steady()


def test_the_first_recovery_counts_from_the_start(steady: Steady) -> None:
    steady.now += 3
    steady.recovery.begin()
    steady.now += 2
    steady.recovery.end()

    assert (5.0, 1.0) == steady.told()


def test_a_later_one_counts_from_the_loss_of_the_partitions(steady: Steady) -> None:
    steady.recovery.end()
    steady.now += 60
    steady.recovery.begin()
    steady.now += 2
    steady.recovery.end()

    assert (2.0, 2.0) == steady.told()


def test_a_rebalance_within_a_rebalance_belongs_to_it(steady: Steady) -> None:
    steady.recovery.end()
    steady.recovery.begin()
    steady.now += 2
    steady.recovery.begin()
    steady.now += 1
    steady.recovery.end()
    steady.recovery.end()

    assert (3.0, 2.0) == steady.told()
