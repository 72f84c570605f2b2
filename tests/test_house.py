"""The house rules that no linter knows: who may import whom, what is public, how large a room may be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sestina

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "sestina": ROOT / "runtime" / "sestina",
    "sestina_model": ROOT / "model" / "sestina_model",
    "sestina_export": ROOT / "export" / "sestina_export",
}
MAY_IMPORT = {
    "sestina": {"numpy", "onnxruntime", "tokenizers", "tqdm", "sestina"},
    "sestina_model": {"numpy", "torch", "safetensors", "tokenizers", "tqdm", "sestina_model"},
    "sestina_export": {
        "numpy", "torch", "onnx", "onnxruntime", "onnxscript", "onnx_ir", "safetensors", "tokenizers",
        "sestina", "sestina_model", "sestina_export",
    },
}  # fmt: skip
# Commands that hand over to a part with an extra, inside the function that needs it.
HAND_OVER = {
    ("sestina_export", "_reference.py"): {"transformers"},
    ("sestina", "_cli/export.py"): {"sestina_export", "sestina_model"},
    ("sestina", "__main__.py"): {"sestina_model"},
    ("sestina", "_bench/_ctranslate2.py"): {"ctranslate2"},
    ("sestina", "_bench/_fastembed.py"): {"fastembed"},
    ("sestina", "_bench/_on_device.py"): {"torch"},
    ("sestina", "_bench/_openvino.py"): {"nncf", "openvino"},
    ("sestina", "_bench/_plain_onnx.py"): {"torch", "transformers"},
    ("sestina", "_bench/_roofline.py"): {"onnx"},
    ("sestina", "_bench/_sentence_transformers.py"): {"sentence_transformers", "torch"},
    ("sestina", "_bench/_torch.py"): {"torch", "sestina_model"},
}
MODULES = [(package, path) for package, root in PACKAGES.items() for path in sorted(root.rglob("*.py"))]


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide who imports whom"
            yield (node.module or "").partition(".")[0]


def test_the_source_tree_is_found() -> None:
    assert len(MODULES) > 30


@pytest.mark.parametrize("package, path", MODULES, ids=lambda value: getattr(value, "stem", value))
def test_dependencies_run_one_way(package: str, path: Path) -> None:
    found = set(imported(ast.parse(path.read_text())))
    allowed = MAY_IMPORT[package] | set(sys.stdlib_module_names)
    allowed |= HAND_OVER.get((package, path.relative_to(PACKAGES[package]).as_posix()), set())
    assert found <= allowed


@pytest.mark.parametrize("package, path", MODULES, ids=lambda value: getattr(value, "stem", value))
def test_rooms_are_small_and_say_what_they_are_for(package: str, path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 260
    assert ast.get_docstring(ast.parse(text))


def test_public_names() -> None:
    assert sestina.__all__ == sorted(sestina.__all__)
    for name in sestina.__all__:
        assert getattr(sestina, name).__doc__
    public = {name for name in dir(sestina) if not name.startswith("_")}
    modules = {name for name in public if isinstance(getattr(sestina, name), type(sys))}
    assert public - modules - {"TYPE_CHECKING"} == set(sestina.__all__)
    assert not [name for name in modules if name not in sys.stdlib_module_names]


def test_every_error_has_the_one_root_and_a_builtin() -> None:
    leaves = [
        value
        for name in sestina.__all__
        if isinstance(value := getattr(sestina, name), type) and issubclass(value, Exception)
    ]
    for leaf in leaves:
        if leaf in (sestina.SestinaError, sestina.BundleError) or issubclass(leaf, Warning):
            continue
        assert issubclass(leaf, sestina.SestinaError)
        own = {sestina.SestinaError, sestina.BundleError, Exception, BaseException, object, leaf}
        assert [base for base in leaf.__mro__ if base not in own], f"{leaf} specialises no builtin"


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_typed(package: str) -> None:
    assert (PACKAGES[package] / "py.typed").is_file()


def test_runtime_imports_none_of_the_heavy_ones() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'transformers', 'huggingface_hub', 'sestina_model', 'sestina_export'):\n"
        "    sys.modules[name] = None\n"
        "import pkgutil, importlib, sestina\n"
        "for module in pkgutil.walk_packages(sestina.__path__, 'sestina.'):\n"
        "    importlib.import_module(module.name)\n"
        "print('imported')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "imported\n"


def test_version_is_stated_once_and_in_the_changelog() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", sestina.__version__)
    assert f"## {sestina.__version__}" in (ROOT / "CHANGELOG.md").read_text()
