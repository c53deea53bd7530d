"""Node.js with some packages from npm, for tests of what others run; skips where either cannot be had."""

import fcntl
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

_LEAST_VERSION = 20
_INSTALL_SECONDS = 80
_FLAGS = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--no-progress", "--no-update-notifier")


def node_with(packages: Mapping[str, str], config: pytest.Config) -> Path:
    """Return a folder in which Node.js finds these packages, by name and version; it is kept from run to run."""
    _require_node()
    content = json.dumps({"private": True, "dependencies": dict(packages)})
    folder = (
        config.cache.mkdir("npm-" + "-".join(sorted(packages)).replace("/", "-").replace("@", ""))
        if config.cache
        else None
    )
    if folder is None:
        pytest.skip("pytest keeps no cache, so npm's packages have no place")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests in other processes want the same
        if not _has(folder, content):
            (folder / "package.json").write_text(content)
            _install(folder)
            (folder / "installed.json").write_text(content)
    return folder


def _require_node() -> None:
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Node.js and npm are not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < _LEAST_VERSION:
        pytest.skip(f"Node.js is {version}, {_LEAST_VERSION} is needed")


def _has(folder: Path, content: str) -> bool:
    installed = folder / "installed.json"
    return installed.exists() and installed.read_text() == content


def _install(folder: Path) -> None:
    try:
        subprocess.run(
            ["npm", "install", *_FLAGS], cwd=folder, capture_output=True, check=True, timeout=_INSTALL_SECONDS
        )
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", None) or b""
        pytest.skip(f"npm cannot install the packages: {error} {said.decode()[-300:]}")
