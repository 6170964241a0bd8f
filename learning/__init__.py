"""What is trained: models and mixtures of experts, their data, and the federated methods.

Importing this package does not import torch; the functions that need it do.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
