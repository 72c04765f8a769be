"""Tiny random models of every family and of architectures without one: those of `thriftune.testing`, and further."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tests.data import further_tokenizers
from transformers import (
    AutoModelForSequenceClassification,
    BartConfig,
    BloomConfig,
    CamembertConfig,
    DebertaConfig,
    ErnieConfig,
    FlaubertConfig,
    FNetConfig,
    FunnelConfig,
    GPT2Config,
    LlamaConfig,
    LongformerConfig,
    OPTConfig,
    PretrainedConfig,
    T5Config,
    XLMConfig,
    XLMRobertaConfig,
    XLNetConfig,
)

from thriftune.testing import models
from thriftune.testing.models import KINDS, LAYERS, SHARED, SIZE, tiny_model

RELATIVES = ("xlm-roberta", "camembert")
"""Those that pack as another one does, under other names."""
FURTHER = ("longformer", "xlm", "flaubert", "funnel", "deberta", "gpt2")
"""Those with a family that does not pack."""
GUESSED = ("bart", "t5", "llama", "opt", "bloom", "xlnet", "ernie", "fnet")
"""Those without one."""
READS_PADDING = ("funnel", "fnet")
"""Architectures whose outputs depend on padding: only equal batches can be compared."""
TOKENIZERS = {
    **models.TOKENIZERS,
    **dict.fromkeys(("longformer", "bart", "t5"), "roberta"),
    **dict.fromkeys(("gpt2", "llama", "opt", "bloom"), "gpt2"),
}
FURTHER_TOKENIZERS = {"xlm-roberta": further_tokenizers.xlm_roberta, "camembert": further_tokenizers.camembert}


def _further(kind: str) -> PretrainedConfig:
    """Shapes of the relatives, and of the architectures that train through their own forward."""
    xlm = {"emb_dim": 32, "n_layers": LAYERS, "n_heads": 4, "max_position_embeddings": 64}
    stacks = {"encoder_layers": LAYERS, "decoder_layers": LAYERS, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
    marks = {"bos_token_id": 0, "eos_token_id": 0}
    relative = {**SIZE, "max_position_embeddings": 66, "type_vocab_size": 1}
    own: dict[str, Any] = {
        "xlm-roberta": lambda: XLMRobertaConfig(**relative),
        "camembert": lambda: CamembertConfig(**relative),
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


@cache
def model_folder(kind: str) -> Path:
    """A folder with weights, config.json and tokenizer; the same one for every caller in a test run."""
    if kind in (*KINDS, *SHARED):
        return tiny_model(kind)
    folder = Path(mkdtemp(prefix=f"thriftune-tiny-{kind}-"))
    save_tiny(kind, folder)
    return folder


def save_tiny(kind: str, folder: Path, seed: int = 0) -> None:
    """Saves a tiny model with random weights."""
    own = kind in (*KINDS, *SHARED)
    tokenizer = FURTHER_TOKENIZERS[kind]() if kind in FURTHER_TOKENIZERS else TOKENIZERS.get(kind, "bert")
    shape = models.config(kind) if own else _further(kind)
    # The encoder as the classifier has it: Funnel's and T5's differ from AutoModel's.
    encoder = None if own or kind in RELATIVES else _encoder
    models.save_model(shape, folder, tokenizer, seed, encoder)


def _encoder(shape: PretrainedConfig) -> Any:
    return AutoModelForSequenceClassification.from_config(shape).base_model
