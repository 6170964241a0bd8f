"""What must hold of every run: looked at while it goes on, and in the tables of a finished one."""

from sim.invariants.tables import check
from sim.invariants.watching import Invariants

__all__ = ["Invariants", "check"]
