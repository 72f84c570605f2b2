"""A hub on this machine, made of the standard library: models as huggingface_hub asks for them, and what it asked.

As the real one it answers with the commit and an ETag, sends large files on to another path, serves them from any
byte on, and says in a header why it does not.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = ".safetensors"  # goes by way of a redirect


@dataclass
class Model:
    """One model at one commit."""

    files: dict[str, bytes]
    commit: str
    refs: tuple[str, ...] = ("main",)
    token: str | None = None  # needed to read it
    private: bool = False  # what is needed is not even said


@dataclass
class Hub:
    """What is served, and what was asked for."""

    models: dict[str, Model] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)  # an old id -> the new one
    asked: list[tuple[str, str, dict[str, str]]] = field(
        default_factory=list
    )  # method, path, headers in lower case
    breaks: int = 0  # how often a large file still ends after half of what was asked for
    status: int | None = None  # what everything is answered with
    endpoint: str = ""

    def add(self, model_id: str, folder: Path, **options: Any) -> Model:
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.models[model_id] = Model(files, commit, **options)
        return self.models[model_id]

    def fetched(self) -> list[str]:
        """The small files whose content was sent."""
        paths = [path for method, path, _ in self.asked if method == "GET" and not path.startswith("/api/")]
        return [path.rpartition("/resolve/")[2].partition("/")[2] for path in paths if "/resolve/" in path]

    def sent(self) -> list[dict[str, str]]:
        """The headers with which the content of large files was asked for."""
        return [headers for method, path, headers in self.asked if method == "GET" and "/large/" in path]


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that answers on loopback while the block runs."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            hub.asked.append(
                (
                    self.command,
                    unquote(self.path),
                    {name.lower(): value for name, value in self.headers.items()},
                )
            )
            _answer(hub, self)

        do_HEAD = do_GET  # noqa: N815  the name that http.server calls

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(hub: Hub, to: BaseHTTPRequestHandler) -> None:
    path = unquote(urlsplit(to.path).path)
    if hub.status is not None:
        return _send(to, hub.status)
    if path.startswith("/large/"):
        content = next(
            content
            for model in hub.models.values()
            for content in model.files.values()
            if hashlib.sha256(content).hexdigest() == path.removeprefix("/large/")
        )
        return _send_large(hub, to, content)
    api = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(revision|tree)/(.+)", path)
    file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
    found = api or file
    if found is None:
        return _send(to, 404)
    model_id = found[1]
    if model_id in hub.moved:
        return _send(to, 307, Location=to.path.replace(model_id, hub.moved[model_id]))
    model = hub.models.get(model_id)
    allowed = model is not None and model.token in (
        None,
        to.headers.get("Authorization", "").removeprefix("Bearer "),
    )
    if model is None or (not allowed and model.private):
        return _send(
            to, 401 if to.headers.get("Authorization") is None else 404, **{"X-Error-Code": "RepoNotFound"}
        )
    if not allowed and file is not None:
        return _send(to, 401, **{"X-Error-Code": "GatedRepo"})
    revision = found[3] if api else found[2]
    if revision not in (*model.refs, model.commit):
        return _send(to, 404, **{"X-Error-Code": "RevisionNotFound"})
    if api:
        return _send(to, 200, json.dumps(_listed(model_id, model, api[2])).encode())
    content = model.files.get(found[3])
    commit = {"X-Repo-Commit": model.commit}
    if content is None:
        return _send(to, 404, **commit, **{"X-Error-Code": "EntryNotFound"})
    if found[3].endswith(LARGE):
        digest = hashlib.sha256(content).hexdigest()
        linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        elsewhere = hub.endpoint.replace("127.0.0.1", "localhost")  # the real one's are on another host, too
        return _send(to, 302, Location=f"{elsewhere}/large/{digest}", **commit, **linked)
    return _send(to, 200, content, ETag=f'"{_oid(content)}"', **commit)


def _listed(model_id: str, model: Model, what: str) -> Any:
    if what == "revision":
        return {
            "id": model_id,
            "modelId": model_id,
            "sha": model.commit,
            "siblings": [{"rfilename": name} for name in model.files],
            "tags": [],
            "private": model.private,
            "downloads": 0,
            "likes": 0,
        }
    listed = []
    for name, content in model.files.items():
        entry = {"type": "file", "path": name, "size": len(content), "oid": _oid(content)}
        if name.endswith(LARGE):
            digest = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 100}
        listed.append(entry)
    return listed


def _oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def _send_large(hub: Hub, to: BaseHTTPRequestHandler, content: bytes) -> None:
    begin = re.fullmatch(r"bytes=(\d+)-", to.headers.get("Range", ""))
    start = int(begin[1]) if begin else 0
    more = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if begin else {}
    half = hub.breaks > 0 and to.command == "GET"
    _send(to, 206 if begin else 200, content[start:], half=half, ETag=f'"{_oid(content)}"', **more)
    if half:
        hub.breaks -= 1
        to.close_connection = True


def _send(
    to: BaseHTTPRequestHandler, status: int, content: bytes = b"", *, half: bool = False, **headers: str
) -> None:
    to.send_response(status)
    for name, value in headers.items():
        to.send_header(name, value)
    to.send_header("Content-Length", str(len(content)))
    to.end_headers()
    if to.command != "HEAD":
        to.wfile.write(content[: len(content) // 2] if half else content)
