"""What counts as getting on, by the table in `streams.health`; and that a hang is noticed."""

from collections.abc import Hashable

import httpx
import pytest
from prometheus_client import CollectorRegistry

from streams.health import Pulse, Window, Work, serve, verdict, watch

TIMEOUT = 60.0


@pytest.mark.parametrize(
    ("window", "is_live", "is_ready"),
    [
        (Window(looked_at=100, moved_at=100, is_ready=True), True, True),
        (Window(looked_at=100, moved_at=41, is_ready=True, unacked=9), True, True),
        (Window(looked_at=100, moved_at=39, is_ready=True, unacked=9), False, True),
        (Window(looked_at=100, moved_at=39, is_ready=True, unread=9), False, True),
        (Window(looked_at=39, moved_at=39, is_ready=True), False, False),
        (Window(looked_at=100, moved_at=-190), True, False),
        (Window(looked_at=100, moved_at=-210), False, False),
    ],
)
def test_a_window_is_judged(window: Window, is_live: bool, is_ready: bool) -> None:
    judged = verdict(window, 100.0, TIMEOUT)

    assert (judged.is_live, judged.is_ready) == (is_live, is_ready)


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


class Worker:
    """Looked at once a second for two minutes, always in the same state."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.pulse = Pulse(TIMEOUT, self.clock)

    def live(
        self, unacked: int = 0, unread: int = 0, done: Hashable = 0, *, waits: bool = False
    ) -> bool:
        for _ in range(120):
            self.look(unacked, unread, done, waits=waits)
        return self.pulse.verdict().is_live

    def look(
        self, unacked: int = 0, unread: int = 0, done: Hashable = 0, *, waits: bool = False
    ) -> None:
        self.clock.time += 1
        self.pulse.look(Work(True, unacked, done, waits), unread, is_assigned=True)


def test_without_work_a_worker_is_live() -> None:
    assert Worker().live()


@pytest.mark.parametrize(("unacked", "unread"), [(1, 0), (0, 1)])
def test_with_work_of_which_nothing_is_finished_it_is_not(unacked: int, unread: int) -> None:
    assert not Worker().live(unacked, unread)


def test_with_work_it_is_live_while_something_is_finished() -> None:
    worker = Worker()
    for number in range(300):
        worker.look(unacked=50, done=number // 50)

    assert worker.pulse.verdict().is_live


def test_while_letta_is_away_it_is_live() -> None:
    assert Worker().live(unacked=50, waits=True)


def test_work_that_comes_after_a_quiet_day_has_the_whole_time() -> None:
    worker = Worker()
    worker.live()
    for _ in range(59):
        worker.look(unacked=1)

    assert worker.pulse.verdict().is_live


def test_what_never_looks_at_itself_again_is_noticed() -> None:
    worker = Worker()
    worker.live()
    worker.clock.time += 61

    assert worker.pulse.verdict().reason == "has not looked at itself for 61 s"


def test_a_worker_that_stalls_is_left_by_itself() -> None:
    worker, left = Worker(), []
    worker.live(unacked=1)

    watch(worker.pulse, lambda: left.append("left"), every=0.01).join(10)

    assert left == ["left"]


@pytest.mark.parametrize(
    ("unacked", "page", "status", "words"),
    [
        (0, "livez", 200, "ok"),
        (0, "readyz", 200, "ok"),
        (1, "livez", 503, "nothing moved for 120 s, 1 records unacked and 0 unread"),
        (1, "readyz", 503, "nothing moved"),
        (1, "metrics", 200, ""),
    ],
)
def test_probes_stand_beside_the_metrics(unacked: int, page: str, status: int, words: str) -> None:
    worker = Worker()
    worker.look()
    worker.live(unacked=unacked)
    port = serve("127.0.0.1", 0, CollectorRegistry(), worker.pulse)

    answer = httpx.get(f"http://127.0.0.1:{port}/{page}", trust_env=False)

    assert (answer.status_code, words in answer.text) == (status, True)
