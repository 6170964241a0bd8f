"""Sweeps: many runs of one scenario with some of its keys varied, one folder per point."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
