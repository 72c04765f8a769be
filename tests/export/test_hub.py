"""--push against a stand-in for the hub on loopback: what is created and uploaded, and what refusals say."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from thriftune.errors import InputError
from thriftune.export import hub


@dataclass
class Standin:
    """What the stand-in was asked."""

    address: str = ""
    status: int = 200
    created: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Standin]:
    state = Standin()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def answer(self, data: Any, status: int = 200) -> None:
            sent = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def do_GET(self) -> None:
            self.answer({"id": "me/reviews", "sha": "0" * 40, "siblings": []})

        def do_POST(self) -> None:
            body = self.body()
            state.tokens.add(self.headers.get("Authorization", ""))
            if state.status != 200:
                self.answer({"error": "no"}, state.status)
            elif self.path == "/api/repos/create":
                state.created.append(json.loads(body))
                self.answer({"url": f"{state.address}/me/reviews", "id": "me/reviews", "name": "me/reviews"})
            elif "/preupload/" in self.path:
                names = [each["path"] for each in json.loads(body)["files"]]
                self.answer({"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]})
            elif "/commit/" in self.path:
                for line in body.splitlines():
                    value = json.loads(line)
                    if value["key"] == "file":
                        state.files[value["value"]["path"]] = base64.b64decode(value["value"]["content"])
                url = f"{state.address}/me/reviews/commit/{'0' * 40}"
                self.answer({"success": True, "commitUrl": url, "commitOid": "0" * 40, "hookOutput": ""})
            else:  # metadata of a card
                self.answer({"errors": [], "warnings": []})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    aim(monkeypatch, state.address)
    yield state
    server.shutdown()
    server.server_close()


def aim(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """As HF_ENDPOINT does, which huggingface_hub reads when it is imported."""
    import huggingface_hub.constants
    import huggingface_hub.hf_api

    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_standin")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text("---\ntags:\n- thriftune\n---\n# A card\n", encoding="utf-8")
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    return tmp_path


def test_what_is_uploaded(standin: Standin, folder: Path) -> None:
    assert hub.push(folder, "me/reviews") == f"{standin.address}/me/reviews"
    assert standin.created[0]["visibility"] == "private"
    assert (standin.created[0]["name"], standin.created[0]["organization"]) == ("reviews", "me")
    assert standin.files == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert standin.tokens == {"Bearer hf_standin"}
    hub.push(folder, "me/reviews", public=True)
    assert standin.created[1].get("visibility") != "private"


@pytest.mark.parametrize(("status", "remedy"), [(401, "hf auth login"), (403, "hf auth login"), (400, "hf upload")])
def test_refusals(standin: Standin, folder: Path, status: int, remedy: str) -> None:
    standin.status = status
    with pytest.raises(InputError, match=f"is kept.*{remedy}"):
        hub.push(folder, "me/reviews")
    assert not standin.files


def test_no_connection(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aim(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(InputError, match="is kept"):
        hub.push(folder, "me/reviews")


def test_no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(InputError, match="needs a token"):
        hub.check_token()


@pytest.mark.parametrize("name", ["reviews", "a/b/c", "me/re views", "", "me/--x", "../x"])
def test_names(name: str) -> None:
    with pytest.raises(InputError, match="Give OWNER/NAME"):
        hub.check_name(name)
