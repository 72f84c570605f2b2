"""What the site needs besides its pages: files of the repository that pages link to, and no network.

Pages link as the repository lies, so that they read as well where they are. Here a link that leaves docs/
leads to a page made of that file, or to a copy of it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
# Files of the repository, and where they are in the site.
PLACES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "checkpoints/sestina-base/README.md": "sestina-base.md",
    **{
        name: f"files/{name}"
        for name in (
            "CITATION.cff",
            "LICENSE",
            "NOTICE",
            "examples/javascript/index.html",
            "examples/javascript/sestina.js",
            "runtime/sestina/manifest.schema.json",
        )
    },
}
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
LOADED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?(https?:)?//|<link\b[^>]*\bhref=[\"']?(https?:)?//"
)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and copies."""
    for name, place in PLACES.items():
        if name != "README.md":
            files.append(File.generated(config, place, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links as the repository lies become links as the site lies."""
    site = page.file.src_uri
    source = next(
        (name for name, place in PLACES.items() if place == site and place != "index.md"), f"docs/{site}"
    )

    def moved(match: re.Match[str]) -> str:
        target = match[2]
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        name = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        there = name.removeprefix("docs/") if name.startswith("docs/") else PLACES.get(name)
        if there is None:
            raise PluginError(f"{source} links to {name}, which docs/hooks.py gives no place in the site")
        return match[1] + posixpath.relpath(there, posixpath.dirname(site) or ".") + match[3]

    return LINK.sub(moved, markdown)


def on_post_build(config: Any) -> None:
    """No page may load anything over a network."""
    for path in sorted(Path(config["site_dir"]).rglob("*.html")):
        if found := LOADED.search(path.read_text("utf-8")):
            raise PluginError(f"{path} loads something from elsewhere: {found[0]}")
