"""Added tokens of a tokenizer.json that could stand for one another."""

from __future__ import annotations

from typing import Any

from sestina._errors import BundleFormatError
from sestina._quote import quote


def check_added(tokenizer: Any) -> None:
    """Refuse added tokens that normalized text cannot tell apart ("CAFE" and "cafe" where all is lower case).

    The library takes whichever it happens to have first, which is another one every time it is loaded.

    Raises:
        BundleFormatError: Naming two.
    """
    normalizer, seen = tokenizer.normalizer, dict[str, str]()
    if normalizer is None:
        return
    added = tokenizer.get_added_tokens_decoder().values()
    for content in sorted(token.content for token in added if token.normalized):
        other = seen.setdefault(normalizer.normalize_str(content), content)
        if other != content:
            raise BundleFormatError(
                f"tokenizer.json has the added tokens {quote(other)} and {quote(content)}, which normalized "
                "text cannot tell apart, so that tokens are a matter of chance: remove one and export the "
                "bundle again"
            )
