"""`rollcall bench filter-scale`: a filter with very many NPCs, measured from outside.

    growth      resident memory, stretch by stretch, over a filter on empty topics
    restart     seconds from the start of a worker to its decisions, after `kill -9` and SIGTERM
    rebalance   how long each partition's commands pause while workers come, leave and die

`phases` and `pauses` are pure; `bed` has the topics and the workers that all three share.
"""
