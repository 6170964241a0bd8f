"""The shipped federated methods, one file each, and the options of each."""

from learning.methods import options
from learning.methods.nmoe.options import NetworkedOptions

OPTIONS: dict[str, type] = {
    "synchronous": options.NoOptions,
    "emsfl": options.EmsFlOptions,
    "emsfl-enhanced": options.EnhancedOptions,
    "fedavg": options.NoOptions,
    "fedbuff": options.FedBuffOptions,
    "aligned": options.AlignedOptions,
    "nmoe": NetworkedOptions,
}
"""What may stand under ``learning.options``, by method."""
