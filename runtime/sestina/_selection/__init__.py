"""A provider is proved before it is believed."""
