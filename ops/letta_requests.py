"""Requests to Letta: how many the direct integration sends, and which are a fault. Pure."""

DIRECT_CALLS = 4
"""Requests of the direct integration for each snapshot: two reads and two writes, by label."""


def is_answer(status: str) -> bool:
    """Whether a `status` of the metrics is no fault.

    404 is an answer: that a block is not there yet is how a new NPC begins.
    """
    return status in ("ok", "404") or (status.isdecimal() and status.startswith("2"))
