"""Code of the user: where its modules are found, and what they consist of."""
