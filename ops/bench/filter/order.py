"""What a contender's process is told, and what every contender of ours begins with."""

import sys

import msgspec

from topics.connection import KafkaConnection


class Order(msgspec.Struct, frozen=True):
    """Read `source`, write to `commands`. Full names of topics; the broker is the environment's."""

    source: str
    commands: str
    group: str
    folder: str
    """For what it keeps on disk; is there, and empty."""
    prefix: str
    """Of the topics with roster, locations and profiles."""
    records: int
    """On `source`."""
    warm_up: int
    """Of these, not timed."""

    def connection(self) -> KafkaConnection:
        """The broker, with the prefix of the reference topics."""
        return KafkaConnection.from_environment(topic_prefix=self.prefix)


def given() -> Order:
    """The order in the first argument of this process."""
    return msgspec.json.decode(sys.argv[1], type=Order)
