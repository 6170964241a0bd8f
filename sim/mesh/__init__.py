"""Messages by store and forward, over links between satellites and passes.

``contacts`` are what they go over, ``search`` finds the earliest way, ``book`` keeps what is free,
``timetable`` has the links and passes of a plan, ``messages`` carries, ``links`` are those of
clients, ``sessions`` say when these can be used, and ``check`` follows each message.
"""
