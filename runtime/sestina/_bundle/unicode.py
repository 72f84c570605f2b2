"""Names and texts of a manifest: what of JSON's strings is no text."""

from __future__ import annotations


def is_unicode(texts: dict[str, str]) -> bool:
    """Whether names and texts have no lone surrogate."""
    try:
        "".join((*texts, *texts.values())).encode()
    except UnicodeEncodeError:
        return False
    return True
