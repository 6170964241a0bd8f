"""Federated data as numpy arrays: which samples each device, the server and the test hold."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
