"""Python's collector of cycles, for a process that keeps much and makes few cycles.

It looks through everything that is kept whenever that has grown by a quarter, and nothing runs
meanwhile. What a worker has read by the time it begins stays, so it need not be looked through.
"""

import gc

THRESHOLDS = (10_000, 10, 100)
"""New objects until the young are looked through, and how often that until older ones are."""


def spare_what_is_here() -> None:
    """Never look through what is there by now, and through the rest more seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
