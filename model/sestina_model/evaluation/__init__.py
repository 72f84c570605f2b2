"""How good an encoder's vectors are: pairs of texts, retrieval and classification, read from a folder.

`open_source` opens a checkpoint or a bundle as something that encodes, and `score` scores whatever does.
"""

from sestina_model.evaluation.scores import DEFAULT_TASKS, Score, TextEncoder, score
from sestina_model.evaluation.sources import BatchedCheckpoint, MissingPackageError, open_source

__all__ = [
    "DEFAULT_TASKS",
    "BatchedCheckpoint",
    "MissingPackageError",
    "Score",
    "TextEncoder",
    "open_source",
    "score",
]
