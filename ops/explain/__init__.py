"""Why an NPC's memory is as it is, snapshot by snapshot: `rollcall explain`.

account   each snapshot with what became of it, and why (pure)
looking   how far back to look, and what has been told (pure)
reading   an NPC's records on the topics, and what the filter knows besides
view      for people, and as JSON
command   the command
"""
