from .curves import TensorBoard as TensorBoard
from .formats import export as export
