"""How large the weight files of a trained classifier are, from shapes alone."""

from __future__ import annotations

import json
from collections.abc import Mapping

import torch

from thriftune.models.classifier import Classifier
from thriftune.models.weights import DTYPES


def stored_bytes(classifier: Classifier) -> int:
    """Bytes of the weight files that `save_classifier` writes for a classifier, be it a skeleton."""
    files: list[tuple[Mapping[str, torch.Tensor], bool]] = []
    if classifier.peft is not None:
        from peft import get_peft_model_state_dict

        files.append((get_peft_model_state_dict(classifier.peft, save_embedding_layers=False), True))
    else:
        whole = classifier.encoder if classifier.head.bare else classifier.network
        files.append((whole.state_dict(), True))
    if classifier.head.bare:
        files.append((classifier.network.get_submodule("classifier").state_dict(), False))
    return sum(_file_bytes(state, marked) for state, marked in files)


def _file_bytes(state: Mapping[str, torch.Tensor], marked: bool) -> int:
    """Bytes of a safetensors file: header length, header (JSON, padded to 8 bytes), data by falling item size.

    `marked`: whether the header says that PyTorch wrote it, as transformers and PEFT have it.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}} if marked else {}
    end = 0
    for name in sorted(state, key=lambda name: (-state[name].element_size(), name)):
        tensor = state[name]
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return 8 + -(-len(text) // 8) * 8 + end
