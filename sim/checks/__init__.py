"""What must hold of every run, looked at while it goes on."""

from sim.checks.invariants import Invariants

__all__ = ["Invariants"]
