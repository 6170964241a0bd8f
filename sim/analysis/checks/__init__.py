"""What a user should know of a run: one list of checks, and what held the run back.

A check is a predicate over the tables and the manifest of a run, a sentence, and overrides of the
scenario that may help: :mod:`sim.execution.trial` tries them. The checks are made once, when a run
ends, and stored in its manifest; all views of a run show these. Their codes are in :data:`CHECKS`.
"""

from sim.analysis.checks.check import Check, checks_in
from sim.analysis.checks.held_back import held_back
from sim.analysis.checks.listed import CHECKS, checks_of

__all__ = ["Check", "CHECKS", "checks_in", "checks_of", "held_back"]
