"""Use a bundle as an application would, where nothing but the runtime's own needs exists.

Run as a script: check_slim.py BUNDLE. `test_slim.py` runs it with everything else hidden and blocked, and
continuous integration runs it in an environment that holds the installed wheel alone.
"""

from __future__ import annotations

import contextlib
import io
import sys
from importlib import metadata

# What must not be imported even where it is installed.
FORBIDDEN = (
    "torch",
    "onnx",
    "onnxscript",
    "transformers",
    "huggingface_hub",
    "safetensors",
    "sentence_transformers",
    "sestina_model",
    "sestina_export",
    "tqdm",
)
WRITES = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "shutil.", "tempfile.")


def block(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook: no socket, no file opened for writing, no change to the file system."""
    if event.startswith(("socket.", "urllib.", "http.", "ftplib.")):
        raise AssertionError(f"{event} {arguments}")
    if event.startswith(WRITES):
        raise AssertionError(f"{event} {arguments}")
    if event == "open" and isinstance(arguments[0], int):
        return  # a descriptor that is open already: standard output
    if event == "open" and isinstance(mode := arguments[1], str) and set(mode) & set("wax+"):
        raise AssertionError(f"opened for writing: {arguments}")


def main() -> None:
    bundle = sys.argv[1]
    for name in FORBIDDEN:
        sys.modules[name] = None  # type: ignore[assignment]
    sys.addaudithook(block)

    import sestina
    from sestina.__main__ import main as command

    with sestina.load(bundle) as encoder:
        assert encoder.verify().passed
        vectors = encoder.encode(["one text", "another text", ""])
        assert vectors.shape == (3, encoder.dimensions)
        assert next(encoder.stream(iter(["one text"]))).shape == (encoder.dimensions,)
        assert len(encoder.hidden_states("one text")) == 1
        assert encoder.similarity("one text", "one text")[0, 0] > 0.999
        assert encoder.explain("one text").attention.any()
        assert encoder.tokenize("one text").ids
        assert encoder.report().provider == "cpu"
    for arguments in (
        ["verify", bundle, "--json"],
        ["inspect", bundle],
        ["tokenize", bundle, "one text"],
        ["similar", bundle, "one text", "another text"],
        ["encode", bundle, "one text"],
        ["explain", bundle, "one text", "--output", "-"],
        ["explain", bundle, "one text", "--json"],
        ["providers", bundle],
    ):
        with contextlib.redirect_stdout(io.StringIO()) as output:
            code = command(arguments)
        assert code == 0, arguments
        assert output.getvalue(), arguments
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        assert command(["export", bundle, "nowhere.sestina"]) == 2
    assert 'pip install "sestina[export]"' in errors.getvalue(), errors.getvalue()
    assert not [name for name in FORBIDDEN if sys.modules.get(name) is not None]
    print("slim: ok, sestina", metadata.version("sestina"))


if __name__ == "__main__":
    main()
