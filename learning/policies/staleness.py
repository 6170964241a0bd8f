"""What an update is divided by for its staleness, in all asynchronous methods.

Xie et al., Asynchronous Federated Optimization (arXiv 1903.03934), section 5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

KINDS = ("constant", "polynomial", "hinge")


def staleness_divisor(
    kind: str, behind: ArrayLike, a: float = 0.5, b: float = 4.0
) -> NDArray[np.float64]:
    """Return 1 / s(x) (n,) for updates that are ``behind`` by x (n,) of the server's versions.

    ``constant``: s = 1; ``polynomial``: s = (1 + x)^-a; ``hinge``: s = 1 up to b, and then
    1 / (a (x - b) + 1). Raises ValueError for another kind.

    >>> staleness_divisor("polynomial", [0, 3, 8], a=0.5).tolist()
    [1.0, 2.0, 3.0]
    >>> staleness_divisor("hinge", [0, 4, 6], a=10, b=4).tolist()
    [1.0, 1.0, 21.0]
    """
    x = np.atleast_1d(np.asarray(behind, np.float64))
    match kind:
        case "constant":
            return np.ones_like(x)
        case "polynomial":
            divisor: NDArray[np.float64] = (1.0 + x) ** a
            return divisor
        case "hinge":
            return np.where(x > b, a * (x - b) + 1.0, 1.0)
    raise ValueError(f"no staleness function {kind!r}; known are {', '.join(KINDS)}")
