"""What tests share: small scenarios, hand-made contacts, and the only imports of inner modules."""
