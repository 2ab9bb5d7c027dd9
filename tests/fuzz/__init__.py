"""Hostile records, made from a seed: see `hostile` for what they are and `road` for their road."""
