"""`orbit:` - where contacts come from; each source has keys of its own."""

from scenarios.element_sources import OmmOrbit, TleOrbit
from scenarios.made_orbits import CircularOrbit, KeplerianOrbit, WalkerOrbit
from scenarios.window_sources import ContactsOrbit, SlotOrbit

Orbit = (
    TleOrbit | OmmOrbit | CircularOrbit | KeplerianOrbit | WalkerOrbit | ContactsOrbit | SlotOrbit
)
