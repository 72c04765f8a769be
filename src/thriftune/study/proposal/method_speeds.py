"""How fast this machine trains a model with each method, from shapes and a quick probe; no weight is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from thriftune.engine.protocol import Protocol
from thriftune.errors import InputError
from thriftune.methods.base import TransformerMethod
from thriftune.models.head import HeadSettings
from thriftune.study.forecast.duration import Speed, Speeds
from thriftune.study.proposal.max_tokens import TokenRoom


def speeds_here(
    model: Path,
    methods: Mapping[str, TransformerMethod],
    head: HeadSettings,
    protocol: Protocol,
    room: TokenRoom,
    classes: int,
    report: Callable[[str], None],
) -> Speeds:
    """Seconds per text of each method on this machine, which is timed for some seconds where it was not before.

    Raises `InputError` where a method cannot be estimated on the model.
    """
    import torch

    from thriftune.cost.measured.environment import use_all_processors
    from thriftune.cost.predicted.cuda import find_gpu
    from thriftune.cost.predicted.estimate import Case, estimate
    from thriftune.cost.predicted.speeds import probed_machine
    from thriftune.models.pretrained.load import load_config

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        use_all_processors()
    machine = probed_machine(device, model, lambda: report("timing this machine"), quick=True)
    gpu = find_gpu("cuda") if device == "cuda" else None
    lengths = typical_lengths(room, protocol.batch_size)
    frozen = next(name for name, method in methods.items() if method.NAME == "head_only")
    found = {}
    for name, method in methods.items():
        case = Case(
            model=model,
            method=method,
            protocol=protocol,
            lengths=lengths,
            head=head,
            classes=classes,
            gpu=gpu,
            words=room.words,
        )
        each = estimate(case)
        found[name] = (
            machine.seconds(each.work) / each.texts,
            machine.seconds(each.prefix_work, steps=0) / each.prefix_texts,
        )
    encoder = found[frozen][1]
    if not encoder:
        raise InputError("the model's layers cannot be run once for all, so a single pass is not known")
    if head.type == "mean":  # the pass of `embeddings`, which comes first, is its own
        found[frozen] = (found[frozen][0], 0.0)
    return Speeds(
        machine=_machine(torch.cuda.get_device_name() if device == "cuda" else None),
        hidden=int(getattr(load_config(model), "hidden_size", 0)),
        encoder=encoder,
        methods={
            name: Speed(step, prefix, 0.0 if name == frozen else max(0.0, encoder - prefix))
            for name, (step, prefix) in found.items()
        },
    )


def typical_lengths(room: TokenRoom, batch: int) -> tuple[int, ...]:
    """Tokens of an ordinary batch: the sample's lengths at evenly spaced ranks."""
    middles = (np.arange(batch) + 0.5) / batch
    lengths = np.asarray(room.lengths or (room.max_tokens,))
    return tuple(int(length) for length in np.ceil(np.quantile(lengths, middles)))


def _machine(gpu: str | None) -> str:
    from thriftune.processors import usable_processors

    if gpu is not None:
        return gpu
    count = usable_processors()
    return f"{count} processor{'s' * (count != 1)}"
