"""Results named by content: computed when they are needed, stored, shared."""
