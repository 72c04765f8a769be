"""All checks are made, whatever one of them does, and none uses the network unasked."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from thriftune.doctor import examine as module
from thriftune.doctor.examine import CHECKS, examine
from thriftune.doctor.finding import Finding


def test_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every check has something to say of this machine, without the network."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    found = examine()
    subjects = {each.subject for each in found}
    assert subjects >= {"Python", "Thriftune", "Processors", "Memory", "GPU", "Compiled kernels", "Cache", "Demo model"}
    assert [each for each in found if each.state == "fails"] == []
    assert all(each.remedy for each in found if each.state == "fails")


def test_a_check_that_breaks_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[Finding]:
        yield Finding("One", "is fine")
        raise ImportError("libcuda.so.1: cannot open shared object file\nand more")

    def other() -> Iterator[Finding]:
        yield Finding("Two", "is fine")

    monkeypatch.setattr(module, "CHECKS", {"First": broken, "Second": other})
    found = examine()
    assert [(each.subject, each.state) for each in found] == [("One", "ok"), ("First", "fails"), ("Two", "ok")]
    assert "ImportError: libcuda.so.1: cannot open shared object file" in found[1].found
    assert "and more" not in found[1].found


def test_the_hub_is_asked_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def hub() -> Iterator[Finding]:
        asked.append(True)
        yield Finding("Hugging Face hub", "answers")

    monkeypatch.setattr(module, "CHECKS", {"Python": CHECKS["Python"]})
    monkeypatch.setattr(module, "ONLINE", {"Hugging Face hub": hub})
    assert len(examine()) == 1
    assert asked == []
    assert [each.subject for each in examine(online=True)] == ["Python", "Hugging Face hub"]
