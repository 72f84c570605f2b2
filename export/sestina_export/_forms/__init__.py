"""How the parts of an encoder are written into a graph, for each target and precision."""
