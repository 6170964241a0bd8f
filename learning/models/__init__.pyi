from .interface import MODELS as MODELS
from .moe import MoELayer as MoELayer
from .moe import Residency as Residency
