"""What needs no cluster: settings, needs, seals, what is sent, who shared a node, what is told."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from thriftune.errors import InputError
from thriftune.study.crew.ray import connection, seal
from thriftune.study.crew.ray.mailbox import Began, Unsent
from thriftune.study.crew.ray.needs import PROCESS_BYTES, Needs, Node, needs_of, threads_of
from thriftune.study.crew.ray.parcel import Shared
from thriftune.study.crew.ray.settings import RaySettings, settings_of
from thriftune.study.crew.ray.sharing import Sharing
from thriftune.study.events import RunProgress

SMALL = Node("a", "small", 2, 0, 4 * 10**9)
LARGE = Node("b", "large", 64, 2, 256 * 10**9)


class TestSettings:
    def test_an_address_or_a_mapping(self) -> None:
        assert settings_of("local") == RaySettings("local")
        assert settings_of({"address": "auto", "threads": 3}) == RaySettings("auto", 3)

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            (" ", "names no cluster"),
            ("ray://head:10001", "from one of its nodes"),
            ({"threads": 2}, "no address"),
            ({"address": "auto", "thread": 2}, 'did you mean "threads"'),
            ({"address": "auto", "threads": 0}, "1 or more"),
            ({"address": "auto", "threads": "2"}, "give a number"),
            ({"address": "auto", "retries": -1}, "0 or more"),
            ({"address": "auto", "wait_seconds": float("nan")}, "0 or more"),
            ({"address": 3}, "names no cluster"),
        ],
    )
    def test_what_cannot_be(self, given: Any, said: str) -> None:
        with pytest.raises(InputError, match=said):
            settings_of(given)

    @pytest.mark.parametrize(
        ("address", "said"), [("127.0.0.1:1", "cannot be used"), ("cluster", "no address of a Ray")]
    )
    def test_nobody_listens(self, address: str, said: str) -> None:
        with pytest.raises(InputError, match=said):
            connection._check_reachable(RaySettings(address))

    def test_without_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "ray", None)
        with (
            pytest.raises(InputError, match=r"pip install 'thriftune\[ray\]'"),
            connection.connected(RaySettings("local")),
        ):
            pass


class TestNeeds:
    def test_memory_is_the_estimate_and_a_process(self) -> None:
        predicted = SimpleNamespace(peak_memory_bytes=3_000_000_000, memory=SimpleNamespace(weights=400_000_000))
        on_cpu = needs_of(SimpleNamespace(device="cpu", predicted=predicted), 4)  # type: ignore[arg-type]
        on_gpu = needs_of(SimpleNamespace(device="cuda", predicted=predicted), 4)  # type: ignore[arg-type]
        assert on_cpu.options == {"num_cpus": 4, "num_gpus": 0, "memory": PROCESS_BYTES + 3_000_000_000}
        assert on_gpu.options == {"num_cpus": 4, "num_gpus": 1, "memory": PROCESS_BYTES + 400_000_000}

    def test_what_is_not_known_is_not_asked_for(self) -> None:
        assert "memory" not in needs_of(SimpleNamespace(device="cpu", predicted=None), 1).options  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("needs", "fits"),
        [
            (Needs(2, 0, 0), True),
            (Needs(3, 0, 0), False),
            (Needs(1, 1, 0), False),
            (Needs(1, 0, 5 * 10**9), False),
        ],
    )
    def test_whether_a_node_can_hold_it(self, needs: Needs, fits: bool) -> None:
        assert (needs.refusal([SMALL]) is None) == fits
        assert needs.refusal([SMALL, LARGE]) is None
        assert "none that is alive" in str(needs.refusal([]))

    def test_threads(self) -> None:
        assert threads_of(3, "1", [SMALL], 4) == 3
        assert threads_of(None, "1", [SMALL], 4) == 1
        assert threads_of(None, "nonsense", [SMALL, LARGE], 4) == 2
        assert threads_of(None, None, [LARGE], 4) == 4
        assert threads_of(None, None, [Node("h", "head", 0, 0, 0)], 4) == 4


class TestSeal:
    def test_a_node_that_sees_the_folder(self, tmp_path: Path) -> None:
        assert seal.flaw(seal.sealed(tmp_path / "out" / ".work" / "ray")) is None

    def test_one_that_does_not(self, tmp_path: Path) -> None:
        made = seal.sealed(tmp_path / "out" / ".work" / "ray")
        assert "does not see" in str(seal.flaw(replace(made, path=str(tmp_path / "elsewhere"))))
        assert "another folder" in str(seal.flaw(replace(made, word="other")))

    @pytest.mark.parametrize("name", ["thriftune", "engine"])
    def test_another_version(self, tmp_path: Path, name: str) -> None:
        made = seal.sealed(tmp_path / "out" / ".work" / "ray")
        assert "the study 0.0.0" in str(seal.flaw(replace(made, versions=made.versions | {name: "0.0.0"})))

    def test_the_answer_of_a_node(self, tmp_path: Path) -> None:
        made = seal.sealed(tmp_path / "out" / ".work" / "ray")
        found = seal._look()(made.path, seal.SAME_NUMBERS)
        assert seal._verdict(found, made) is None
        unseen = seal._look()(str(tmp_path / "elsewhere"), seal.SAME_NUMBERS)
        assert f"does not see {tmp_path / 'out'} (No such file or directory)" in str(seal._verdict(unseen, made))
        assert "cannot be imported" in str(seal._verdict(found | {"failed": "ModuleNotFoundError: no"}, made))


class TestWhatIsSent:
    def test_a_hub_model_keeps_its_name(self, tmp_path: Path) -> None:
        model = tmp_path / "cache" / "models--o--n" / "snapshots" / "abc"
        model.mkdir(parents=True)
        (model / "config.json").write_text("{}")
        copy = Shared(tmp_path / "shared").model("o/n", model)
        assert copy is not None
        assert copy.parts[-3:] == ("models--o--n", "snapshots", "abc")
        assert (copy / "config.json").read_text() == "{}"
        assert Shared(tmp_path / "shared").model("o/n", model) == copy

    def test_a_folder_of_the_user_stays_where_it_is(self, tmp_path: Path) -> None:
        assert Shared(tmp_path / "shared").model("./mine", tmp_path) is None

    def test_code_that_a_study_names_by_its_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "own_methods_x.py").write_text("import own_helper_x\nclass Mine: pass\n")
        (tmp_path / "own_helper_x.py").write_text("")
        (tmp_path / "own_unused_x.py").write_text("")
        monkeypatch.syspath_prepend(str(tmp_path))
        cls = importlib.import_module("own_methods_x").Mine
        target = Shared(tmp_path / "shared").code(cls)
        assert target is not None
        assert {path.name for path in Path(target).iterdir()} == {"own_methods_x.py", "own_helper_x.py"}
        for name in ("own_methods_x", "own_helper_x"):
            del sys.modules[name]

    def test_what_is_installed_is_not_sent(self, tmp_path: Path) -> None:
        assert Shared(tmp_path).code(RaySettings) is None
        assert Shared(tmp_path).code(Path) is None
        assert not list(tmp_path.iterdir())


class TestSharing:
    def test_the_most_at_once(self) -> None:
        sharing = Sharing()
        for task, at in ((0, 0.0), (1, 1.0), (2, 5.0)):
            sharing.began(task, Began("n", "n", at))
        assert sharing.ended(1, 4.0) == 1
        assert sharing.ended(0, 10.0) == 1
        assert sharing.ended(2, 11.0) == 1

    def test_what_is_told_late(self) -> None:
        sharing = Sharing()
        sharing.began(0, Began("n", "n", 0.0))
        sharing.began(1, Began("n", "n", 3.0))
        assert sharing.ended(0, 2.0) == 0, "it had ended before the other began"
        assert sharing.ended(1, 9.0) == 0

    def test_other_nodes_and_earlier_starts_do_not_count(self) -> None:
        sharing = Sharing()
        sharing.began(0, Began("n", "n", 0.0))
        sharing.began(1, Began("m", "m", 0.0))
        sharing.began(0, Began("m", "m", 5.0))
        assert sharing.ended(1, 4.0) == 0
        assert sharing.ended(0, 9.0) == 0
        assert sharing.ended(7, 9.0) == 0


def test_of_each_epoch_the_last_word_is_told() -> None:
    unsent = Unsent()
    words = [RunProgress("r", "training", epoch=epoch, step=step) for epoch, step in ((1, 1), (1, 2), (2, 3))]
    for word in words:
        unsent.add(word)
    assert unsent.taken() == words[1:]
    assert unsent.taken() == []
