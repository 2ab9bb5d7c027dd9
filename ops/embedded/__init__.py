"""Real Kafka and real Letta on this machine, installed from locked versions, without Docker.

`ensure_kafka` and `ensure_letta` install what is missing, start it, wait until it answers and hand
back a server that can be stopped. Each is safe to call again, and from several processes at once.

What a name needs is imported with the name: most commands only want `ops.embedded.progress`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ops.embedded.errors import ServerError
    from ops.embedded.kafka import KafkaServer, ensure_kafka
    from ops.embedded.letta import LettaServer, ensure_letta
    from ops.embedded.ports import free_port
    from ops.embedded.progress import Progress

__all__ = [
    "KafkaServer",
    "LettaServer",
    "Progress",
    "ServerError",
    "ensure_kafka",
    "ensure_letta",
    "free_port",
]

_HOMES = {
    "KafkaServer": "kafka",
    "LettaServer": "letta",
    "Progress": "progress",
    "ServerError": "errors",
    "ensure_kafka": "kafka",
    "ensure_letta": "letta",
    "free_port": "ports",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
