"""What the door to Ray is made of: a table of texts becomes one of vectors on a cluster."""
