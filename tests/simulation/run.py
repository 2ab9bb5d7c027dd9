"""Many seeds, one after the other: figures, and the story of a seed that failed."""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter, process_time

from tests.simulation.mutants import Mutant
from tests.simulation.process import simulated
from tests.simulation.world import World

SOUND = Mutant("sound")


@dataclass(slots=True)
class Figures:
    """What many seeds came to. `broken`: the first broken promise by seed."""

    seeds: int = 0
    steps: int = 0
    snapshots: int = 0
    virtual_seconds: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0
    """Seconds of one core; less than `seconds` where others use it too."""
    most_waiting: int = 0
    most_unacked: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    broken: dict[int, str] = field(default_factory=dict)


def run_seeds(
    seeds: Iterable[int],
    *,
    mutant: Mutant = SOUND,
    stop_at: int | None = None,
    on_seed: Callable[[Figures], None] = lambda _: None,
) -> Figures:
    """Simulates each seed; stops once so many are broken (None: never). `on_seed` hears of each."""
    figures, began, busy = Figures(), perf_counter(), process_time()
    with simulated(), mutant.planted(), _light_garbage():
        for seed in seeds:
            world = World(seed, writer_options=mutant.writer_options)
            _add(figures, seed, world)
            figures.seconds, figures.cpu = perf_counter() - began, process_time() - busy
            on_seed(figures)
            if stop_at is not None and len(figures.broken) >= stop_at:
                break
    return figures


def story_of(seed: int, mutant: Mutant = SOUND) -> list[str]:
    """One seed, with a line for each step and at the end what was broken."""
    with simulated(), mutant.planted():
        trace = World(seed, traced=True, writer_options=mutant.writer_options).run()
    return [*trace.lines, *(f"seed {seed}: {broken}" for broken in trace.broken)]


@contextmanager
def _light_garbage() -> Iterator[None]:
    """What was there before is not looked through again and again: a tenth of the time."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _add(figures: Figures, seed: int, world: World) -> None:
    trace = world.run()
    figures.seeds += 1
    figures.steps += trace.steps
    figures.snapshots += world.game.published
    figures.virtual_seconds += world.timeline.now
    figures.most_waiting = max(figures.most_waiting, world.most_waiting)
    figures.most_unacked = max(figures.most_unacked, world.most_unacked)
    figures.counts += trace.counts
    if trace.broken:
        figures.broken[seed] = trace.broken[0]
    world.let_go()
