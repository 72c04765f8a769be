"""The address, and how the service starts and ends as a process."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.cli.commands import run
from tests.use.many.stored import METHODS, store

from thriftune.errors import InputError
from thriftune.serve.server import is_loopback, listen, url_of
from thriftune.use.classifier import Classifier

COMMAND = [sys.executable, "-W", "ignore", "-c", "from thriftune.cli import main; main()", "serve"]


def test_addresses() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert url_of(first) == f"http://127.0.0.1:{port}"
        assert is_loopback(first)
        with pytest.raises(InputError, match=f"Port {port} of 127.0.0.1 is in use"):
            listen("127.0.0.1", port)
    with listen("0.0.0.0", 0) as everywhere:
        assert url_of(everywhere).startswith("http://127.0.0.1:")
        assert not is_loopback(everywhere)
    for host, port, said in (
        ("127.0.0.1", 70_000, "from 1 to 65535"),
        ("no.such.host.invalid", 0, "no address of this machine"),
        ("192.0.2.1", 0, "no address of this machine"),
    ):
        with pytest.raises(InputError, match=said):
            listen(host, port)


def test_the_command_loads_no_torch_before_its_caches_are_bounded() -> None:
    code = "import sys; import thriftune.cli.serve, thriftune.serve.server; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_command_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", dict(os.environ))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("serve", str(tmp_path), "--port", str(taken.getsockname()[1]))
    assert (done.exit_code, "is in use" in done.output) == (2, True)
    done = run("serve", str(tmp_path), "--port", "0")
    assert (done.exit_code, "holds no classifier" in done.output) == (2, True)
    done = run("serve", str(tmp_path), "--engine", "onx")
    assert (done.exit_code, 'The engine "onx" is not known' in done.output) == (2, True)
    done = run("serve", str(tmp_path), "--max-texts", "0")
    assert (done.exit_code, "--max-texts 0 is given" in done.output) == (2, True)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name))
    done = run("serve", str(tmp_path))
    assert done.exit_code == 2
    assert "needs uvicorn" in done.output
    assert "pip install 'thriftune[serve]'" in done.output


def started(folder: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen([*COMMAND, str(folder), "--port", "0", *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first, example = process.stdout.readline(), process.stdout.readline()
    found = re.search(r" at (http://127\.0\.0\.1:\d+) ", first)
    assert found is not None, first
    assert example.strip().startswith(f"curl {found[1]}/predict")
    return process, found[1]


def ask(url: str, texts: list[str]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{url}/predict", json.dumps({"texts": texts}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as found:
        answer: dict[str, Any] = json.loads(found.read())
        return answer


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_a_process_answers_and_ends(tmp_path: Path, number: int, code: int) -> None:
    model = store(tmp_path / "model", "bert", METHODS["first"], "own")
    process, url = started(model, "--threads", "1", "--engine", "own")
    answers: list[dict[str, Any]] = []
    try:
        assert len(ask(url, ["a", "b"])["predictions"]) == 2
        many = [f"{index} " * 20 for index in range(250)]
        asking = threading.Thread(target=lambda: answers.append(ask(url, many)))
        asking.start()
        while b"thriftune_active_requests 0.0" in urllib.request.urlopen(f"{url}/metrics", timeout=60).read():
            if answers:
                break
            time.sleep(0.001)
        process.send_signal(number)
        asking.join(60)
        assert process.wait(60) == code
    finally:
        process.kill()
        process.wait()
    assert len(answers[0]["predictions"]) == 250


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["auto", "onnx"])
def test_onnxruntime_beside_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    """As users get it, the graph made by a process of its own; signals end the service as without."""
    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "cache"))
    path = store(tmp_path / "model", "bert", METHODS["first"], "own")
    for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
        process, url = started(path, "--threads", "1", "--engine", engine)
        try:
            expected = Classifier.load(path).predict(["a", "b"])
            assert [row["label"] for row in ask(url, ["a", "b"])["predictions"]] == expected
            page = urllib.request.urlopen(f"{url}/metrics", timeout=60).read().decode()
            process.send_signal(number)
            assert process.wait(60) == code
        finally:
            process.kill()
            process.wait()
        assert "thriftune_engine_texts_total" in page
        assert ('thriftune_engine_texts_total{engine="onnxruntime"} 2.0' in page) or engine == "auto"


@pytest.mark.slow
def test_a_killed_start_leaves_no_process_and_no_half_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "cache"))
    path = store(tmp_path / "model", "bert", METHODS["first"], "own")
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen([*COMMAND, str(path), "--port", "0"], stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            while "Making an ONNX graph" not in process.stderr.readline():
                assert process.poll() is None
            while not (maker := psutil.Process(process.pid).children()):
                time.sleep(0.01)
            process.send_signal(number)
            process.wait(60)
            assert not psutil.wait_procs(maker, timeout=20)[1]
        finally:
            process.kill()
            process.wait()
        assert not [each for each in (tmp_path / "cache" / "onnx").iterdir() if (each / "files.json").exists()]
    process, url = started(path)
    try:
        assert len(ask(url, ["a"])["predictions"]) == 1
    finally:
        process.terminate()
        assert process.wait(60) == 0


@pytest.mark.slow
def test_fifty_clients_for_five_seconds(tmp_path: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    from serve import load

    process, url = started(store(tmp_path / "model", "bert", METHODS["first"], "own"))
    try:
        found = load(url, [["a man plays a guitar"], ["two dogs", "a cat"]], clients=50, seconds=5)
    finally:
        process.terminate()
        assert process.wait(60) == 0
    assert found["errors"] == {}
    assert found["requests"] > 100
    assert found["p99_ms"] < 5_000
