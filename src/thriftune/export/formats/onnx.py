"""ONNX graphs that onnxruntime runs alone, with a tokenizer.json that the tokenizers library reads alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from thriftune.engine.stored.onnx import graph
from thriftune.engine.stored.onnx.graph import input_names, quietly
from thriftune.errors import InputError
from thriftune.export.form import Form
from thriftune.export.formats.base import Format, Options, Variant, Written
from thriftune.export.formats.onnx_code import onnx_code
from thriftune.export.formats.transformers import unmergeable
from thriftune.export.trained import Trained, plain

FP32, INT8 = "model.onnx", "model-int8.onnx"


class Onnx(Format):
    """Two graphs from token ids to probabilities, in fp32 and with int8 weights."""

    NAME: ClassVar[str] = "onnx"
    SUMMARY: ClassVar[str] = "ONNX graphs (fp32, int8) for onnxruntime, with tokenizer.json"
    PACKAGES: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript", "onnxruntime")
    EXTRA: ClassVar[str] = "onnx"

    def refusal(self, found: Trained) -> str | None:
        """An adapter that has no weights to merge into."""
        return "its method changes the input, not the weights" if unmergeable(found) else None

    def write(self, found: Trained, folder: Path, options: Options) -> Written:
        """Writes both graphs and the tokenizer; pooling, normalisation, head and softmax are part of the graphs."""
        whole = plain(found)
        names = input_names(found.usage, whole.tokenizer)
        try:
            graph.convert(whole, found.usage, names, options.temperature or 1.0, folder / FP32)
        except graph.ConversionError as error:
            raise InputError(
                f"{found.source.name} cannot be exported as onnx: {error} Export it with --format transformers."
            ) from error
        describe(folder / FP32, found, options)
        quantize(folder / FP32, folder / INT8)
        save_plain_tokenizer(found, whole.tokenizer, folder)
        text = onnx_code(found, names, whole.tokenizer)
        holds = [
            f"`{FP32}` (fp32) and `{INT8}` (weights in int8, activations quantised as they come) take "
            f"{', '.join(f'`{name}`' for name in names)} of shape (texts, tokens), both of any size, and give `logits` "
            "and `probabilities` of shape (texts, labels). onnxruntime and tokenizers are all that is needed."
        ]
        if options.temperature is not None:
            holds.append(
                f"`probabilities` are calibrated: the softmax of the logits divided by {options.temperature:.4g}, the "
                "temperature that fits the study's validation texts. `logits` are as trained."
            )
        fp32 = tuple(sorted(path.name for path in folder.glob(f"{FP32}*")))
        int8 = tuple(sorted(path.name for path in folder.glob(f"{INT8}*")))
        other = text.replace(f'"/{FP32}"', f'"/{INT8}"')
        variants = (Variant("fp32", text, fp32), Variant("int8", other, int8, exact=False))
        return Written(Form("onnx", tuple(holds), text), variants)


def describe(path: Path, found: Trained, options: Options) -> None:
    """Puts the labels, the longest text and the temperature into the graph's own metadata."""
    import json

    import onnx

    model = onnx.load(path, load_external_data=False)
    values = {"labels": json.dumps(list(found.labels), ensure_ascii=False), "max_tokens": str(found.usage.max_tokens)}
    if options.temperature is not None:
        values["temperature"] = repr(options.temperature)
    for key, value in values.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, path)


def quantize(source: Path, target: Path) -> None:
    """int8 weights by onnxruntime's dynamic quantisation: one scale per column, seven bits, exact on every processor.

    Without the VNNI instructions sums of eight-bit products overflow; with seven bits they do not.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    large = any(path.suffix == ".data" for path in source.parent.glob(f"{source.name}.*"))
    with quietly():
        quantize_dynamic(
            source, target, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True,
            use_external_data_format=large,
        )  # fmt: skip


def save_plain_tokenizer(found: Trained, tokenizer: Any, folder: Path) -> None:
    """tokenizer.json that cuts and pads by itself; a pair that becomes one text is cut by the card's code instead."""
    from tokenizers import Tokenizer

    own = Tokenizer.from_file(str(found.folder / "tokenizer.json"))
    if found.usage.join is None:
        own.enable_truncation(found.usage.max_tokens, strategy="longest_first", direction=tokenizer.truncation_side)
    else:
        own.no_truncation()
    own.enable_padding(
        direction=tokenizer.padding_side,
        pad_id=tokenizer.pad_token_id or 0,
        pad_token=str(tokenizer.pad_token or "[PAD]"),
        pad_type_id=getattr(tokenizer, "pad_token_type_id", 0) or 0,
    )
    own.save(str(folder / "tokenizer.json"))


FORMAT = Onnx()
