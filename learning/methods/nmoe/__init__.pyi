from .gates import GATE_TRAINERS as GATE_TRAINERS
from .gates import GateTrainer as GateTrainer
from .method import NMoE as NMoE
from .options import NetworkedOptions as NetworkedOptions
