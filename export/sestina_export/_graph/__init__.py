"""A graph as a file: what it takes and gives, rewritten, aligned, made small."""
