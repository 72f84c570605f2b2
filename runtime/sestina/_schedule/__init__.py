"""Texts to vectors: cut into batches, run side by side, in order, within a memory budget."""
