"""Why a model cannot be fetched, in one line that says what to do about it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from sestina_export._errors import ExportError

__all__ = ["not_whole", "told"]

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}  # Windows has no quota of that name


@contextmanager
def told(model_id: str, revision: str | None) -> Iterator[None]:
    """Whatever huggingface_hub raises inside the block becomes one line.

    Args:
        model_id: What is fetched.
        revision: As it was asked for.

    Raises:
        ExportError: In the place of those.
    """
    try:
        yield
    except ExportError:
        raise
    except Exception as error:  # its own, those of whichever HTTP library it uses, and the system's
        raise ExportError(_why(error, model_id, revision)) from error


def _why(error: Exception, model_id: str, revision: str | None) -> str:
    from huggingface_hub import constants, errors

    endpoint, cache = constants.ENDPOINT, constants.HF_HUB_CACHE
    at = "" if revision is None else f" at {revision}"
    under = error.__cause__ or error.__context__ or error
    response = getattr(error, "response", None) or getattr(under, "response", None)
    match error:
        case errors.HFValidationError():
            return f"{model_id!r} is neither a folder nor a model id such as OWNER/NAME: {_first_line(error)}"
        case errors.GatedRepoError():
            return (
                f"{model_id} is gated: ask for access at {endpoint}/{model_id}, then set HF_TOKEN to a token "
                f"of that account (or run hf auth login)"
            )
        case errors.RevisionNotFoundError():
            return f"{model_id} has no revision {revision!r}; name a branch, a tag or a commit that it has"
        case errors.RepositoryNotFoundError():
            return (
                f"there is no folder {model_id!r}, and no such model at {endpoint}, or only for those with "
                f"access: check the name, or set HF_TOKEN to a token of an account that may read it"
            )
        case errors.LocalEntryNotFoundError() | errors.OfflineModeIsEnabled() if constants.HF_HUB_OFFLINE:
            return not_whole(model_id, revision)
        case errors.LocalEntryNotFoundError() | errors.HfHubHTTPError() if response is not None:
            return (
                f"{model_id}{at} cannot be fetched: {endpoint} answers {response.status_code} "
                f"{getattr(response, 'reason_phrase', '') or getattr(response, 'reason', '')}".rstrip()
                + ("; check HF_TOKEN" if response.status_code in (401, 403) else "; try again later")
            )
        case errors.LocalEntryNotFoundError():
            why = _first_line(under)
            return f"{model_id}{at} cannot be fetched from {endpoint} ({why}); check the connection"
        case OSError() if error.errno in _FULL:
            return f"{model_id} cannot be kept: no space left at {cache}; set HF_HOME to where there is some"
        case OSError(errno=int(), strerror=str()):
            return f"{model_id} cannot be kept at {cache}: {error.strerror}; set HF_HOME to where it can"
    return f"{model_id}{at} cannot be fetched from {endpoint} ({_first_line(error)}); try again"


def not_whole(model_id: str, revision: str | None) -> str:
    """Why a model cannot be read while nothing may be fetched."""
    from huggingface_hub import constants

    at = "" if revision is None else f" at {revision}"
    return (
        f"{model_id}{at} is not whole in the cache at {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE is set; "
        f"fetch it once without, or name a folder"
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]:.200}" if lines else type(error).__name__
