from .costs import Architecture as Architecture
from .costs import architecture as architecture
from .kinds import input_spec as input_spec
from .shapes import ModelTensors as ModelTensors
