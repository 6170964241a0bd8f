"""Where satellites are and who sees whom: elements, SGP4, contact windows, geometry, service.

Times are seconds since an aware UTC start; distances are km; angles are degrees. The names below
are loaded on first use, so that `import orbit` stays cheap.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
