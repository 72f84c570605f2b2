"""How one text became its vector: as numbers, and as a page to walk through."""
