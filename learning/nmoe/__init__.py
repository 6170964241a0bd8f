"""NMoE: a federated extractor, personal experts, gates behind them."""
