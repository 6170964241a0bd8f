"""Reports: what runs and sweeps have shown, as one HTML page that opens offline."""

from sim.page.write import report

__all__ = ["report"]
