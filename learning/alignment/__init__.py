"""Client-expert alignment: fitness scores, load of the experts, capacity of the clients."""
