"""The wheel alone on every Python that is here, and with the lowest versions that it promises: `python run.py WHEEL`.

Each gets an environment of its own with what the wheel declares and the test runner, no PyTorch and no exporter, and runs
check_slim.py, the goldens of the embedded bundle and of a tiny one, and the quick tests of the runtime that need no
more. Bundles come from the development environment, which runs this. Pythons are those on PATH and pyenv's, one of each
version that the package names; a version that is not here is said so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
ENVIRONMENTS = ROOT / ".venv-versions"
SCRIPTS = "Scripts" if os.name == "nt" else "bin"
NAME = "Programming Language :: Python :: "


def promised(project: dict[str, Any]) -> list[str]:
    """The versions of Python that the package names, such as "3.11"."""
    return [name.removeprefix(NAME) for name in project["classifiers"] if re.search(r":: 3\.\d+$", name)]


def lowest(project: dict[str, Any]) -> list[str]:
    """A pin of each dependency to the least version that it may have."""
    return [f"{name}=={bound}" for name, bound in (each.split(">=") for each in project["dependencies"])]


def candidates(versions: list[str]) -> Iterator[str]:
    """Programs that may be Pythons of these versions."""
    yield sys.executable
    for version in versions:
        if found := shutil.which(f"python{version}"):
            yield found
    if pyenv := shutil.which("pyenv"):
        root = Path(
            subprocess.run([pyenv, "root"], capture_output=True, text=True, check=True).stdout.strip()
        )
        yield from map(str, sorted(root.glob(f"versions/*/{SCRIPTS}/python")))


def found(versions: list[str]) -> dict[str, str]:
    """A program for each of the versions that is here: the first that says it is one."""
    code = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    programs: dict[str, str] = {}
    for program in candidates(versions):
        done = subprocess.run([program, "-c", code], capture_output=True, text=True, check=False)
        if not done.returncode and (version := done.stdout.strip()) in versions:
            programs.setdefault(version, program)
    return {version: programs[version] for version in versions if version in programs}


def tried(name: str, program: str, packages: list[str], tiny: Path) -> tuple[str, bool, str]:
    """One environment made and used: its name, whether all went well, and what there is to say.

    `tiny` is the bundle to try, beside which those lie that tests have made.
    """
    place = ENVIRONMENTS / name
    python = str(place / SCRIPTS / "python")
    environment = {
        **{key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        "SESTINA_TESTS_MADE": str(tiny.parent),
    }
    begun = time.monotonic()
    said = []
    for command in (
        [program, "-m", "venv", "--clear", str(place)],
        [python, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", *packages],
        [python, "-IB", str(TESTS / "runtime" / "check_slim.py"), str(tiny)],
        [python, "-I", "-m", "sestina", "verify"],
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", str(TESTS / "runtime")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
        if done.returncode:
            return name, False, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
        said.append(done.stdout.strip().splitlines()[-1:])
    return name, True, f"{said[-1][0]}; {time.monotonic() - begun:.0f} s"


def main() -> int:
    (wheel,) = sys.argv[1:]
    document = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    project = document["project"]
    runner = [each for each in document["dependency-groups"]["test"] if isinstance(each, str)]
    sys.path.insert(0, str(TESTS))
    import _made

    tiny = _made.kept_bundle()
    versions = promised(project)
    programs = found(versions)
    first, program = next(iter(programs.items()))
    jobs = {f"python{version}": (each, [wheel, *runner]) for version, each in programs.items()}
    jobs["lowest"] = (program, [wheel, *lowest(project), *runner])
    print("lowest:", *lowest(project), f"on Python {first}")
    for version in versions:
        if version not in programs:
            print(f"python{version}: NOT TESTED, there is none on PATH and none of pyenv's")
    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(tried, name, *job, tiny) for name, job in jobs.items()]
        results = [each.result() for each in done]
    for name, passed, said in results:
        print(f"{name}: {'passed' if passed else 'FAILED'}: {said}")
    return 0 if all(passed for _, passed, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
