"""A kit for papers: figures, tables, captions and references of runs over seeds."""

from sim.report.kit.write import write_kit

__all__ = ["write_kit"]
