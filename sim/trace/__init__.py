"""Tables: recorded while a run goes on, sorted, stored and digested."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
