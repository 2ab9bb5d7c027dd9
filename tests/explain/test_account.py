"""Accounts of snapshots, from records made up by hand."""

import itertools
from collections.abc import Iterable, Sequence

import msgspec

from ops.explain.account import Account, Evidence, Fate, Seen, accounts
from ops.explain.view import document, lines
from streams.filter.core import World
from streams.filter.decide import Policy
from tests.filter.town import ALICE, BOB, NOON, OTTO, PLACES, Filter, players, roster, snapshot
from topics.models import (
    Outcome,
    PlayerRef,
    Reason,
    RosterEntry,
    Snapshot,
    UpdateCommand,
    UpdateResult,
)

TOPIC = "npc-snapshots"


class Story:
    """What a filter and a writer made of some snapshots, as the topics have it."""

    def __init__(self) -> None:
        self.filter = Filter()
        self.seen: list[Seen] = []
        self.commands: list[UpdateCommand] = []
        self.letters: dict[tuple[str, int, int], str] = {}
        self.verified: list[UpdateResult] = []
        self.offsets = itertools.count()

    def see(self, one: Snapshot) -> None:
        offset = next(self.offsets)
        self.seen.append(Seen((TOPIC, 0, offset), one.observed_at, one))
        told = self.filter.see(one, offset).command
        if told is not None:
            topic = msgspec.structs.replace(told.source, topic=TOPIC, partition=0)
            self.commands.append(msgspec.structs.replace(told, source=topic))

    def accounts(
        self,
        commands: Sequence[UpdateCommand] | None = None,
        entries: Iterable[RosterEntry] = (),
        policy: Policy | None = None,
    ) -> list[Account]:
        commands = self.commands if commands is None else commands
        pushed = [one for one in commands if one.reason is not Reason.VERIFY]
        results = [*map(applied, pushed), *self.verified]
        world = World(roster(*entries), PLACES, players())
        evidence = Evidence(self.seen, commands, results, self.letters, world)
        return list(accounts(evidence, policy or Policy()))


def applied(command: UpdateCommand) -> UpdateResult:
    return UpdateResult(
        command_id=command.command_id,
        npc_id=command.npc_id,
        reason=command.reason,
        outcome=Outcome.APPLIED,
        blocks=("group_members",),
        calls=2,
        attempts=1,
        observed_at=command.observed_at,
        finished_at=command.observed_at + 0.25,
    )


def story(*seen: tuple[float, tuple[PlayerRef, ...]]) -> Story:
    told = Story()
    for at, near in seen:
        told.see(snapshot(*near, at=NOON + at))
    return told


def shown(account: Account) -> str:
    return "\n".join(line.plain for line in lines(account))


def test_each_snapshot_is_told_with_its_fate() -> None:
    found = story((0, (ALICE,)), (3, (ALICE,)), (6, (ALICE, BOB)), (2, (ALICE,))).accounts()

    assert [Fate.SENT, Fate.SUPPRESSED, Fate.SENT, Fate.OUTDATED] == [one.fate for one in found]


def test_a_command_is_told_with_what_differed_and_how_it_ended() -> None:
    *_, told = story((0, (ALICE,)), (3, (ALICE, BOB))).accounts()

    text = shown(told)
    assert "sent  members" in text
    assert "+ Bob (1002) joined" in text
    assert "applied after 0.25 s, 2 Letta calls, wrote group_members" in text


def test_why_nothing_was_sent_is_told_in_seconds() -> None:
    *_, told = story((0, (ALICE,)), (12, (ALICE,)), (15, (ALICE,))).accounts()

    assert (
        "nothing differs; 3.0 s after the one before (stale after 30 s), 15.0 s after the last push"
        " (refresh after 300 s)"
    ) == told.why


def test_what_the_filter_knew_is_known_from_a_command_long_before_the_first_snapshot() -> None:
    told = story((0, (ALICE,)), (3, (ALICE,)), (6, (ALICE,)), (9, (ALICE, BOB)))
    del told.seen[0]

    found = told.accounts()

    assert [Fate.UNKNOWN, Fate.SUPPRESSED, Fate.SENT] == [one.fate for one in found]
    assert "3.0 s after the one before" in found[1].why
    assert "6.0 s after the last push" in found[1].why


def test_one_snapshot_that_other_settings_held_back_explains_those_after_it() -> None:
    told = story((0, (ALICE,)), (20, (ALICE,)), (23, (ALICE,)))

    found = told.accounts(policy=Policy(stale_data_threshold=5))

    assert [Fate.SENT, Fate.UNEXPLAINED, Fate.SUPPRESSED] == [one.fate for one in found]


def test_a_verification_of_a_state_does_not_end_the_command_that_led_to_it() -> None:
    told = story((0, (ALICE,)))
    for number, outcome in ((1, Outcome.REPAIRED), (2, Outcome.UNCHANGED)):
        verify = msgspec.structs.replace(
            told.commands[0],
            reason=Reason.VERIFY,
            observed_at=NOON + 3,
            issued_at=NOON + 10 * number,
        )
        told.verified.append(
            msgspec.structs.replace(
                applied(verify), outcome=outcome, finished_at=verify.issued_at + 1
            )
        )
        told.commands.append(verify)

    [account] = told.accounts()

    assert account.sent is not None
    ended = [one.result and one.result.outcome for one in (account.sent, *account.later)]
    assert [Outcome.APPLIED, Outcome.REPAIRED, Outcome.UNCHANGED] == ended


def test_other_settings_than_those_of_then_are_noticed() -> None:
    *_, told = story((0, (ALICE,)), (20, (ALICE,))).accounts(policy=Policy(stale_data_threshold=5))

    assert (Fate.UNEXPLAINED, "today it would be sent: stale") == (told.fate, told.why)


def test_a_command_that_is_not_there_yet_is_no_lie() -> None:
    told = story((0, (ALICE,)), (3, (ALICE, BOB)))

    *_, account = told.accounts(commands=told.commands[:1])

    assert (Fate.UNEXPLAINED, "today it would be sent: members") == (account.fate, account.why)


def test_before_the_first_command_nothing_is_claimed() -> None:
    told = story((0, (ALICE,)), (3, (ALICE,)))

    assert [Fate.UNKNOWN, Fate.UNKNOWN] == [one.fate for one in told.accounts(commands=[])]


def test_a_disabled_npc_is_told_as_such() -> None:
    told = story((0, (ALICE,)), (3, (BOB,)))
    resting = msgspec.structs.replace(OTTO, enabled=False)

    *_, account = told.accounts(commands=told.commands[:1], entries=[resting])

    assert Fate.DISABLED is account.fate


def test_a_dead_letter_is_told_with_its_error() -> None:
    told = story((0, (ALICE,)), (3, (ALICE,)))
    told.letters[TOPIC, 0, 1] = "observed_at: 900 s ahead of the record's own time"

    *_, account = told.accounts()

    assert (Fate.DEAD_LETTER, told.letters[TOPIC, 0, 1]) == (account.fate, account.why)


def test_what_a_profile_or_a_verification_made_of_it_comes_afterwards() -> None:
    told = story((0, (ALICE,)))
    check = msgspec.structs.replace(
        told.commands[0], command_id="check", reason=Reason.VERIFY, issued_at=NOON + 60
    )

    [account] = told.accounts(commands=[*told.commands, check])

    assert Reason.FIRST_SEEN is account.sent.command.reason if account.sent else False
    assert ["verify"] == [one.command.reason.value for one in account.later]
    assert "afterwards: verify" in shown(account)


def test_json_has_everything_that_is_shown() -> None:
    *_, told = story((0, (ALICE,)), (3, (ALICE, BOB))).accounts()

    found = document(told)

    assert {"topic": TOPIC, "partition": 0, "offset": 1} == found["source"]
    assert "members" == found["command"]["reason"]
    assert 0.25 == found["command"]["result"]["finished_after"]
    assert ["+ Bob (1002) joined"] == found["command"]["changes"]


def test_text_of_players_cannot_act_on_the_terminal() -> None:
    evil = PlayerRef(id="1009", name="Eve\x1b[2J")
    told = story((0, ()), (3, (evil,)))

    assert "\x1b" not in shown(told.accounts()[-1])
