"""The JSON Schema of scenario files, as editors complete from it."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema


class ForEditors(GenerateJsonSchema):
    """pydantic's schema, less what an editor would show or insert in vain.

    A key is called as it is written, not `Min Elevation Deg`. The default of a section is all its
    keys, dozens of them, with their defaults, and an empty mapping says the same.
    """

    def get_title_from_name(self, name: str) -> str:
        """Return what a key is called."""
        return name

    def encode_default(self, dft: Any) -> Any:
        """Return a default as JSON; a section's is empty."""
        return {} if isinstance(dft, BaseModel) else super().encode_default(dft)
