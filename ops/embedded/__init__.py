"""Real Kafka and real Letta on this machine, installed from locked versions, without Docker.

`ensure_kafka` and `ensure_letta` install what is missing, start it, wait until it answers and hand
back a server that can be stopped. Each is safe to call again, and from several processes at once.
"""

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
