"""How many NPCs one Letta server carries: `rollcall bench carry` and `rollcall bench load`.

ages      what happened in the game, and how old it was when the memory knew (pure)
search    the largest number of NPCs that stays within a bound (pure)
load      a process of its own that sends a game in time, whatever becomes of it
trial     one game of one size through real workers, and its figures
command   the two commands
"""
