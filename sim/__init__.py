"""The clock: runs a method over contacts and links, records traces, and shows them.

Importing this package is cheap; :func:`run` imports what a run needs.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
