"""How a stored classifier is to be used: settings for programs (thriftune.json) and code for people (README.md)."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from thriftune.data.plain_tokenizer import plain_tokenizer
from thriftune.data.tokens import Join, Pair
from thriftune.errors import InputError
from thriftune.models.pretrained.sources import DEMO_MODELS, PackagedModel

FILE = "thriftune.json"
EXAMPLES = ("A man is playing a guitar.", "Two dogs run across the snow.")
FURTHER = ("Somebody makes music.", "All animals are asleep.")


@dataclass(frozen=True)
class Reading:
    """How a run reads texts."""

    columns: tuple[str, ...] = ("text",)
    """Names of the text columns that the method sees, one or two."""
    max_tokens: int = 256
    pair: Pair = "segments"
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"


@dataclass(frozen=True)
class Usage:
    """What must be known of a stored classifier beside its Hugging Face files."""

    columns: tuple[str, ...]
    max_tokens: int
    precision: Literal["fp32", "tf32", "bf16"]
    head: Literal["own", "linear", "mean"]
    join: Join | None
    """How two columns become one text; None where the tokenizer takes them as they are."""
    base: str | None
    """Where the base of an adapter or regression is: a name on the hub, or a path relative to the folder; else None."""
    alone: bool = False
    """Whether the model reads padding, so that each text is to be predicted without any."""
    frozen: bool = False
    """Whether the base is used as it is, with a regression on its vectors in place of an adapter."""
    normalize: bool = False
    """Whether what the head reads of a text is scaled to length 1 first."""

    @classmethod
    def of(cls, tokenizer: Any, reading: Reading, head: Literal["own", "linear", "mean"], base: str | None) -> Usage:
        """The usage of a classifier that reads texts in some way."""
        joined = reading.pair == "one_segment" and len(reading.columns) == 2
        join = Join.of(tokenizer, plain_tokenizer(tokenizer), reading.max_tokens) if joined else None
        return cls(reading.columns, reading.max_tokens, reading.precision, head, join, base)

    def write(self, folder: Path) -> None:
        """Writes thriftune.json and README.md."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(readme(self), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Usage:
        """Reads thriftune.json; raises `InputError` where it is missing or says something else."""
        path = folder / FILE
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            join = data.pop("join")
            if join is not None:
                join = Join(**{**join, "before": tuple(join["before"]), "after": tuple(join["after"])})
            return cls(**{**data, "columns": tuple(data["columns"])}, join=join)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{path} cannot be read ({error}). Give the model folder of a run.") from error


def base_reference(name: str, base: Path, folder: Path) -> str:
    """How an adapter in `folder` refers to its base, so that other machines find it too.

    A name on the hub where the model has one (packaged demo models do), else a path relative to `folder`.
    """
    if name.startswith("demo:") and name.removeprefix("demo:") in DEMO_MODELS:
        return DEMO_MODELS[name.removeprefix("demo:")].hub
    if name.startswith("hub:"):
        return name.removeprefix("hub:")
    if base.parent.name == "snapshots" and base.parent.parent.name == f"models--{name.replace('/', '--')}":
        return name
    return Path(os.path.relpath(base.resolve(), folder.resolve())).as_posix()


def packaged(base: str) -> PackagedModel | None:
    """The package that carries a base's weights, where there is one."""
    return next((model for model in DEMO_MODELS.values() if model.hub == base), None)


def is_path(base: str) -> bool:
    """Whether a base's reference is a path relative to the adapter's folder."""
    return base.startswith(".")


def readme(usage: Usage) -> str:
    """README.md: what the folder is, and a block of code that runs as it stands."""
    parts = [INTRODUCTION.format(columns="two columns" if len(usage.columns) == 2 else "one column")]
    if usage.base is not None:
        where = "a path relative to this folder" if is_path(usage.base) else "a model on the Hugging Face hub"
        what = "are a regression on the vectors of" if usage.frozen else "are an adapter of"
        parts.append(f"The weights {what} the model in `base`: {where}.")
        parts.append("Set it to the folder that holds that model where it is elsewhere.\n")
    return "\n".join([*parts, f"```python\n{code(usage)}```\n", _promise(usage)])


def code(usage: Usage) -> str:
    """Python that loads the model in the folder where it runs, defines `probabilities` and `labels`, and predicts."""
    return "\n".join([_imports(usage), _loading(usage), *joining(usage), _predicting(usage), example(usage)])


INTRODUCTION = """\
# A text classifier

It reads {columns} of text. Run this in the folder that holds this file, or set `folder` to it:
"""


def _imports(usage: Usage) -> str:
    auto = ["AutoModel" if usage.head != "own" else "AutoModelForSequenceClassification", "AutoTokenizer"]
    lines = ["from importlib.util import find_spec\n"] * (usage.base is not None and packaged(usage.base) is not None)
    lines += ["import torch"]
    lines += ["from peft import PeftModel"] * (usage.base is not None and not usage.frozen)
    lines += ["from safetensors.torch import load_file"] * (usage.head != "own")
    return "\n".join([*lines, f"from transformers import {', '.join(['AutoConfig', *auto])}\n"])


def _loading(usage: Usage) -> str:
    auto = "AutoModel" if usage.head != "own" else "AutoModelForSequenceClassification"
    lines = ['folder = "."']
    if usage.base is not None:
        lines += _base(usage.base)
    lines += ["config = AutoConfig.from_pretrained(folder)", "tokenizer = AutoTokenizer.from_pretrained(folder)"]
    if usage.base is None:
        lines.append(f"model = {auto}.from_pretrained(folder, dtype=torch.float32).eval()")
    elif usage.frozen:
        lines.append(f"model = {auto}.from_pretrained(base, config=config, dtype=torch.float32).eval()")
    else:
        lines += [
            f"model = {auto}.from_pretrained(",
            "    base, config=config, dtype=torch.float32, ignore_mismatched_sizes=True  # the head comes next",
            ")",
            "model = PeftModel.from_pretrained(model, folder).eval()",
        ]
    lines += ['head = load_file(folder + "/head.safetensors")'] * (usage.head != "own")
    return "\n".join([*lines, "labels = [config.id2label[index] for index in range(config.num_labels)]\n"])


def _base(base: str) -> list[str]:
    package = packaged(base)
    if package is None:
        return [f"base = folder + {literal('/' + base)}" if is_path(base) else f"base = {literal(base)}"]
    return [
        f"base = {literal(base)}",
        f"if package := find_spec({literal(package.package)}):  # it carries the same weights",
        f"    base = package.submodule_search_locations[0] + {literal('/' + package.folder)}",
    ]


def joining(usage: Usage) -> list[str]:
    """Code that defines `encode`, where a pair becomes one text."""
    join = usage.join
    if join is None:
        return []
    cut = f"body[:{join.room}]" if join.side == "right" else f"body[-{join.room}:]"
    ids = ", ".join([*map(str, join.before), f"*{cut}", *map(str, join.after)])
    return [
        f'''
def encode(first, second):
    """The token ids of a pair: one text, with a separator between its two parts."""
    first, second = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (first, second))
    body = [*first, {join.separator}, *second]
    return [{ids}]
'''
    ]


ALONE = """\
    if len(texts[0]) > 1:  # each by itself: padding would change what the model says
        return torch.cat([probabilities(*([column] for column in text)) for text in zip(*texts)])
"""


READS = {
    "linear": ["hidden = model(**inputs).last_hidden_state[:, 0]"],
    "mean": [
        'mask = inputs["attention_mask"].unsqueeze(-1)',
        "hidden = (model(**inputs).last_hidden_state * mask).sum(dim=1) / mask.sum(dim=1)",
    ],
}
"""What a head on the bare encoder reads of each text."""


def _predicting(usage: Usage) -> str:
    if usage.join is None:
        length = f"truncation=True, max_length={usage.max_tokens}"
        inputs = f'tokenizer(*texts, {length}, padding=True, return_tensors="pt")'
    else:
        inputs = 'tokenizer.pad({"input_ids": [encode(*pair) for pair in zip(*texts)]}, return_tensors="pt")'
    context = "torch.inference_mode()"
    if usage.precision == "bf16":
        gpu = 'model.device.type == "cuda"'
        context += f", torch.autocast(model.device.type, dtype=torch.bfloat16, enabled={gpu})"
    if usage.head != "own":
        logits = [
            *READS[usage.head],
            *(["hidden = torch.nn.functional.normalize(hidden, dim=-1)"] if usage.normalize else []),
            'logits = torch.nn.functional.linear(hidden, head["weight"], head["bias"])',
        ]
    else:
        logits = ["logits = model(**inputs).logits"]
    inside = "\n".join(f"        {line}" for line in logits)
    alone = ALONE if usage.alone else ""
    return f'''
def probabilities(*texts):
    """One row per text and one column per label; `texts` holds a list for each text column."""
{alone}    inputs = {inputs}
    with {context}:
{inside}
    return logits.float().softmax(dim=-1)

'''


def example(usage: Usage) -> str:
    """Code that predicts two texts and prints what it finds."""
    columns = zip(usage.columns, (EXAMPLES, FURTHER), strict=False)
    rows = "\n".join(f"    {literal(name)}: {json.dumps(list(texts))}," for name, texts in columns)
    return f"""\
examples = {{
{rows}
}}
for row in probabilities(*examples.values()).tolist():
    print({{label: round(share, 4) for label, share in zip(labels, row)}})
"""


def literal(text: str) -> str:
    """A Python literal that neither ends the code block nor the line it stands in."""
    return ascii(text).replace("`", "\\x60")


def _promise(usage: Usage) -> str:
    lines = [
        "The tokenizer here reads texts as training did. The name of a special token such as `[SEP]` or `</s>` stays",
        "text in a text; markers that the publisher registered stay whole.",
    ]
    if usage.precision == "bf16":
        lines.append(
            "The run predicted in bfloat16: in float32, as here on a CPU, a probability is another one by up to 0.05 "
            "(more was not found on 64 test texts)."
        )
    if usage.precision == "tf32":
        lines.append("The run predicted with TF32 matrix products: elsewhere, last digits differ.")
    return "\n".join(lines) + "\n"
