"""What docs/decisions/0003 says of Faust. One that does better makes these fail: think again."""

from typing import Any

import faust
from faust.stores.memory import Store
from faust.types import TP


async def test_a_rebalance_empties_the_memory_of_a_partition_held_as_a_standby() -> None:
    app = faust.App("facts", broker="kafka://127.0.0.1:1", store="memory://")
    table = app.GlobalTable("roster", partitions=1, key_type=bytes, value_type=bytes)
    store: Any = Store("memory://", app, table)
    store.data[b"npc-1"] = b"{}"
    store._key_partition[b"npc-1"] = 0

    await store.on_recovery_completed(set(), {TP("roster-changelog", 0)})

    assert {} == store.data
