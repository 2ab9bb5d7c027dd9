"""The one way in which an embedded server fails: with a sentence a user can act on."""

import errno


class ServerError(Exception):
    """An embedded server could not be installed, started or stopped. The text is one sentence."""


DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_disk_full(error: OSError) -> bool:
    return error.errno in DISK_FULL
