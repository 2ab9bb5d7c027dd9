"""Every stretch in tests/replays is decided as it was when it was kept."""

from pathlib import Path

import pytest

from ops.replay.regression import DECISIONS, STRETCH, decided

KEPT = sorted((Path(__file__).parent.parent / "replays").glob(f"*{STRETCH}"))


@pytest.mark.parametrize("stretch", KEPT, ids=[file.stem for file in KEPT])
def test_a_kept_stretch_is_decided_as_before(stretch: Path) -> None:
    assert stretch.with_suffix(DECISIONS).read_bytes() == decided(stretch)
