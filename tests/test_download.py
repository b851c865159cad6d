"""Downloads from a local server that behaves as real ones do, failures included."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nafp.data.download import fetch
from nafp.errors import UserError

DATA = b"some test ids" * 100


class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA[:50] if self.path == "/cut" else DATA)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_file_is_fetched_and_checked(server, tmp_path):
    fetch(f"{server}/ids", hashlib.sha256(DATA).hexdigest(), tmp_path / "deep/ids.npy")
    assert (tmp_path / "deep/ids.npy").read_bytes() == DATA


@pytest.mark.parametrize(
    "path, says",
    [
        ("/missing", "cannot be downloaded .Not Found.; download it elsewhere and name the file instead"),
        ("/cut", "cannot be downloaded"),
        ("/other", "is not the expected file .SHA-256 .*, expected 00"),
    ],
)
def test_failures_leave_nothing(server, tmp_path, path, says):
    with pytest.raises(UserError, match=says):
        fetch(server + path, "00", tmp_path / "ids.npy")
    assert not list(tmp_path.iterdir())


def test_no_server(tmp_path):
    with pytest.raises(UserError, match="cannot be downloaded .*Connection refused"):
        fetch("http://127.0.0.1:9/ids", "00", tmp_path / "ids.npy")
