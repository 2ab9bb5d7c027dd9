"""The test of the test: each planted bug is found, and the sound road is not called broken."""

import pytest

from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.run import run_seeds

SEEDS = 1000
"""Within so many seeds each must be found; most are within a few dozen."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_planted_bug_is_found(mutant: Mutant) -> None:
    figures = run_seeds(range(SEEDS), mutant=mutant, stop_at=1)

    assert figures.broken, f"{mutant.name} was not found in {SEEDS} seeds"
