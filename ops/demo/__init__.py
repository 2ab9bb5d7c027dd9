"""The whole system on one machine, with a simulated game, proven at its end."""
