"""What the simulation found and nobody has mended yet, each as small as it gets.

A mend turns the test red (`strict`): then take the mark off and move the test to the piece's own.
"""

import pytest

from streams.writer.merge import Rendered
from streams.writer.stamp import is_outdated
from tests.writer.commands import NOON, command, stamp_after

EMPTY = Rendered(value="{}", base={"members": []})


@pytest.mark.xfail(strict=True, reason="the fence lets any command of the same record pass")
def test_a_redelivered_command_never_undoes_the_profile_tick_that_followed_it() -> None:
    after_tick = stamp_after(EMPTY, observed_at=NOON + 3, offset=12)
    redelivered = command(observed_at=NOON, offset=12)

    assert is_outdated(redelivered, after_tick)
