"""Contacts as sessions, chains of transfers, bytes and their books, peers and relays."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
