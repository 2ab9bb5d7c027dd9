"""The writer: one command in, one Letta agent's memory blocks as the game sees them out.

The pure modules come first (document, merge, members, group, status, budget, stamp, queue), then
the one door to Letta (store, letta), then the two that act (reconcile, loop). `agent` wires them to
Kafka.
"""
