"""Who sees whom and who is served when: the contact plan of a scenario."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
