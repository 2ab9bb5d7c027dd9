"""The whole road in virtual time, every choice drawn from one seed; see docs/simulation.md."""
