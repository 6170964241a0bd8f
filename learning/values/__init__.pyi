from .lazy import Handle as Handle
from .lazy import Operation as Operation
from .lazy import Values as Values
from .store import FolderStore as FolderStore
from .store import Tensors as Tensors
