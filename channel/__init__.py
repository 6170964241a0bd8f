"""What a satellite link can carry: budget, atmosphere, fading, capacity and link curves.

Plain numpy functions and frozen dataclasses in SI units and decibels. Names load on first use.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
