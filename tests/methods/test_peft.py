"""PEFT types: plain PEFT's losses and a stored adapter that predicts the same, or one message before anything runs."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from peft import PeftType
from tests.methods.peft_reference import (
    ARCHITECTURES,
    PROTOCOL,
    RATE,
    SEED,
    applied,
    check,
    distance,
    reason_of,
    reload,
    settings_of,
)
from tests.tiny_data import LABELS, examples
from tests.tiny_models import FURTHER, KINDS, model_folder

from thriftune.engine.train import Task, fit
from thriftune.errors import InputError
from thriftune.methods import find
from thriftune.models.head import HeadSettings
from thriftune.models.pretrained.load import skeleton
from thriftune.models.trained.restore import restore
from thriftune.models.trained.save import save_classifier

ROOT = Path(__file__).parents[2]
TABLE: dict[str, dict[str, str]] = json.loads((ROOT / "docs" / "peft.json").read_text(encoding="utf-8"))
SAMPLE = [
    ("bert", "ADALORA"),
    ("bert", "PREFIX_TUNING"),
    ("bert", "PROMPT_TUNING"),
    ("bert", "SHIRA"),
    ("bert", "LN_TUNING"),
    ("distilbert", "P_TUNING"),
    ("electra", "PROMPT_TUNING"),
    ("modernbert", "LN_TUNING"),
    ("gpt2", "LORA"),
    ("gpt2", "ADALORA"),
    ("gpt2", "PREFIX_TUNING"),
    ("llama", "PREFIX_TUNING"),
    ("mpnet", "VERA"),
    ("albert", "LORA"),
    ("xlm", "LOHA"),
    ("bart", "LORA"),
    ("t5", "OFT"),
]


def method(name: str, **settings: Any) -> Any:
    return find("peft")(**find("peft").prepare({"type": name, **settings}))


def on_shapes(kind: str, name: str, head: str = "own", **settings: Any) -> Any:
    made = method(name, **settings)
    classifier = skeleton(
        model_folder(kind), LABELS, HeadSettings(type=head), device="cpu" if made.reads_weights else "meta"
    )
    made.apply(classifier, torch.Generator().manual_seed(0))
    return classifier


def test_the_table_names_every_type_of_the_installed_peft_and_every_family() -> None:
    assert set(TABLE) == {kind.value for kind in PeftType}
    assert all(set(row) == set(ARCHITECTURES) for row in TABLE.values())
    assert set(ARCHITECTURES) >= {*KINDS, *FURTHER}


@pytest.mark.parametrize(("kind", "name"), SAMPLE)
def test_a_type_is_plain_pefts_and_reloads(kind: str, name: str, tmp_path: Path) -> None:
    assert TABLE[name][kind] == "works"
    check(kind, name, settings_of(kind, name), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_table_is_true(kind: str) -> None:
    spec = importlib.util.spec_from_file_location("peft_table", ROOT / "tools" / "peft_table.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert {name: tool.outcome(kind, name) for name in TABLE} == {name: row[kind] for name, row in TABLE.items()}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("bert", "POLY"),
        ("bert", "MULTITASK_PROMPT_TUNING"),
        ("bert", "CPT"),
        ("bert", "XLORA"),
        ("bert", "SHADOW"),
        ("bert", "TRAINABLE_TOKENS"),
        ("gpt2", "PROMPT_TUNING"),
        ("gpt2", "SHIRA"),
        ("t5", "P_TUNING"),
        ("distilbert", "PREFIX_TUNING"),
    ],
)
def test_a_type_that_cannot_be_used_is_refused_on_shapes(kind: str, name: str) -> None:
    with pytest.raises(InputError) as caught:
        on_shapes(kind, name, **settings_of(kind, name))
    assert reason_of(caught.value) == TABLE[name][kind]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("LORA", {"init_lora_weights": "pissa"}, "changes the pretrained weights"),
        ("LORA", {"init_lora_weights": "pissa_niter_16"}, "changes the pretrained weights"),
        ("LORA", {"init_lora_weights": "olora"}, "changes the pretrained weights"),
        ("LORA", {"init_lora_weights": "eva"}, "sample texts"),
        ("LORA", {"layer_replication": [[0, 2], [1, 3]]}, "another network"),
        ("LORA", {"inference_mode": True}, "follows from the study"),
        ("LORA", {"task_type": "CAUSAL_LM"}, "follows from the study"),
        ("LORA", {"modules_to_save": ["embedings"]}, 'embedings" is not known; did you mean "embeddings"'),
        ("LORA", {"r": 0}, "PEFT cannot adapt|LoraConfig"),
        ("ADALORA", {"init_r": 4, "target_r": 4}, "target_r must be below init_r"),
        ("ADAMSS", {"r": 8, "use_asa": True}, "use_asa"),
        ("PROMPT_TUNING", {}, "num_virtual_tokens is missing"),
        ("MISS", {"r": 64}, "must be less than or equal"),
    ],
)
def test_settings_that_cannot_be_used(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        on_shapes("bert", name, **settings)


@pytest.mark.parametrize(
    ("kind", "name", "settings"),
    [
        ("bert", "LORA", {"modules_to_save": ["embeddings"]}),
        ("modernbert", "LORA", {"modules_to_save": ["embeddings"]}),
        ("bert", "ADALORA", {"init_r": 4, "target_r": 1, "deltaT": 1, "modules_to_save": ["embeddings"]}),
        ("bert", "LORA", {"target_modules": "all-linear", "bias": "all"}),
        ("bert", "LORA", {"target_modules": ["query", "word_embeddings"]}),
        ("bert", "LORA", {"trainable_token_indices": [5, 6]}),
        ("bert", "LORA", {"use_dora": True}),
        ("bert", "LORA", {"init_lora_weights": "mica"}),
        ("bert", "PREFIX_TUNING", {"num_virtual_tokens": 4, "prefix_projection": True, "encoder_hidden_size": 16}),
    ],
)
def test_settings_that_change_what_is_trained(kind: str, name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    check(kind, name, settings, tmp_path)


def test_modules_to_save_are_whole_names() -> None:
    """PEFT alone would take word_embeddings for embeddings, wrap both, and not find them again."""
    classifier = on_shapes("bert", "LORA", modules_to_save=["embeddings"])
    chosen = classifier.peft.peft_config["default"].modules_to_save
    assert set(chosen) - {"score"} == {"bert.embeddings", "bert.pooler", "classifier"}  # PEFT adds score
    assert classifier.cut is None


@pytest.mark.parametrize("name", ["SHIRA", "ADAMSS", "FROD", "TINYLORA", "ADALORA", "OSF", "LN_TUNING"])
def test_shapes_count_what_the_model_counts(name: str) -> None:
    settings = settings_of("bert", name)
    real, _ = applied("bert", name, settings)
    shapes = on_shapes("bert", name, **settings)
    assert shapes.counts() == real.counts()
    assert shapes.cut == real.cut


def test_a_prompt_starts_from_a_text_with_the_models_own_tokenizer(tmp_path: Path) -> None:
    settings = {"num_virtual_tokens": 4, "prompt_tuning_init": "TEXT", "prompt_tuning_init_text": "the cat"}
    classifier, _ = applied("bert", "PROMPT_TUNING", settings)
    save_classifier(classifier, tmp_path)
    assert str(model_folder("bert")) not in (tmp_path / "adapter_config.json").read_text().split("base_model")[0]
    assert json.loads((tmp_path / "adapter_config.json").read_text())["tokenizer_name_or_path"] is None


def test_trainable_tokens_work_under_a_linear_head() -> None:
    classifier = on_shapes("bert", "TRAINABLE_TOKENS", head="linear", token_indices=[5, 6])
    assert classifier.counts().trained > classifier.counts().head


class TestAdaLora:
    SETTINGS: ClassVar[dict[str, Any]] = {"init_r": 6, "target_r": 2, "deltaT": 2}

    def trained(self, folder: Path, epochs: int, **changes: Any) -> tuple[Any, Any, Any]:
        settings = self.SETTINGS | changes
        classifier, _ = applied("bert", "ADALORA", settings)
        data = examples(classifier, 40)
        protocol = replace(PROTOCOL, epochs=epochs, keep="best")
        watcher = method("ADALORA", **settings).watch(classifier)
        found = fit(Task(classifier, data, data, protocol, RATE, SEED, folder / "best", watcher))
        return classifier, data, found

    def test_the_schedule_is_the_trainings(self, tmp_path: Path) -> None:
        classifier, data, found = self.trained(tmp_path, epochs=3)
        config = classifier.peft.peft_config["default"]
        assert config.total_step == 15
        if found.best_epoch == 3:
            kept = sum(sum(ranks) for ranks in config.rank_pattern.values())
            assert kept == 2 * 6, "target_r ranks for each of six projections"
        save_classifier(classifier, tmp_path / "model")
        assert distance("bert", reload("bert", tmp_path / "model", classifier), classifier, data) < 1e-5

    def test_weights_of_an_earlier_epoch_are_stored_whole(self, tmp_path: Path) -> None:
        """A pattern from later steps would cut ranks that the kept weights use."""
        classifier, data, _ = self.trained(tmp_path, epochs=2)
        config = classifier.peft.peft_config["default"]
        with torch.no_grad():
            for name, parameter in classifier.network.named_parameters():
                if "lora_E" in name:
                    parameter.fill_(0.5)
        method("ADALORA", **self.SETTINGS).watch(classifier).finished()
        assert config.rank_pattern is None
        save_classifier(classifier, tmp_path / "model")
        assert distance("bert", reload("bert", tmp_path / "model", classifier), classifier, data) < 1e-5

    def test_what_is_stored_can_be_put_back(self, tmp_path: Path) -> None:
        classifier, data, _ = self.trained(tmp_path, epochs=3)
        save_classifier(classifier, tmp_path / "model")
        again, _ = applied("bert", "ADALORA", self.SETTINGS)
        restore(again, tmp_path / "model")
        assert distance("bert", reload("bert", tmp_path / "model", again), again, data) < 1e-5

    def test_a_training_that_is_too_short_is_refused(self) -> None:
        tuner = method("ADALORA", **self.SETTINGS, tinit=5, tfinal=5)
        with pytest.raises(InputError, match="cannot be allocated in 8 steps with tinit 5 and tfinal 5"):
            tuner.check_steps(8)
        tuner.check_steps(11)
        method("ADALORA", **self.SETTINGS, tinit=5, tfinal=5, total_step=20).check_steps(8)
        method("LORA").check_steps(1)

    def test_the_penalty_is_in_the_gradients(self, tmp_path: Path) -> None:
        weights = []
        for weight in (0.0, 5.0):
            classifier, _, _ = self.trained(tmp_path, epochs=1, orth_reg_weight=weight)
            weights.append(np.concatenate([p.detach().flatten() for n, p in classifier.trained() if "lora_A" in n]))
        assert not np.allclose(*weights)


def test_prompts_are_trained() -> None:
    """The prompt, or the keys and values, get a gradient: the architecture reads them."""
    for kind, name in (("bert", "PREFIX_TUNING"), ("roberta", "PREFIX_TUNING"), ("gpt2", "PREFIX_TUNING")):
        classifier, data = applied(kind, name, {"num_virtual_tokens": 4})
        from thriftune.engine.forward import logits_of

        logits_of(classifier, data, np.arange(4), PROTOCOL).square().sum().backward()
        grads = [p.grad for n, p in classifier.trained() if "prompt_encoder" in n]
        assert all(grad is not None and bool((grad != 0).any()) for grad in grads), kind
        assert grads
