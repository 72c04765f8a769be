"""Writes a trained classifier in the ordinary Hugging Face / PEFT formats."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch
from safetensors.torch import save_file

from thriftune.models.classifier import Classifier
from thriftune.models.load import load_classifier, quiet

LINEAR_HEAD_USAGE = """\
# Load this classifier

```python
encoder = {load}
head = safetensors.torch.load_file("head.safetensors")
inputs = AutoTokenizer.from_pretrained(".")(first, second, return_tensors="pt")
logits = torch.nn.functional.linear(encoder(**inputs).last_hidden_state[:, 0], head["weight"], head["bias"])
label = json.load(open("labels.json"))[logits.argmax()]
```
"""


def save_classifier(classifier: Classifier, folder: Path) -> int:
    """Writes `model/` and returns the bytes of its weight files.

    Own head: a folder that AutoModelForSequenceClassification loads, or a PEFT adapter with the whole head.
    Linear head: an AutoModel folder (or adapter), head.safetensors, and a README with five lines to load it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if classifier.peft is None:
        classifier = complete(classifier)
    with quiet():
        if classifier.peft is not None:
            with warnings.catch_warnings():  # AdaLoRA may leave a projection no rank at all
                warnings.filterwarnings("ignore", message=".*LoRA tensor")
                classifier.peft.save_pretrained(str(folder), save_embedding_layers=False)
            classifier.config.save_pretrained(folder)
        elif classifier.head.type == "linear":
            classifier.encoder.save_pretrained(folder)
        else:
            classifier.network.save_pretrained(folder)  # type: ignore[operator]
        if classifier.head.type == "linear":
            _save_linear_head(classifier, folder)
        if classifier.tokenizer is not None:
            classifier.tokenizer.save_pretrained(folder)
    if classifier.head.type == "own":
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's model card template, all placeholders
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def _save_linear_head(classifier: Classifier, folder: Path) -> None:
    linear = classifier.network.get_submodule("classifier")
    state = {name: value.detach().cpu().contiguous() for name, value in linear.state_dict().items()}
    save_file(state, folder / "head.safetensors")
    (folder / "labels.json").write_text(json.dumps(list(classifier.labels)), encoding="utf-8")
    base = str(classifier.path)
    load = 'AutoModel.from_pretrained(".")'
    if classifier.peft is not None:
        load = f'PeftModel.from_pretrained(AutoModel.from_pretrained("{base}"), ".").eval()'
    (folder / "README.md").write_text(LINEAR_HEAD_USAGE.format(load=load), encoding="utf-8")


def delta_bytes(classifier: Classifier) -> int:
    """Bytes of the trained tensors alone."""
    return sum(p.numel() * p.element_size() for _, p in classifier.trained())


def complete(classifier: Classifier) -> Classifier:
    """The classifier itself, or, where weights below the cut have left memory, one that has them again."""
    if all(p.device.type != "meta" for p in classifier.network.parameters()):
        return classifier
    whole = load_classifier(classifier.path, classifier.labels, classifier.head, classifier.name)
    trained = dict(classifier.trained())
    with torch.no_grad():
        for name, parameter in whole.network.named_parameters():
            if name in trained:
                parameter.copy_(trained[name])
    return whole
