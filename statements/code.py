"""What kind of thing is said: few kinds, which code compares; what exactly, the text says."""

from enum import StrEnum


class Code(StrEnum):
    """A closed list. A rule of a plug-in takes one of these, with a text of its own."""

    # Keys of a scenario.
    UNKNOWN_KEY = "unknown_key"
    WRONG_VALUE = "wrong_value"
    MISSING = "missing"
    UNUSED = "unused"
    CONFLICT = "conflict"
    UNSUPPORTED = "unsupported"
    """What a method, a kind of model or a way of links cannot do, or does not have."""
    NO_CONSENT = "no_consent"
    """What a file may not ask for by itself."""

    # Files.
    NO_FILE = "no_file"
    BROKEN_FILE = "broken_file"

    # Contacts: a scenario may be well-formed, and nothing gets through.
    NEVER_SEEN = "never_seen"
    NEVER_SERVED = "never_served"
    NEVER_REACHED = "never_reached"
    NEVER_LINKED = "never_linked"
    NEVER_CARRIED = "never_carried"

    # This machine.
    NO_MEMORY = "no_memory"

    # What no code compares.
    OTHER = "other"


NO_CONTACT = frozenset({Code.NEVER_SEEN, Code.NEVER_SERVED, Code.NEVER_REACHED, Code.NEVER_LINKED})
"""What says that somebody has no way to the server, or to whom the method needs."""
UNSERVABLE = NO_CONTACT | {Code.NEVER_CARRIED}
"""What says that a scenario is well-formed, and can never be served: a result of a sweep."""


class Severity(StrEnum):
    """How much it matters."""

    REFUSAL = "refusal"
    DOUBT = "doubt"
    NOTE = "note"
