"""Distillation: a sentence encoder of the base preset learns the vectors of a pretrained teacher.

`python -m sestina_model.distillation CONFIG.json --out RUN_DIR`, and the same again after any kill.
"""

from sestina_model.distillation.config import DistillationConfig, Phase
from sestina_model.distillation.run import distil

__all__ = ["DistillationConfig", "Phase", "distil"]
