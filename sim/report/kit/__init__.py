"""A kit for papers: figures, tables, captions and references of runs over seeds."""

from sim.report.kit.write import points_missing, write_kit

__all__ = ["points_missing", "write_kit"]
