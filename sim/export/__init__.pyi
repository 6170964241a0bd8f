from .formats import FORMATS as FORMATS
from .formats import export as export
from .tensorboard_file import TensorBoard as TensorBoard
