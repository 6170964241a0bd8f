"""Mixture-of-experts models: plain torch modules, and Hugging Face models behind one interface."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
