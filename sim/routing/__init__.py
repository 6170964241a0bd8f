"""The earliest way of a message over contacts, what is free of these, and what is booked.

It knows nodes, contacts and rates alone: nothing of satellites, clients or payloads.
"""
