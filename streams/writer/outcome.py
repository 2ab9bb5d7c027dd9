"""How a command ends, and what it took.

outcome     the NPC's memory                                           Letta
----------  ---------------------------------------------------------  ----------------------------
applied     is as the command says; something had to be written        read, and written
repaired    the same, and the command was a verification that found    read, and written
            more to do than that an NPC on the way stands by now
unchanged   was so already                                             read
outdated    holds something newer                                      read, or not asked at all
superseded  will be as a newer command says                            not asked, or not long enough
failed      stays as it is; `error` says why                           refused
"""

from dataclasses import dataclass, field

from topics.models import Conflict, Outcome, Reason, UpdateCommand, UpdateResult


@dataclass(slots=True)
class Effort:
    """What a command took so far, over all attempts."""

    calls: int = 0
    """Requests sent to Letta."""
    attempts: int = 0
    blocks: dict[str, None] = field(default_factory=dict)
    """Labels written."""
    conflicts: dict[str, Conflict] = field(default_factory=dict)
    """By path; the last account of each counts."""
    has_mended: bool = False
    """Something written was more than what time itself brings."""
    has_rivals: bool = False
    """Older commands for the NPC came to no end here: another worker may have one in its hands."""
    is_doubtful: bool = False
    """A write was given up without an answer: it may land yet, over newer ones."""

    def count_call(self, operation: str, status: str, seconds: float) -> None:  # noqa: ARG002
        """One request more; in the form a store tells its listeners."""
        self.calls += 1

    def wrote(self, label: str, conflicts: tuple[Conflict, ...], *, is_mended: bool = True) -> None:
        """One block more."""
        self.blocks[label] = None
        self.has_mended |= is_mended
        self.met(conflicts)

    def met(self, conflicts: tuple[Conflict, ...]) -> None:
        """Conflicts found, whether or not anything had to be written for them."""
        self.conflicts.update((conflict.path, conflict) for conflict in conflicts)


def outcome_of(command: UpdateCommand, effort: Effort) -> Outcome:
    """How a command ended that nothing stood in the way of."""
    if not effort.blocks:
        return Outcome.UNCHANGED
    is_repair = command.reason is Reason.VERIFY and effort.has_mended
    return Outcome.REPAIRED if is_repair else Outcome.APPLIED


def result(
    command: UpdateCommand,
    outcome: Outcome,
    effort: Effort,
    finished_at: float,
    error: str | None = None,
) -> UpdateResult:
    """What the world is told of a command. `finished_at`: seconds since the epoch."""
    return UpdateResult(
        command_id=command.command_id,
        npc_id=command.npc_id,
        reason=command.reason,
        outcome=outcome,
        blocks=tuple(sorted(effort.blocks)),
        conflicts=tuple(effort.conflicts.values()),
        calls=effort.calls,
        attempts=max(effort.attempts, 1),
        observed_at=command.observed_at,
        finished_at=finished_at,
        error=error,
    )
