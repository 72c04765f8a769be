"""Two processes train as one does: the same losses, answers and weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.engine.parallel.helping import PROTOCOL, Training, compare, helped, shared, train
from tests.tiny_models import model_folder

from thriftune.engine.hooks import Hook, Progress, StopTraining
from thriftune.engine.parallel import commands
from thriftune.engine.parallel.team import Team
from thriftune.engine.predict import predict_and_embed
from thriftune.engine.protocol import OptimizerSettings

METHODS = {"full": {}, "top_layers": {"layers": 1}, "lora": {}}


@pytest.fixture(scope="module")
def team() -> Iterator[Team]:
    torch.set_num_threads(1)
    with helped() as own:
        yield own


def test_the_last_batch_has_one_text_for_two_processes(team: Team, tmp_path: Path) -> None:
    """And the first of them has it, dropout included; a batch is accumulated from two."""
    protocol = replace(PROTOCOL, accumulate=2)
    compare(Training(model_folder("bert"), "lora", protocol, texts=33), tmp_path, team)


def test_frozen_layers_run_once_and_on_both(team: Team, tmp_path: Path) -> None:
    compare(Training(model_folder("bert"), "top_layers", PROTOCOL, {"layers": 1}, texts=33), tmp_path, team)


def test_vectors_come_from_both(team: Team, tmp_path: Path) -> None:
    training = Training(model_folder("bert"), "lora", replace(PROTOCOL, epochs=1), texts=16)
    with shared(team):
        both = train(training, tmp_path, team)
        rows = np.array([3, 11, 24])
        logits, vectors = predict_and_embed(both.classifier, both.texts["test"], training.protocol, rows)
    alone = predict_and_embed(both.classifier, both.texts["test"], training.protocol, rows)
    assert np.array_equal(logits, alone[0])
    assert np.array_equal(vectors, alone[1])


def test_a_training_that_is_broken_off_leaves_the_others_ready(team: Team, tmp_path: Path) -> None:
    class Stopping(Hook):
        def stepped(self, progress: Progress) -> None:
            if progress.step == 3:
                raise StopTraining

    training = Training(model_folder("bert"), "full", PROTOCOL, texts=40)
    with shared(team), pytest.raises(StopTraining):
        train(training, tmp_path, team, (Stopping(),))
    with shared(team):
        assert train(training, tmp_path, team).fit.texts == 80


def test_memory_is_told_by_all(team: Team, tmp_path: Path) -> None:
    with shared(team):
        train(Training(model_folder("bert"), "lora", replace(PROTOCOL, epochs=1), texts=16), tmp_path, team)
        team.tell(commands.Memory())
        assert team.gather((7, 8)) == [(7, 8), (1, 1)]


KINDS = ("bert", "roberta", "electra", "distilbert", "modernbert", "mpnet")
CASES = [*((method, kind) for method in METHODS for kind in KINDS), ("full", "albert"), ("lora", "albert")]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "kind"), CASES)
def test_fifty_steps_are_those_of_one_process(method: str, kind: str, team: Team, tmp_path: Path) -> None:
    # An epsilon above the rounding of gradients that are zero, as a key's bias has them: AdamW would blow it up.
    protocol = replace(PROTOCOL, epochs=10, optimizer=OptimizerSettings(epsilon=1e-4))
    compare(Training(model_folder(kind), method, protocol, METHODS[method], texts=39), tmp_path, team)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["bitfit", "head_only", "lora_fa"])
def test_further_methods(method: str, team: Team, tmp_path: Path) -> None:
    optimizer = OptimizerSettings(epsilon=1e-4)  # a key's bias has a gradient of zero
    protocol = replace(PROTOCOL, epochs=4, optimizer=optimizer)
    compare(Training(model_folder("bert"), method, protocol, texts=33), tmp_path, team)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["deberta-v3", "gpt2"])
def test_where_masks_differ_the_rest_is_the_same(kind: str, team: Team, tmp_path: Path) -> None:
    """DeBERTa's attention and padded batches draw masks of their own: without dropout there is no difference."""
    training = Training(without_dropout(model_folder(kind), tmp_path), "full", replace(PROTOCOL, epochs=4), texts=33)
    compare(training, tmp_path, team, weights=False)


def without_dropout(folder: Path, into: Path) -> Path:
    """A copy of a model whose configuration has no dropout."""
    import json
    import shutil

    made = into / "model"
    shutil.copytree(folder, made)
    path = made / "config.json"
    settings = json.loads(path.read_text())
    changed = {key: 0.0 if "drop" in key and isinstance(value, float) else value for key, value in settings.items()}
    path.write_text(json.dumps(changed))
    return made
