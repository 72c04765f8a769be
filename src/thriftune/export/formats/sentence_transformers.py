"""A SentenceTransformer that gives a text's vector, with the classification head beside it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar, Literal

from thriftune.export.form import Form
from thriftune.export.formats.base import Format, Options, Variant, Written, copy_tokenizer, weight_files
from thriftune.export.formats.transformers import unmergeable
from thriftune.export.own_heads import STEPS, steps, tensors_and_code
from thriftune.export.trained import Trained, plain
from thriftune.models.trained.plain import Plain
from thriftune.models.trained.usage import example, literal

HEAD = "head.safetensors"


class SentenceTransformers(Format):
    """Encoder, pooling and (where the run scales vectors) normalisation; the head is a few tensors beside them."""

    NAME: ClassVar[str] = "sentence-transformers"
    SUMMARY: ClassVar[str] = "a SentenceTransformer that gives the vectors, with the head beside it"
    PACKAGES: ClassVar[tuple[str, ...]] = ("sentence_transformers",)
    EXTRA: ClassVar[str] = "sentence-transformers"

    def refusal(self, found: Trained) -> str | None:
        """What that library cannot read as training did."""
        import json

        if unmergeable(found):
            return "its method changes the input, not the weights"
        if found.usage.join is not None:
            return "pairs are read as one text (data.pair one_segment), which that library does not do"
        if found.usage.alone:
            return "its architecture reads padding, and that library pads"
        config = json.loads((found.folder / "config.json").read_text(encoding="utf-8"))
        if config.get("is_encoder_decoder"):
            return f'its architecture ("{config.get("model_type")}") has a decoder beside the encoder'
        if found.usage.head == "own" and config.get("model_type") not in STEPS:
            return f'the head of its architecture ("{config.get("model_type")}") has no short form'
        return None

    def write(self, found: Trained, folder: Path, options: Options) -> Written:
        """Writes the modules of sentence-transformers and the head."""
        from safetensors.torch import save_file
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer import modules

        from thriftune.models.pretrained.quiet import quiet

        whole = plain(found)
        tensors, lines = _head(found, whole)
        pooling: Literal["mean", "cls"] = _pooling(found, whole)
        with tempfile.TemporaryDirectory(prefix="thriftune-") as place, quiet():
            encoder = Path(place) / "encoder"
            whole.encoder.save_pretrained(encoder)
            copy_tokenizer(found, encoder)
            transformer = modules.Transformer(str(encoder), max_seq_length=found.usage.max_tokens)
            hidden = int(whole.model.config.hidden_size)
            chain: list[Any] = [transformer, modules.Pooling(hidden, pooling)]
            chain += [modules.Normalize()] if found.usage.normalize else []
            SentenceTransformer(modules=chain, device="cpu").save(str(folder), create_model_card=False)
        weights = weight_files(folder)
        save_file(tensors, folder / HEAD)
        text = _code(found, lines)
        what = "the mean of its tokens" if pooling == "mean" else "its first token"
        holds = (
            f"`SentenceTransformer(folder).encode(texts)` gives each text's vector ({what}"
            f"{', scaled to length 1' if found.usage.normalize else ''}), which the classification head in `{HEAD}` "
            "reads.",
        )
        return Written(
            Form("sentence-transformers", holds, text), (Variant("vectors and head", text, (*weights, HEAD)),)
        )


def _head(found: Trained, whole: Plain) -> tuple[dict[str, Any], list[str]]:
    from thriftune.errors import InputError

    if whole.head is not None:
        tensors = {name: value.contiguous() for name, value in whole.head.items()}
        return tensors, ['hidden = torch.nn.functional.linear(hidden, head["weight"], head["bias"])']
    known = steps(whole.model)
    if known is None:
        raise InputError(
            f"{found.source.name} cannot be exported as sentence-transformers: the head of its architecture has no "
            "short form. Export it with --format transformers."
        )
    return tensors_and_code(known)


def _pooling(found: Trained, whole: Plain) -> Literal["mean", "cls"]:
    if found.usage.head == "own":
        return "mean" if getattr(whole.model.config, "classifier_pooling", "cls") == "mean" else "cls"
    return "mean" if found.usage.head == "mean" else "cls"


def _code(found: Trained, lines: list[str]) -> str:
    labels = ", ".join(literal(label) for label in found.labels)
    batch = "list(zip(*texts))" if found.pair else "list(texts[0])"
    inside = "\n".join(f"        {line}" for line in lines)
    return f'''import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer

folder = "."
model = SentenceTransformer(folder, device="cpu")
head = load_file(folder + "/{HEAD}")
labels = [{labels}]


def embed(*texts):
    """One vector per text; `texts` holds a list for each text column."""
    return model.encode({batch}, convert_to_tensor=True, show_progress_bar=False)


def probabilities(*texts):
    """One row per text and one column per label."""
    with torch.inference_mode():
        hidden = embed(*texts)
{inside}
    return hidden.softmax(dim=-1)


{example(found.usage)}'''


FORMAT = SentenceTransformers()
