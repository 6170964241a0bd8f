"""What the links of a pass carry, and how devices share them."""
