"""The road keeps its promises whatever happens; see docs/simulation.md."""

from tests.simulation.run import run_seeds, story_of

SEEDS = 300


def test_every_memory_becomes_what_the_newest_snapshot_says() -> None:
    figures = run_seeds(range(SEEDS), stop_at=1)

    assert not figures.broken, "\n".join(_endings(figures.broken))
    assert figures.seeds == SEEDS


def test_the_faults_that_are_to_be_survived_do_happen() -> None:
    counts = run_seeds(range(60)).counts

    expected = {
        "crash at a step",
        "crash at a time",
        "left by itself",
        "stall",
        "stopped",
        "worker added",
        "letta 409",
        "letta 429",
        "letta 503",
        "letta refused",
        "letta reset after applying",
        "letta timeout",
        "letta outage",
        "reverse clobber",
        "note lost: between read and write",
        "commits refused",
        "npc edits",
        "layout split",
    }
    assert expected - counts.keys() == set()


def test_a_seed_replays_step_by_step() -> None:
    first = story_of(7)

    again = story_of(7)

    assert first == again
    assert len(first) > 100


def _endings(broken: dict[int, str]) -> list[str]:
    """The end of each failed seed's story; the whole is told by `rollcall bench simulate`."""
    return [line for seed in broken for line in (*story_of(seed)[-60:], f"seed {seed}")]
