"""What a provider would take of a bundle, without its device."""
