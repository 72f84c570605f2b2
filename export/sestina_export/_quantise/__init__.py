"""From float32 to eight bits: calibrated, rounded, and written into a graph."""
