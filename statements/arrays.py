"""Types of numpy's arrays, for every package; shapes stand where they are used.

They are here because this is the lowest package. Nothing else of it imports this module, or numpy.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
