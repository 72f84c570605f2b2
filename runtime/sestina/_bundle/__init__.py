"""A bundle on disk: found, read and checked before anything in it is used."""
