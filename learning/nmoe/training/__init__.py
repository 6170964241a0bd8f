"""Networked experts (NMoE): one extractor for all clients, one expert each, and their gates."""
