"""`rollcall layout`: where NPCs keep their notes, and moving them from one layout to the other."""
