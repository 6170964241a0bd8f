from .handle import Handle as Handle
from .lazy import Values as Values
from .operation import Operation as Operation
from .operation import operation as operation
from .store import FolderStore as FolderStore
from .store import Tensors as Tensors
