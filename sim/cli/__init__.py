"""The command line: what can be typed, and how errors and progress are shown."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
