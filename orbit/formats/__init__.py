"""Files of other tools: elements, windows, contact plans, places and horizons."""
