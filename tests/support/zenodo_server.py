"""A local server that behaves as Zenodo's API and its files do, faults included."""

import hashlib
import json
from contextlib import AbstractContextManager

from kaggle_server import Handler, Remote, serving

RECORD = 15719945


class Zenodo(Handler):
    """``/api/records/N`` describes the record, ``.../files/KEY/content`` is a file of it."""

    def do_GET(self):
        if self.path.endswith("/content"):
            return super().do_GET()
        self.note()
        if self.remote.api_faults:
            return self.answer(self.remote.api_faults.pop(0), b"<html>upstream</html>")
        if self.path != f"/api/records/{RECORD}":
            return self.answer(404, b'{"status": 404, "message": "PID does not exist."}')
        checksum = f"md5:{hashlib.md5(self.remote.content).hexdigest()}"
        link = f"{self.remote.api}/api/records/{RECORD}/files/model.zip/content"
        files = [
            {"key": "other.zip", "size": 3, "checksum": "md5:" + "0" * 32, "links": {"self": "http://127.0.0.1:9/"}},
            {"key": "model.zip", "size": len(self.remote.content), "checksum": checksum, "links": {"self": link}},
        ]
        self.answer(200, json.dumps({"id": RECORD, "files": files}).encode(), {"Content-Type": "application/json"})


def zenodo(content: bytes, **faults) -> AbstractContextManager[Remote]:
    """A server whose record holds one file with this content, beside another one."""
    return serving(Remote(content, hashes=(), **faults), Zenodo)
