"""What a run or a sweep has left, in formats that other tools read: `leomix export`."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
