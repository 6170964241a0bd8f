"""A Flower app that learns digits; nothing in it knows of satellites."""
