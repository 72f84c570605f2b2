"""Distillation: a sentence encoder of the base preset learns the vectors of a pretrained teacher.

`python -m sestina_model.distillation RECIPE.json --out FOLDER`, and the same again after any kill.
"""

from sestina_model.distillation.config import DistillationConfig, Phase
from sestina_model.distillation.recipe import Recipe, Stage, follow
from sestina_model.distillation.run import distil

__all__ = ["DistillationConfig", "Phase", "Recipe", "Stage", "distil", "follow"]
