"""What the tables of a run say: summary, comparison, critical path, as figures and as text."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
