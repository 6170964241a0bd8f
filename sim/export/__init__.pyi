from .formats import export as export
from .tensorboard_file import TensorBoard as TensorBoard
