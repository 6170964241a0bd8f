"""Results named by content: computed when they are needed, stored, shared."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
