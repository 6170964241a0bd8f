"""Faults as a part of the model: what fails by chance, when, and what comes of it.

Everything is drawn from streams named by what it is for (a satellite, a device, a leg of a
cluster's chain), so that another satellite, cluster or kind of fault shifts nothing.
"""

from sim.faults.counts import FAULT_KINDS, INJECTED, fault_counts, fault_lines
from sim.faults.drawing import Before, Faults, faults_of, outages_of

__all__ = [
    "FAULT_KINDS",
    "INJECTED",
    "Before",
    "Faults",
    "fault_counts",
    "fault_lines",
    "faults_of",
    "outages_of",
]
