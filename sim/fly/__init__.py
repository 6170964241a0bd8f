"""Other people's training on the simulated clock: plain functions of a file of the user's."""
