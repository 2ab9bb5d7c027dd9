import msgspec
import pytest

from streams.writer.confirmed import PERIOD, Confirmed
from tests.writer.commands import ALICE, BOB, command
from topics.models import Outcome, Reason

VERIFY = msgspec.structs.replace(command(ALICE), reason=Reason.VERIFY)


def asked(reason: Reason) -> bool:
    confirmed = Confirmed()
    confirmed.verified(VERIFY, Outcome.UNCHANGED, now=0.0)
    return confirmed.spares(msgspec.structs.replace(VERIFY, reason=reason), now=PERIOD - 1)


@pytest.mark.parametrize("reason", list(Reason))
def test_a_verification_spares_a_refresh_its_look_and_nothing_else(reason: Reason) -> None:
    assert asked(reason) is (reason in (Reason.STALE, Reason.FORCE_REFRESH))


def test_it_counts_for_a_while_only() -> None:
    confirmed = Confirmed()
    confirmed.verified(VERIFY, Outcome.REPAIRED, now=0.0)

    assert not confirmed.spares(msgspec.structs.replace(VERIFY, reason=Reason.STALE), now=PERIOD)


def test_it_counts_for_what_was_verified_only() -> None:
    confirmed = Confirmed()
    confirmed.verified(VERIFY, Outcome.UNCHANGED, now=0.0)

    other = msgspec.structs.replace(command(BOB), reason=Reason.STALE)
    assert not confirmed.spares(other, now=1.0)


@pytest.mark.parametrize("outcome", [Outcome.OUTDATED, Outcome.FAILED])
def test_what_was_not_found_right_spares_nothing(outcome: Outcome) -> None:
    confirmed = Confirmed()
    confirmed.verified(VERIFY, outcome, now=0.0)

    assert not confirmed.spares(msgspec.structs.replace(VERIFY, reason=Reason.STALE), now=1.0)


def test_any_later_write_ends_it() -> None:
    confirmed = Confirmed()
    confirmed.verified(VERIFY, Outcome.UNCHANGED, now=0.0)
    confirmed.verified(command(ALICE), Outcome.APPLIED, now=1.0)

    assert not confirmed.spares(msgspec.structs.replace(VERIFY, reason=Reason.STALE), now=2.0)


def test_old_ones_are_dropped() -> None:
    confirmed = Confirmed()
    for number in range(1000):
        one = msgspec.structs.replace(VERIFY, npc_id=f"npc-{number}")
        confirmed.verified(one, Outcome.UNCHANGED, now=float(number))

    assert PERIOD == len(confirmed)
