"""The pretrained families as data: how each names its configuration and its weights."""

from sestina_model.pretrained.families.family import Architecture, Family, Source
from sestina_model.pretrained.families.reading import FAMILIES, read_architecture

__all__ = ["FAMILIES", "Architecture", "Family", "Source", "read_architecture"]
