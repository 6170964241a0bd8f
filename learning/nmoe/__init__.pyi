from .gates import GateTrainer as GateTrainer
