"""Contacts as sessions, chains of transfers, bytes and their books, peers and relays."""
