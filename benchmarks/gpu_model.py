"""The GPU benchmark's model and texts: random weights in a published shape, random tokens with SNLI's lengths."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_rows import HEAD, Job
from tokenizers import Tokenizer, models
from transformers import (
    AutoModel,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
)

from thriftune.data.tokens import Tokens
from thriftune.engine.examples import Examples
from thriftune.models.classifier import Classifier
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.pretrained.quiet import quiet

LENGTHS = Path(__file__).parent / "snli_lengths.json"
LABELS = ("entailment", "neutral", "contradiction")


def config_of(model: str, smoke: bool) -> PretrainedConfig:
    """The published shape, or a tiny one of the same kind."""
    small: dict[str, Any] = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48, "vocab_size": 200}
    if model == "bert":
        return BertConfig(**small, num_hidden_layers=3) if smoke else BertConfig()
    if model == "distilbert":
        tiny = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "vocab_size": 200}
        return DistilBertConfig(**tiny) if smoke else DistilBertConfig()
    large = {"hidden_size": 1536, "num_attention_heads": 24, "intermediate_size": 6144, "vocab_size": 128100}
    return DebertaV2Config(
        **(small if smoke else large),
        num_hidden_layers=10 if smoke else 48,
        max_position_embeddings=512,
        type_vocab_size=0,
        layer_norm_eps=1e-7,
        relative_attention=True,
        position_buckets=16 if smoke else 256,
        pos_att_type=["p2c", "c2p"],
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        position_biased_input=False,
        max_relative_positions=-1,
        conv_kernel_size=3,
        conv_act="gelu",
    )


def model_folder(job: Job) -> Path:
    """A folder with random weights, made on the device, and a tokenizer that nothing uses."""
    folder = job.folder / job.row.model
    if not folder.exists():
        torch.manual_seed(0)
        with quiet(), torch.device(job.device):
            network = AutoModel.from_config(config_of(job.row.model, job.smoke), dtype=torch.float32)
        unfinished = folder.with_suffix(".tmp")
        network.save_pretrained(unfinished)
        words = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]"))
        PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(
            unfinished
        )
        unfinished.rename(folder)
        del network
        release()
    return folder


def texts_of(job: Job, vocabulary: int) -> Examples:
    """Random tokens and labels; lengths as SNLI's validation pairs have them."""
    rng = np.random.default_rng(0)
    counts = {int(length): count for length, count in json.loads(LENGTHS.read_text(encoding="utf-8")).items()}
    lengths = rng.permutation(np.repeat(list(counts), list(counts.values())))
    lengths = np.resize(lengths, job.texts).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = rng.integers(5, vocabulary, offsets[-1]).astype(np.int32)
    types = np.zeros(offsets[-1], dtype=np.uint8) if job.row.model == "bert" else None
    return Examples(Tokens(ids, types, offsets, 0), rng.integers(0, len(LABELS), job.texts))


def classifier_of(job: Job, dropout: bool, cut: bool) -> Classifier:
    """The model as the study layer loads it: with `cut`, the layers below the trained ones stay in the file."""
    row, folder = job.row, model_folder(job)
    config = config_of(row.model, job.smoke)
    without = config.num_hidden_layers - row.layers if cut and row.layers is not None else None
    classifier = load_classifier(folder, LABELS, HEAD, row.model, 0, without)
    row.method.apply(classifier, torch.Generator().manual_seed(0))
    if not dropout:
        for module in classifier.network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
    classifier.move(job.device)
    return classifier


def first_texts(examples: Examples, batches: list[np.ndarray]) -> tuple[Examples, list[np.ndarray]]:
    """Only the texts of some batches, and those batches with their new numbers: a prefix of all would take long."""
    tokens, chosen = examples.tokens, np.concatenate(batches)
    parts = [slice(tokens.offsets[text], tokens.offsets[text + 1]) for text in chosen]
    offsets = np.concatenate([[0], np.cumsum(tokens.lengths[chosen])])
    ids = np.concatenate([tokens.ids[part] for part in parts])
    types = None if tokens.types is None else np.concatenate([tokens.types[part] for part in parts])
    ends = np.cumsum([len(batch) for batch in batches])
    renumbered = np.split(np.arange(len(chosen)), ends[:-1])
    return Examples(Tokens(ids, types, offsets, 0), examples.labels[chosen]), renumbered


def release() -> None:
    """Hands memory back, cuBLAS's workspaces too; no graph may be alive that uses them."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch._C._cuda_clearCublasWorkspaces()  # type: ignore[attr-defined]
        torch.cuda.empty_cache()
