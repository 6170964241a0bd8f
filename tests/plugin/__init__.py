"""A distribution that is not ours, installed beside leomix, and what leomix makes of it."""
