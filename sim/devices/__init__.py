"""Clusters of devices: where they are, how fast they compute, what fails by chance."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
