"""Who trains which expert: one problem, and policies that solve it, by name."""

from learning.policies.problem import InfeasibleAssignment, Policy, Problem
from learning.policies.register import POLICIES

__all__ = ["POLICIES", "InfeasibleAssignment", "Policy", "Problem"]
