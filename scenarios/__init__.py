"""What a user writes: scenario files in YAML, their schema, and the scenarios that are shipped.

Nothing heavy is imported until it is asked for: `import scenarios` loads neither pydantic nor yaml.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
