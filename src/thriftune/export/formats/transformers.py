"""A folder that transformers' AutoModelForSequenceClassification loads alone."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from thriftune.export.form import Form
from thriftune.export.formats.base import Format, Options, Variant, Written, copy_tokenizer, weight_files
from thriftune.export.native_heads import native
from thriftune.export.trained import Trained, plain
from thriftune.models.trained.plain import Plain, has_prompts
from thriftune.models.trained.usage import Usage, code

TRUST = "trust_remote_code=True"


class Transformers(Format):
    """Weights, config.json and tokenizer; what was learned beside the pretrained weights is merged into them."""

    NAME: ClassVar[str] = "transformers"
    SUMMARY: ClassVar[str] = "a folder that AutoModelForSequenceClassification loads alone"

    def refusal(self, found: Trained) -> str | None:
        """An adapter that has no weights to merge into."""
        return "its method changes the input, not the weights" if unmergeable(found) else None

    def write(self, found: Trained, folder: Path, options: Options) -> Written:
        """Writes it."""
        return write_whole(found, folder)


def unmergeable(found: Trained) -> bool:
    """Whether it is an adapter of prompts."""
    return found.adapter and has_prompts(found.folder)


def write_whole(found: Trained, folder: Path) -> Written:
    """Writes all weights with the head, in the architecture's own class where its head can say the same."""
    from thriftune.models.pretrained.quiet import quiet

    whole = plain(found)
    network, holds = _network(found, whole), []
    usage = replace(found.usage, base=None, frozen=False, normalize=False, head="own")
    with quiet():
        if network is not None:
            network.save_pretrained(folder)
            _check_labels(network, found)
        else:
            _write_pooled(found, whole, folder)
    copy_tokenizer(found, folder)
    notes: list[str] = []
    if found.adapter:
        holds.append("The adapter is merged into the weights of its base.")
    if network is None:
        text, head = trusting(usage), HEADS[found.usage.head]
        notes.append(
            f"No class of transformers reads {head}, so the folder holds modeling_pooled.py, and loading it takes "
            f"{TRUST}. The formats onnx and sentence-transformers do without."
        )
        holds.append(
            f"Its head reads {head}, which no class of transformers does: modeling_pooled.py beside this file defines "
            f"it (read it first, it is short), and loading takes `{TRUST}`."
        )
    else:
        text = code(usage)
        usage.write(folder)  # the card replaces its README
        holds.append("`AutoModelForSequenceClassification` and `pipeline` of transformers load it as it is.")
    form = Form("transformers", tuple(holds), text)
    return Written(form, (Variant("fp32", text, weight_files(folder)),), tuple(notes))


HEADS = {"mean": "the mean of all tokens", "linear": "the first token's last hidden state", "own": "its own"}


def trusting(usage: Usage) -> str:
    """The code that loads a folder with a modelling file of its own."""
    text = code(usage)
    for name in ("AutoConfig", "AutoTokenizer"):
        text = text.replace(f"{name}.from_pretrained(folder)", f"{name}.from_pretrained(folder, {TRUST})")
    return text.replace("dtype=torch.float32)", f"dtype=torch.float32, {TRUST})")


def _network(found: Trained, whole: Plain) -> Any | None:
    """The architecture's own classification class; None where only a modelling file will do."""
    if whole.head is None:
        return whole.model
    if found.usage.head == "mean" or found.usage.normalize:
        return None
    _name_labels(whole.model.config, found)
    return native(whole.model, whole.head["weight"], whole.head["bias"])


def _name_labels(config: Any, found: Trained) -> None:
    config.id2label = dict(enumerate(found.labels))
    config.label2id = {label: index for index, label in enumerate(found.labels)}


def _check_labels(network: Any, found: Trained) -> None:
    assert network.config.num_labels == len(found.labels)


def _write_pooled(found: Trained, whole: Plain, folder: Path) -> None:
    """Weights and config.json of the class in modeling_pooled.py, and that file."""
    from thriftune.export.pooled import modeling_pooled
    from thriftune.export.pooled.modeling_pooled import PooledConfig, PooledForSequenceClassification

    assert whole.head is not None
    inner = whole.model.config.to_dict()
    config = PooledConfig(
        encoder={"model_type": whole.model.config.model_type, **inner},
        pooling="mean" if found.usage.head == "mean" else "first",
        normalize=found.usage.normalize,
    )
    _name_labels(config, found)
    config.auto_map = {
        "AutoConfig": "modeling_pooled.PooledConfig",
        "AutoModelForSequenceClassification": "modeling_pooled.PooledForSequenceClassification",
    }
    network: Any = PooledForSequenceClassification(config)  # type: ignore[no-untyped-call]
    network.encoder.load_state_dict(whole.model.state_dict())
    network.classifier.load_state_dict(whole.head)
    network.save_pretrained(folder)
    shutil.copyfile(str(modeling_pooled.__file__), folder / "modeling_pooled.py")


FORMAT = Transformers()
