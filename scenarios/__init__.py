"""What a user writes: scenario files in YAML, their schema, and the scenarios that are shipped.

Nothing heavy is imported until it is asked for: `import scenarios` loads neither pydantic nor yaml.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scenarios.errors import ScenarioError
    from scenarios.files import shipped, shipped_path
    from scenarios.learning_files import local_path
    from scenarios.link_values import resolved_link
    from scenarios.loading import from_dict, from_stored, load, reader, schema
    from scenarios.named_files import element_file, places_file, windows_file
    from scenarios.overrides import set_key
    from scenarios.scenario import Scenario
    from scenarios.sidelink_values import resolved_sidelink

__all__ = [
    "Scenario",
    "ScenarioError",
    "element_file",
    "from_dict",
    "from_stored",
    "load",
    "local_path",
    "places_file",
    "reader",
    "resolved_link",
    "resolved_sidelink",
    "schema",
    "set_key",
    "shipped",
    "shipped_path",
    "windows_file",
]

_HOME_OF = {
    "Scenario": "scenario",
    "ScenarioError": "errors",
    "element_file": "named_files",
    "from_dict": "loading",
    "from_stored": "loading",
    "load": "loading",
    "local_path": "learning_files",
    "places_file": "named_files",
    "reader": "loading",
    "resolved_link": "link_values",
    "resolved_sidelink": "sidelink_values",
    "schema": "loading",
    "set_key": "overrides",
    "shipped": "files",
    "shipped_path": "files",
    "windows_file": "named_files",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module at its first use (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'scenarios' has no attribute {name!r}")
    return getattr(import_module(f"scenarios.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
