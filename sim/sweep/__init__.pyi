from .best import Choice as Choice
from .comparison import compare as compare
from .folder import Sweep as Sweep
from .folder import read_sweep as read_sweep
from .running import sweep as sweep
