"""The writer: one command in, one Letta agent's memory blocks as the game sees them out.

The pure modules come first: what a memory shall hold (document, merge, members, group, status,
budget, stamp), and whose turn it is (priority, queue, flaps, confirmed, limit, breaker). Then the
one door to Letta (store, letta, shared_reads), then those that act (reconcile, agent_search, gate,
results, loop). `agent` wires them to Kafka.
"""
