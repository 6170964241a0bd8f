"""The commands of `leomix`, a module each, or a group that belongs together."""
