"""Models of the sizes that people use, with random weights: the published shapes, which decide what a step costs.

All have MiniLM's tokenizer, so that every model sees the same tokens; a vocabulary keeps its published size. A folder
is made once and kept in the user's cache folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import transformers
from filelock import FileLock

from thriftune.folders import cache_folder
from thriftune.models.pretrained.sources import resolve_model
from thriftune.models.pretrained.tokenizer import load_tokenizer

MINILM = "demo:minilm"
SHAPES: dict[str, Callable[[], transformers.PreTrainedConfig]] = {
    "bert-base": transformers.BertConfig,
    "distilbert-base": transformers.DistilBertConfig,
    "mpnet-base": transformers.MPNetConfig,
    "deberta-v3-base": partial(
        transformers.DebertaV2Config,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        relative_attention=True,
        position_buckets=256,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        type_vocab_size=0,
        layer_norm_eps=1e-7,
    ),
    "modernbert-base": partial(
        transformers.ModernBertConfig,
        pad_token_id=0,
        bos_token_id=101,
        eos_token_id=102,
        cls_token_id=101,
        sep_token_id=102,
    ),
}
"""Configurations of the published base models."""
MODELS = (MINILM, *SHAPES)


def folder_of(model: str) -> Path:
    """The folder of one of `MODELS`; any other name is looked for as a study would."""
    if model not in SHAPES:
        return resolve_model(model)
    folder = cache_folder() / "shapes" / model
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            partial_folder = folder.with_suffix(".partial")
            shutil.rmtree(partial_folder, ignore_errors=True)
            torch.manual_seed(0)
            transformers.AutoModel.from_config(SHAPES[model]()).save_pretrained(partial_folder)
            load_tokenizer(resolve_model(MINILM)).save_pretrained(partial_folder)
            partial_folder.rename(folder)
    return folder
