"""Models to record bytes: the field names of the contract, JSON in UTF-8, text keys."""

import msgspec

from topics.models import Model

_encoder = msgspec.json.Encoder()


def encode(model: Model) -> bytes:
    """The record value of a model; `topics.decode` reads it back to an equal one."""
    return _encoder.encode(model)


def encode_key(identity: str) -> bytes:
    """The record key of an id, a slug or a world's id."""
    return identity.encode()
