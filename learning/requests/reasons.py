"""Why a payload or a message did not get through, or not all of what was asked for."""

from enum import StrEnum


class Reason(StrEnum):
    """What code compares; the words are those of the column ``detail`` of the events table."""

    NONE = ""
    """All of it is there. The one reason that is false."""

    # Transfers of a contact.
    NO_CONTACT = "no contact"
    """There was none when the transfer was asked for."""
    CONTACT_ENDED = "contact ended"
    DEVICES_AWAY = "devices away"
    """None of the devices that were asked for was there."""
    CORRUPTED = "corrupted in transit"
    """It was there as a whole, and is refused: its checksum is wrong."""
    QUORUM_REACHED = "quorum reached"
    """A chain did not wait for all, but for so many."""
    DEADLINE_REACHED = "deadline reached"
    """A chain did not wait for all, but for so long."""

    # Messages.
    AWAY = "away"
    """The source or the target was not there when it was sent."""
    NO_RELAY = "no relay"
    """No satellite takes messages from one cluster to another."""
    NOT_IN_CONTACT = "not in contact"
    NO_CONTACT_LEFT = "no contact left"
    CUT_BY_CONTACT = "cut off by the end of a contact"
    OUT_OF_RANGE = "out of range"
    """No sidelink reaches that far."""
    OUT_OF_SIGHT = "out of sight"
    """No window of a link between satellites is open, and the message is not to wait."""
    NO_WINDOW_LEFT = "no window left"
    CUT_BY_WINDOW = "cut off by the end of a window"
    NO_ROUTE = "no route before the end"
