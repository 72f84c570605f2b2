"""What the prompts of a head may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sestina_model._errors import ConfigError

if TYPE_CHECKING:
    from sestina_model.head_config import HeadConfig

__all__ = ["check_prompts"]


def check_prompts(head: HeadConfig) -> None:
    """Refuse names and texts that are no valid Unicode, and a default that is none of them.

    Raises:
        ConfigError: Naming the value.
    """
    if not isinstance(head.prompts, Mapping):
        raise ConfigError(f"prompts is {head.prompts!r:.60}; it must map names to texts")
    for name, text in head.prompts.items():
        for value in (name, text):
            if not isinstance(value, str):
                raise ConfigError(f"prompts has {value!r:.60}; its names and texts must be strings")
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ConfigError(
                    f"prompts has {value!r:.60}, which has a lone surrogate; it must be valid Unicode"
                ) from None
    if head.default_prompt is not None and head.default_prompt not in head.prompts:
        known = ", ".join(map(repr, head.prompts)) or "none"
        raise ConfigError(
            f"default_prompt is {head.default_prompt!r:.60}; it must be null or the name of a prompt, "
            f"{known:.300}"
        )
