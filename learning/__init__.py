"""What is trained: mixtures of experts, their data, and the federated methods over the seam.

Importing this package does not import torch; the functions that need it do.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
