"""Which satellites links join, one after the other."""

import numpy as np

from statements.arrays import Ints


def joined_parts(nodes: int, a: Ints, b: Ints) -> Ints:
    """Return a number from 0 on for each node (N,), the same for those that links (L,) join."""
    # Commands that search no links start without scipy.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(a)), (a, b)), shape=(nodes, nodes))
    _, part = connected_components(links, directed=False)
    numbers: Ints = part
    return numbers
