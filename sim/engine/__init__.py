"""The clock answers a method's requests: a scenario made ready, and its simulation."""
