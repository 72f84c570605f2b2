"""A folder of shards: vectors in files of some thousand rows, by a run that goes on where it was killed."""
