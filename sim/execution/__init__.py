"""One run: its folder, resume, forks, cache, manifest and result."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
