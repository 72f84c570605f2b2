"""What `sestina.integrations.ray` is made of: a table of texts becomes one of vectors on a Ray cluster."""
