"""Faults and attacks against real servers and real files: `just drill`."""
