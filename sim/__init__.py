"""The clock: runs a method over contacts and links, records traces, and shows them.

Importing this package is cheap; :func:`run` imports what a run needs.
"""

import os
import sys

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    # `python -m sim` looks for all modules in the current folder first, where files of somebody
    # else may lie. While Python looks for sim itself, that is how its arguments begin.
    home = os.path.dirname(os.path.dirname(__file__))
    sys.path[:1] = [entry for entry in sys.path[:1] if entry == home]

from typing import Any

from lazy_loader import attach_stub

from .analysis.notebook import Pages

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)


def _page(shown: Any) -> str:
    from .report.write import page_of

    return page_of(shown)


Pages.make = _page
