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
    WRONG_FILE = "wrong_file"
    """A file or folder that is there, and is none of the kind that is asked for, or not free."""
    NOT_RECORDED = "not_recorded"
    """What a run or a sweep does not have: it was not measured, or did not happen."""

    # Contacts: a scenario may be well-formed, and nothing gets through.
    NEVER_SEEN = "never_seen"
    NEVER_SERVED = "never_served"
    NEVER_REACHED = "never_reached"
    NEVER_LINKED = "never_linked"

    # Orbits and files: contacts are less certain than they look, or not all there.
    AMBIGUOUS = "ambiguous"
    """Satellites that share a name or a number."""
    FLOWN_ALTITUDE = "flown_altitude"
    """An altitude at which a satellite does not fly."""
    OLD_ELEMENTS = "old_elements"
    TIME_SCALE = "time_scale"
    """Leap seconds, and dates beyond the table of UT1."""
    LEFT_OUT = "left_out"
    """Parts of a file that are not used."""

    # Sessions and links that give less than they seem to.
    LONG_SESSION = "long_session"
    NARROW_BEAM = "narrow_beam"
    HIGH_EFFICIENCY = "high_efficiency"
    """A rate beyond what modems carry in a hertz."""
    WEAK_LINK = "weak_link"
    SPLIT_NETWORK = "split_network"
    LATE_ACQUISITION = "late_acquisition"

    # Training, and code of one's own.
    DEVICE_MEMORY = "device_memory"
    """Devices that do not hold what they are to train."""
    SLOW_TRAINING = "slow_training"
    MANY_ROUNDS = "many_rounds"
    DIVERGING = "diverging"
    OWN_CODE = "own_code"
    """Code of one's own that does what a run does not see, send or repeat."""
    NO_EXAMPLES = "no_examples"

    # Why a run failed.
    INVARIANT = "invariant"
    """It contradicts itself."""
    NO_ROOM = "no_room"
    """On a disk, or within a quota."""

    # What became of a run.
    LOST_REPLIES = "lost_replies"
    INCOMPLETE = "incomplete"
    """A round, or a program, that had not ended when the run was over."""

    # What limits the meaning of what was found.
    NOT_DRAWN = "not_drawn"
    """Nothing is drawn at random: every seed gives the same figures."""
    FEW_SEEDS = "few_seeds"
    TEST_SAMPLES = "test_samples"
    """Test samples choose something, so that their figures are better than those of new samples."""
    OTHER_LOSSES = "other_losses"
    """Runs that stand beside each other, and minimise different losses."""
    OTHER_VERSIONS = "other_versions"
    """Runs that stand beside each other, and were made with different programs."""

    # This machine.
    NO_MEMORY = "no_memory"
    NOT_CACHED = "not_cached"
    NOT_INSTALLED = "not_installed"
    UNREACHABLE = "unreachable"
    """A service on a network."""

    # What no code compares.
    OTHER = "other"


NO_CONTACT = frozenset({Code.NEVER_SEEN, Code.NEVER_SERVED, Code.NEVER_REACHED})
"""What says that somebody has no way to the server."""
UNSERVABLE = NO_CONTACT | {Code.NEVER_LINKED}
"""What says that a scenario is well-formed, and can never be served: a result of a sweep."""


class Severity(StrEnum):
    """How much it matters."""

    REFUSAL = "refusal"
    DOUBT = "doubt"
    """What may be wrong, or less than it looks: a warning."""
    NOTE = "note"
    """What is right as it is, and good to know."""
