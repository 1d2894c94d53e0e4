"""Layers as arrays for research: every frame with its time, its checksums, and O = B + R in integers."""
