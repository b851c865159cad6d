"""A real Milvus server on this machine, of the package ``milvus``, which holds a standalone server with everything embedded.

python tests/support/milvus_server.py    # installs it: a download of 57 MB, 300 MB on disk; no environment is changed

It goes into ~/.cache/nafp/milvus-2.3.5, or into the folder that the environment variable NAFP_MILVUS_SERVER names; deleting
the folder uninstalls it. The server listens on all interfaces of this machine while it runs, and only one can run at a time,
since the port of its etcd is fixed.
"""

import importlib.util
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import ModuleType

from cluster import free_ports

VERSION = "2.3.5"
FOLDER = Path(os.environ.get("NAFP_MILVUS_SERVER", f"~/.cache/nafp/milvus-{VERSION}")).expanduser()
PROGRAM = FOLDER / "unpacked/bin/milvus"
ETCD_PORT = 2380  # port of the etcd inside, for its peers; Milvus has no setting for it
TOKEN = "root:Milvus"  # a new server's own


def missing() -> str:
    """What a test needs and this machine lacks, and how to get it; empty if it lacks nothing."""
    return "" if PROGRAM.exists() else "no Milvus server: python tests/support/milvus_server.py installs it (57 MB)"


def install() -> None:
    """Download the package and unpack the server's program and libraries. Raises CalledProcessError without a network."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        sys.exit(
            f"the package milvus has a server for Linux on x86-64, this is {platform.system()}, {platform.machine()}"
        )
    part = FOLDER.with_name(f"{FOLDER.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(part), f"milvus=={VERSION}"]
    subprocess.run(command, check=True)
    package(part)._initialize_data_files(str(part / "unpacked"))
    shutil.rmtree(FOLDER, ignore_errors=True)
    part.rename(FOLDER)


def package(folder: Path = FOLDER) -> ModuleType:
    """The module ``milvus`` in a folder, which writes the server's configuration; it needs the standard library alone."""
    spec = importlib.util.spec_from_file_location("milvus_server_package", folder / "milvus/__init__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class MilvusServer:
    """A server with its data below a folder: a context manager that leaves none running.

    ``authorization``: whether it asks for a token (TOKEN). ``start`` after ``stop`` or ``kill`` is a restart with the same
    data on the same port.
    """

    def __init__(self, folder: Path, authorization: bool = False):
        self.folder, self.authorization = folder.resolve(), authorization
        self.process: subprocess.Popen | None = None
        self.port, self.metrics_port = free_ports(2)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, seconds: float = 120) -> float:
        """Start it and wait until it says that it is healthy; gives the seconds that this took.

        Raises RuntimeError if it ends, is not healthy in time, or if another one runs.
        """
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", ETCD_PORT)) == 0:
                raise RuntimeError(f"port {ETCD_PORT} is taken, by another Milvus or etcd; one can run at a time")
        if not (self.folder / "configs/milvus.yaml").exists():
            config = package().MilvusServerConfig(data_dir=str(self.folder), proxy_port=self.port)
            config.set("authorization_enabled", self.authorization)
            config.resolve()  # ports that nobody uses for its other parts, and the file
        environment = os.environ | {
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(self.metrics_port),
            "MILVUS_RUN_DIR": str(self.folder / "run"),
            "LD_LIBRARY_PATH": str(PROGRAM.parent),
        }
        began = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "run", "standalone"],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while not self.healthy():
            if self.process.poll() is not None or time.monotonic() - began > seconds:
                self.kill()
                raise RuntimeError(f"Milvus did not start:\n{self.log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.1)
        return time.monotonic() - began

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/healthz", timeout=5) as answer:
                return b"OK" in answer.read()
        except OSError:
            return False

    def stop(self) -> None:
        """End it as the package's own command does: a second or two after the signal it is killed, since it waits for itself."""
        self.end(signal.SIGTERM, 2)

    def kill(self) -> None:
        """End it as a crash would."""
        self.end(signal.SIGKILL, 10)

    def end(self, number: int, seconds: float) -> None:
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def peak_memory(self) -> int:
        """The most bytes that it had in memory (VmHWM) since it was started."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])

    def stored_bytes(self) -> int:
        """Bytes of its files: rows, indexes, its log of writes and its catalogue."""
        return sum(path.stat().st_size for path in (self.folder / "data").rglob("*") if path.is_file())

    def __enter__(self) -> "MilvusServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


if __name__ == "__main__":
    install()
    print(f"{PROGRAM} is ready")
