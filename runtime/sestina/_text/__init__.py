"""Texts to token ids, under the bundle's contract."""
