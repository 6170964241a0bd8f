"""A kit for papers: figures, tables and captions of runs over seeds."""

from sim.report.kit.write import write_kit

__all__ = ["write_kit"]
