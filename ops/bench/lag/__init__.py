"""Whether `rollcall lag` tells the truth: `rollcall bench lag`.

agreement  it and the broker's own tool, partition by partition; seconds against the truth (pure)
traffic    a publisher at a steady rate and a slower consumer group, both of which can be held
measuring  samples under load and at rest, and of a consumer that is stopped for a known time
command    the command, its tables and its JSON
"""
