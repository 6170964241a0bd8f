"""What a network carries: link budgets, the capacity of passes and its limits, payloads, studies.

All of it follows from a contact plan: nothing is simulated.
"""
