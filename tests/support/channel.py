"""A conda channel in a folder, with what conda-forge would give the environments: Python, pip, and programs of this machine."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path


def write_package(channel: Path, record: dict, files: dict[str, bytes], prefix: str = "", commands: tuple = ()) -> None:
    """One package, ``{path in the environment: content}``.

    Args:
        record: Name, version, subdir, and whatever else index.json says.
        prefix: Folder that text files name, to be replaced by the environment's.
        commands: Entry points of a noarch package.
    """
    record = {"build": "0", "build_number": 0, "depends": [], "timestamp": 0, **record}
    paths = []
    for name, content in files.items():
        path = {"_path": name, "path_type": "hardlink", "size_in_bytes": len(content)}
        path["sha256"] = hashlib.sha256(content).hexdigest()
        if prefix and prefix.encode() in content and b"\0" not in content:
            path |= {"prefix_placeholder": prefix, "file_mode": "text"}
        paths.append(path)
    about = {"info/index.json": record, "info/paths.json": {"paths": paths, "paths_version": 1}}
    if commands:
        noarch = {"type": "python", "entry_points": commands}
        about["info/link.json"] = {"noarch": noarch, "package_metadata_version": 1}
    folder = channel / record["subdir"]
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{record['name']}-{record['version']}-{record['build']}.tar.bz2"
    with tarfile.open(folder / name, "w:bz2", compresslevel=1) as archive:
        for path, content in {**{path: json.dumps(about[path]).encode() for path in about}, **files}.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o755 if path.startswith("bin/") else 0o644
            archive.addfile(member, io.BytesIO(content))


def python_package(channel: Path, python: str) -> None:
    """A Python of this machine, without its packages and tests."""
    ask = "import platform, sys; print(sys.base_prefix, platform.python_version())"
    prefix, version = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.split()
    root, short = Path(prefix), ".".join(version.split(".")[:2])
    library = root / f"lib/python{short}"
    found = [path for path in library.rglob("*") if path.is_file()]
    left_out = {"__pycache__", "site-packages", "dist-packages", "test", "idlelib", "tkinter"}
    found = [path for path in found if not left_out & {*path.relative_to(library).parts}]
    found += [path for path in (root / "lib").glob(f"libpython{short}.so.*") if path.is_file()]
    files = {str(path.relative_to(root)): path.read_bytes() for path in found}
    program = (root / f"bin/python{short}").read_bytes()
    for name in ("python", "python3", f"python{short}"):
        files[f"bin/{name}"] = program
    # A program finds libpython beside itself; the name takes as many bytes as before, so that nothing else moves.
    here = f"{prefix}/lib\0".encode()
    beside = b"$ORIGIN/../lib".ljust(len(here), b"\0")
    for path, content in files.items():
        if content.startswith(b"\x7fELF"):
            files[path] = content.replace(here, beside)
    record = {"name": "python", "version": version, "subdir": "linux-64", "platform": "linux", "arch": "x86_64"}
    write_package(channel, record, files, prefix)


def pip_package(channel: Path, wheel: Path) -> None:
    """The wheel of pip as a noarch package."""
    name, version = wheel.name.split("-")[:2]
    with zipfile.ZipFile(wheel) as archive:
        files = {f"site-packages/{path}": archive.read(path) for path in archive.namelist() if path[-1] != "/"}
    record = {"name": name, "version": version, "subdir": "noarch", "noarch": "python", "depends": ["python >=3.9"]}
    write_package(channel, record, files, commands=("pip = pip._internal.cli.main:main",))


def program_package(channel: Path, name: str, version: str, program: str) -> None:
    """A program of this machine, that is started where it is installed."""
    start = f'#!/bin/sh\nexec {shutil.which(program)} "$@"\n'.encode()
    write_package(channel, {"name": name, "version": version, "subdir": "linux-64"}, {f"bin/{program}": start})


def write_index(channel: Path) -> None:
    """repodata.json of the channel's two folders."""
    for folder in (channel / "linux-64", channel / "noarch"):
        folder.mkdir(parents=True, exist_ok=True)
        packages = {}
        for path in folder.glob("*.tar.bz2"):
            with tarfile.open(path) as archive:
                record = json.load(archive.extractfile("info/index.json"))
            content = path.read_bytes()
            packages[path.name] = record | {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        repodata = {"info": {"subdir": folder.name}, "packages": packages, "packages.conda": {}, "repodata_version": 1}
        (folder / "repodata.json").write_text(json.dumps(repodata))
