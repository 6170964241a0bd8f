"""Reports: what runs and sweeps have shown, as one HTML page that opens offline."""

from sim.report.write import report

__all__ = ["report"]
