"""Client-expert alignment: which experts each client takes, and the method that assigns them."""
