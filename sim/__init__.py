"""The clock: runs a method over contacts and links, records traces, and shows them.

Importing this package is cheap; :func:`run` imports what a run needs.
"""

from .process import beginning as beginning  # isort: skip (before all others)

from typing import Any

from lazy_loader import attach_stub

from .analysis.notebook import Pages

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)


def _page(shown: Any) -> str:
    from .page.write import page_of

    return page_of(shown)


Pages.make = _page
