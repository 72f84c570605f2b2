"""What a sparse head may be: logits of the whole vocabulary, of which each text has the highest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sestina_model._errors import ConfigError
from sestina_model.head_steps import is_count

if TYPE_CHECKING:
    from sestina_model.head_config import HeadConfig

__all__ = ["SATURATIONS", "check_sparse"]

SATURATIONS = (1, 2)  # how often log(1 + x) is taken


def check_sparse(head: HeadConfig) -> None:
    """Refuse what only sparse heads have in others, and what they have not in them.

    Raises:
        ConfigError: Naming the member.
    """
    if not head.sparse:
        if head.saturation != 0 or head.max_active is not None:
            raise ConfigError(f"the task {head.task} has neither saturation nor max_active")
        return
    if type(head.saturation) is not int or head.saturation not in SATURATIONS:
        raise ConfigError(f"saturation is {head.saturation!r:.60}; it must be 1 or 2")
    if head.max_active is not None and not is_count(head.max_active):
        raise ConfigError(
            f"max_active is {head.max_active!r:.60}; it must be a whole number of at least 1, or null"
        )
    pooled = (head.pooling, head.normalize, head.truncate_dim, head.include_prompt)
    last = head.steps[-1] if head.steps else None
    plain = last is not None and (last.kind, last.activation, last.residual) == ("dense", "Identity", False)
    if pooled != ("max", False, None, True) or not plain:
        raise ConfigError(
            "the task sparse has the pooling max, steps that end with a plain dense, all of prompts, and "
            "neither normalize nor truncate_dim"
        )
