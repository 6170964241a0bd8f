"""Forks: one run up to some time, and another future from there."""

from sim.forking.forking import fork

__all__ = ["fork"]
