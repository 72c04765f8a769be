"""Tiny random models of every family, saved as a user's model folder would be."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch
from tests.data import further_tokenizers, tiny_tokenizers
from transformers import (
    AlbertConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    BartConfig,
    BertConfig,
    BloomConfig,
    CamembertConfig,
    DebertaConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ErnieConfig,
    FlaubertConfig,
    FNetConfig,
    FunnelConfig,
    GPT2Config,
    LlamaConfig,
    LongformerConfig,
    ModernBertConfig,
    MPNetConfig,
    OPTConfig,
    PretrainedConfig,
    RobertaConfig,
    T5Config,
    XLMConfig,
    XLMRobertaConfig,
    XLNetConfig,
)

from thriftune.models.pretrained.quiet import quiet

LAYERS = 3
SIZE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
DEBERTA: dict[str, Any] = {
    **SIZE,
    "relative_attention": True,
    "position_buckets": 16,
    "pos_att_type": ["p2c", "c2p"],
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "position_biased_input": False,
    "max_relative_positions": -1,
    "type_vocab_size": 0,
    "layer_norm_eps": 1e-7,
}
ALBERT_DROPOUT: dict[str, Any] = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
"""What the first base models have; later ones have none."""
KINDS = ("bert", "roberta", "electra", "distilbert", "deberta-v2", "deberta-v3", "modernbert", "mpnet")
"""Those that pack."""
RELATIVES = ("xlm-roberta", "camembert")
"""Those that pack as another one does, under other names."""
SHARED = ("albert", "albert-groups")
"""Those that pack, but whose layers are one set of weights, or two."""
FURTHER = ("longformer", "xlm", "flaubert", "funnel", "deberta", "gpt2")
"""Those with a family that does not pack."""
GUESSED = ("bart", "t5", "llama", "opt", "bloom", "xlnet", "ernie", "fnet")
"""Those without one."""
READS_PADDING = ("funnel", "fnet")
"""Architectures whose outputs depend on padding: only equal batches can be compared."""
TOKENIZERS = {
    "roberta": "roberta",
    "mpnet": "roberta",
    "longformer": "roberta",
    "bart": "roberta",
    "t5": "roberta",
    "deberta-v2": "deberta",
    "deberta-v3": "deberta",
    "gpt2": "gpt2",
    "llama": "gpt2",
    "opt": "gpt2",
    "bloom": "gpt2",
}
FURTHER_TOKENIZERS = {"xlm-roberta": further_tokenizers.xlm_roberta, "camembert": further_tokenizers.camembert}


def _further(kind: str) -> PretrainedConfig:
    """Shapes of the architectures that train through their own forward."""
    xlm = {"emb_dim": 32, "n_layers": LAYERS, "n_heads": 4, "max_position_embeddings": 64}
    stacks = {"encoder_layers": LAYERS, "decoder_layers": LAYERS, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
    marks = {"bos_token_id": 0, "eos_token_id": 0}
    own: dict[str, Any] = {
        "longformer": lambda: LongformerConfig(**{**SIZE, "max_position_embeddings": 66}, attention_window=8),
        "xlm": lambda: XLMConfig(**xlm),
        "flaubert": lambda: FlaubertConfig(**xlm),
        "funnel": lambda: FunnelConfig(
            d_model=32, n_head=4, d_head=8, d_inner=48, block_sizes=[2, 2], num_decoder_layers=1
        ),
        "deberta": lambda: DebertaConfig(**SIZE, relative_attention=True, pos_att_type=["c2p", "p2c"]),
        "gpt2": lambda: GPT2Config(n_embd=32, n_layer=LAYERS, n_head=4, n_positions=64, **marks),
        "bart": lambda: BartConfig(d_model=32, max_position_embeddings=64, **stacks, **heads),
        "t5": lambda: T5Config(
            d_model=32, d_kv=8, d_ff=48, num_layers=LAYERS, num_heads=4, decoder_start_token_id=1, eos_token_id=2
        ),
        "llama": lambda: LlamaConfig(**SIZE, **marks),
        "opt": lambda: OPTConfig(
            hidden_size=32,
            ffn_dim=48,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            max_position_embeddings=64,
            word_embed_proj_dim=32,
        ),
        "bloom": lambda: BloomConfig(hidden_size=32, n_layer=LAYERS, n_head=4),
        "xlnet": lambda: XLNetConfig(d_model=32, n_layer=LAYERS, n_head=4, d_inner=48),
        "ernie": lambda: ErnieConfig(**SIZE),
        "fnet": lambda: FNetConfig(hidden_size=32, num_hidden_layers=LAYERS, intermediate_size=48),
    }
    made: PretrainedConfig = own[kind]()
    return made


def config(kind: str, vocabulary: int, padding: int | None) -> PretrainedConfig:
    """The configuration of a tiny model, shaped as the family's published ones."""
    own: dict[str, PretrainedConfig] = {
        "bert": BertConfig(**SIZE),
        "roberta": RobertaConfig(**{**SIZE, "max_position_embeddings": 66, "type_vocab_size": 1}),
        "electra": ElectraConfig(**SIZE, embedding_size=16),
        "distilbert": DistilBertConfig(dim=32, n_layers=LAYERS, n_heads=4, hidden_dim=48, max_position_embeddings=64),
        "deberta-v2": DebertaV2Config(**DEBERTA, conv_kernel_size=3, conv_act="gelu"),
        "deberta-v3": DebertaV2Config(**DEBERTA),
        "modernbert": ModernBertConfig(
            **SIZE,
            local_attention=8,
            global_attn_every_n_layers=2,
            cls_token_id=2,
            sep_token_id=3,
            bos_token_id=2,
            eos_token_id=3,
        ),
        "mpnet": MPNetConfig(**{**SIZE, "max_position_embeddings": 66}),
        "xlm-roberta": XLMRobertaConfig(**{**SIZE, "max_position_embeddings": 66, "type_vocab_size": 1}),
        "camembert": CamembertConfig(**{**SIZE, "max_position_embeddings": 66, "type_vocab_size": 1}),
        "albert": AlbertConfig(**SIZE, embedding_size=16, hidden_act="gelu_new", **ALBERT_DROPOUT),
        "albert-groups": AlbertConfig(
            **{**SIZE, "num_hidden_layers": 4},
            embedding_size=16,
            num_hidden_groups=2,
            inner_group_num=2,
            **ALBERT_DROPOUT,
        ),
    }
    made = own[kind] if kind in own else _further(kind)
    made.vocab_size = vocabulary
    made.pad_token_id = padding
    return made


@cache
def model_folder(kind: str) -> Path:
    """A folder with weights, config.json and tokenizer; the same one for every caller in a test run."""
    folder = Path(mkdtemp(prefix=f"thriftune-tiny-{kind}-"))
    save_tiny(kind, folder)
    return folder


def save_tiny(kind: str, folder: Path, seed: int = 0) -> None:
    """Saves a tiny model with random weights large enough that its outputs differ between texts."""
    tokenizer = (FURTHER_TOKENIZERS.get(kind) or tiny_tokenizers.KINDS[TOKENIZERS.get(kind, "bert")])()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = config(kind, len(tokenizer), tokenizer.pad_token_id)
        # The encoder as the classifier has it: Funnel's and T5's differ from AutoModel's.
        model = (
            AutoModel.from_config(made)
            if kind in (*KINDS, *RELATIVES, *SHARED)
            else AutoModelForSequenceClassification.from_config(made).base_model
        )
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0, 0.25)
                elif name.endswith("bias"):
                    parameter.normal_(0, 0.1)
    with quiet():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
