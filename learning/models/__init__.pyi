from .interface import MODELS as MODELS
from .interface import Maker as Maker
from .interface import MoEModel as MoEModel
from .moe import Expert as Expert
from .moe import Gate as Gate
from .moe import GatedExpert as GatedExpert
from .moe import MoELayer as MoELayer
from .moe import Residency as Residency
