"""A local server that behaves as Kaggle's API and its storage do when Kaggle's own package calls them, faults included."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import google_crc32c

USER, KEY, TOKEN = "reader", "0123456789abcdef", "KGAT_secret"
HANDLE = "mimbres/neural-audio-fingerprint"
API = "/v1/datasets.DatasetApiService/DownloadDataset"
INTROSPECT = "/v1/security.OAuthService/IntrospectToken"
# What a process runs at its start to ask the servers that $KAGGLE_SERVER and $DRIVE_SERVER name, instead of the real ones.
POINT = """
import os
if "DRIVE_SERVER" in os.environ:
    import gdown
    get = gdown.download
    gdown.download = lambda url, *a, **k: get(url.replace("https://drive.google.com", os.environ["DRIVE_SERVER"]), *a, **k)
if "KAGGLE_SERVER" in os.environ:
    from kagglesdk import kaggle_env
    kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.PROD] = os.environ["KAGGLE_SERVER"]
"""


@dataclass
class Remote:
    """What the server has, how it will fail (one entry an answer, then no more), and what it was asked."""

    content: bytes
    etag: str | None = '"1"'
    hashed: bytes | None = None  # what it states the hashes of; None: of the content
    hashes: tuple[str, ...] = ("crc32c", "md5")  # hashes that the server states
    api_faults: list[int] = field(default_factory=list)  # status codes
    faults: list[int | str] = field(default_factory=list)  # status codes, "cut:BYTES", "long:BYTES", ""
    asked: list[dict] = field(default_factory=list)
    served: int = 0  # bytes of content
    port: int = 0

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage(self) -> str:
        """Another host than the API's, as Google's storage is."""
        return f"http://localhost:{self.port}/storage/archive.zip?X-Goog-Signature=c0ffee"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def remote(self) -> Remote:
        return self.server.remote

    def note(self) -> None:
        names = ("Authorization", "Range", "If-Range")
        self.remote.asked.append({"path": self.path, **{name: self.headers.get(name) for name in names}})

    def answer(self, status: int, body: bytes = b"", headers: dict | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status: int) -> None:
        body = json.dumps({"code": status, "message": "Unauthenticated"}).encode()
        retry = {"Retry-After": "0"} if status == 429 else {}
        self.answer(status, body, {"Content-Type": "application/json", **retry})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
        self.note()
        if self.path == INTROSPECT:
            body = json.dumps({"active": request.get("token") == TOKEN, "username": USER}).encode()
            return self.answer(200, body, {"Content-Type": "application/json"})
        basic = base64.b64encode(f"{USER}:{KEY}".encode()).decode()
        if self.remote.api_faults:
            return self.refuse(self.remote.api_faults.pop(0))
        if self.headers.get("Authorization") not in (f"Basic {basic}", f"Bearer {TOKEN}"):
            return self.refuse(401)
        if f"{request['ownerSlug']}/{request['datasetSlug']}" != HANDLE:
            return self.refuse(404)
        self.answer(302, headers={"Location": self.remote.storage})

    def do_GET(self):
        self.note()
        remote, fault = self.remote, self.remote.faults.pop(0) if self.remote.faults else ""
        if isinstance(fault, int):
            return self.answer(fault, b"<html>no</html>", {"Retry-After": "0"} if fault == 429 else {})
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        partial = wanted and self.headers.get("If-Range") in (None, remote.etag)
        start = int(wanted[1]) if partial else 0
        body = remote.content[start:]
        hashed = remote.content if remote.hashed is None else remote.hashed
        digests = {"crc32c": google_crc32c.Checksum(hashed).digest(), "md5": hashlib.md5(hashed).digest()}
        stated = ", ".join(f"{name}={base64.b64encode(digests[name]).decode()}" for name in remote.hashes)
        headers = {"Accept-Ranges": "bytes", "x-goog-hash": stated}
        headers |= {"ETag": remote.etag} if remote.etag else {}
        if partial:
            headers["Content-Range"] = f"bytes {start}-{len(remote.content) - 1}/{len(remote.content)}"
        kind, _, number = fault.partition(":")
        headers["Content-Length"] = len(body) + (int(number) if kind == "long" else 0)
        self.send_response(206 if partial else 200)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        sent = body[: int(number)] if kind == "cut" else body
        remote.served += len(sent)
        self.wfile.write(sent)
        if kind in ("cut", "long"):
            self.wfile.flush()
            self.close_connection = True

    def log_message(self, *_):
        pass


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client that was killed, or that wanted the headers only


@contextmanager
def serving(remote: Remote) -> Iterator[Remote]:
    """Run the server in a thread."""
    with Quiet(("127.0.0.1", 0), Handler) as server:
        server.remote, remote.port = remote, server.server_port
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield remote
        server.shutdown()


def point_kaggle_at(address: str) -> None:
    """Make Kaggle's package call this address instead of its own."""
    from kagglesdk import kaggle_env

    kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.PROD] = address
