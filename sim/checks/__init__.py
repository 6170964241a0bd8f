"""What must hold of every run: looked at while it goes on, and in the tables of a finished one."""

from sim.checks.finished_tables import check
from sim.checks.invariants import Invariants

__all__ = ["Invariants", "check"]
