"""The tokenizer of a Hugging Face folder, as the class that it names would set it up.

tokenizer.json is not the whole truth there: the classes of BERT and RoBERTa override parts of it from
tokenizer_config.json, and sentence-transformers may put lower-casing before it. Here all of that is
folded into the one tokenizer, which is then the whole truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, normalizers, pre_tokenizers

from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model._files import read_json_object, read_tokenizer

__all__ = ["read_folder_tokenizer"]

_CONFIG = "tokenizer_config.json"


def read_folder_tokenizer(
    folder: Path, default_class: str, *, lower_case: bool
) -> tuple[Tokenizer, int | None]:
    """The tokenizer, and the length limit in tokens that its configuration states, if any.

    Args:
        folder: Where tokenizer.json and tokenizer_config.json are.
        default_class: The tokenizer class where the configuration names none.
        lower_case: Whether sentence-transformers lower-cases texts first.

    Raises:
        CheckpointError: Where tokenizer.json is absent or cannot be read.
        UnsupportedCheckpointError: Where long texts lose their beginning.
    """
    if not (folder / "tokenizer.json").is_file():
        raise CheckpointError(
            f'{folder / "tokenizer.json"} is missing; make it: python -c "from transformers import '
            f'AutoTokenizer as T; T.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})"'
        )
    tokenizer = read_tokenizer(folder / "tokenizer.json")
    config = read_json_object(folder / _CONFIG, optional=True)
    if config.get("truncation_side", "right") != "right":
        raise UnsupportedCheckpointError(
            f"{folder / _CONFIG}: truncation_side {config['truncation_side']!r} is not supported; "
            f"only 'right' is"
        )
    _apply_class(tokenizer, str(config.get("tokenizer_class") or default_class), config)
    if lower_case:
        _lower_case(tokenizer)
    limit = config.get("model_max_length", config.get("max_len"))
    # "No limit" is written as the integer 1e30, at times as a float.
    return tokenizer, int(limit) if isinstance(limit, int | float) and 1 <= limit < 1e9 else None


def _apply_class(tokenizer: Tokenizer, name: str, config: Mapping[str, Any]) -> None:
    """What the tokenizer class overrides, with the defaults of its constructor."""
    name = name.removesuffix("Fast")
    normalizer, pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
    if name in ("BertTokenizer", "DistilBertTokenizer") and isinstance(
        normalizer, normalizers.BertNormalizer
    ):
        tokenizer.normalizer = normalizers.BertNormalizer(
            clean_text=normalizer.clean_text,
            handle_chinese_chars=config.get("tokenize_chinese_chars", True),
            strip_accents=config.get("strip_accents"),
            lowercase=config.get("do_lower_case", True),
        )
    if name == "RobertaTokenizer" and isinstance(pre_tokenizer, pre_tokenizers.ByteLevel):
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(
            add_prefix_space=config.get("add_prefix_space", False), use_regex=pre_tokenizer.use_regex
        )


def _lower_case(tokenizer: Tokenizer) -> None:
    normalizer = tokenizer.normalizer
    if normalizer is None:
        tokenizer.normalizer = normalizers.Lowercase()
        return
    steps = [normalizer]
    if isinstance(normalizer, normalizers.Sequence):
        steps = [normalizer[index] for index in range(len(normalizer))]
    if not any(isinstance(step, normalizers.Lowercase) for step in steps):
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *steps])
