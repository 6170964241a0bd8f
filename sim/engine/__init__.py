"""The clock answers a method's requests: a scenario made ready, and its simulation."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
