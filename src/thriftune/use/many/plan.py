"""Which classifiers run which layers together: a tree that splits where their weights do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import nn

from thriftune.models.ops.products import keep_ordered
from thriftune.models.packed import can_pack
from thriftune.use.many.updates import Adapted, Running, Update

if TYPE_CHECKING:
    from thriftune.engine.stored.transformer import Transformer
    from thriftune.models.classifier import Classifier as Network

NOT_READ = (
    *("id2label", "label2id", "problem_type", "architectures", "classifier_dropout"),
    *("_name_or_path", "transformers_version", "dtype"),
)
"""What of a configuration no layer reads."""
Signature = tuple[object, ...]


@dataclass(frozen=True, eq=False)
class Member:
    """A classifier whose texts run packed, with its LoRA update apart from the weights."""

    name: str
    model: Transformer
    updates: dict[str, Update]

    @property
    def network(self) -> Network:
        """Its modules; their weights are shared with others."""
        return self.model.network


@dataclass
class Node:
    """Layers that some members run together; after the last of them its children go on, or each member's head."""

    members: tuple[Member, ...]
    """In the order in which their texts lie side by side."""
    layers: range
    children: tuple[Node, ...] = ()
    apart: frozenset[int] = frozenset()
    """Layers where each member's texts run by themselves: what an update changes is there no matter of rows alone."""

    @property
    def lead(self) -> Member:
        """The one whose modules run."""
        return self.members[0]


@dataclass
class Plan:
    """The trees of all members; the modules that lead have the others' updates until `undo`."""

    roots: tuple[Node, ...]
    running: Running = field(default_factory=Running)
    _ordered: bool = False
    _replaced: list[tuple[nn.Module, str, nn.Module]] = field(default_factory=list)

    @classmethod
    def of(cls, members: Iterable[Member]) -> Plan:
        """The plan of some members, none of which is part of another plan."""
        made = cls(tuple(_tree(group, 0) for group in _alike(list(members), _trunk)))
        for root in made.roots:
            made._prepare(root)
        return made

    def keep_ordered(self) -> None:
        """Has few rows go fast through all weights, from now on: `models.ops.products.keep_ordered`, once."""
        if not self._ordered:
            self._ordered = True
            for root in self.roots:
                for member in root.members:
                    keep_ordered(member.network.root)

    def undo(self) -> None:
        """Puts the members' own modules back."""
        for network, path, module in self._replaced:
            network.set_submodule(path, module)
        self._replaced.clear()

    def _prepare(self, node: Node) -> None:
        """Has the modules that lead add every member's update."""
        network = node.lead.network
        encoder, family = network.encoder, network.family
        layers = {id(part): index for index in node.layers for part in network.layers[index].modules()}
        paths = {path for member in node.members for path in member.updates}
        places = {path: layers.get(id(encoder.get_submodule(path))) for path in paths}
        for path, index in places.items():
            module = encoder.get_submodule(path)
            if index is None:
                continue
            if path.rpartition(".")[2] in family.position_projections:
                node.apart |= {index}
            if not isinstance(module, Adapted):
                assert isinstance(module, nn.Linear)
                self._replaced.append((encoder, path, module))
                module = Adapted(module, self.running)
                encoder.set_submodule(path, module)
            module.updates |= {member.name: member.updates[path] for member in node.members if path in member.updates}
        for child in node.children:
            self._prepare(child)


def shares(model: Transformer) -> bool:
    """Whether a model's texts run packed, so that those of others can lie beside them."""
    return can_pack(model.network) and model.protocol.padding == "none"


def _tree(members: Sequence[Member], start: int) -> Node:
    """Members whose layers below `start` are the same; they are put into order."""
    count = len(members[0].network.layers)
    stop = start
    while stop < count and len({_layer(member, stop) for member in members}) == 1:
        stop += 1
    if stop == count:
        return Node(tuple(members), range(start, stop))
    children = tuple(_tree(group, stop) for group in _alike(members, lambda member: _layer(member, stop)))
    order = tuple(member for child in children for member in child.members)
    return Node(order, range(start, stop), children)


def _alike(members: Sequence[Member], signature: Callable[[Member], Signature]) -> list[list[Member]]:
    """The members by signature, in the order in which signatures come."""
    found: dict[Signature, list[Member]] = {}
    for member in members:
        found.setdefault(signature(member), []).append(member)
    return list(found.values())


def _trunk(member: Member) -> Signature:
    """What two members have in common before their first layer: settings, and all weights but layers and head."""
    network, model = member.network, member.model
    config = {key: value for key, value in network.config.to_dict().items() if key not in NOT_READ}
    settings = json.dumps(config, sort_keys=True, default=str)
    beside = {id(part) for module in (*network.layers, *network.head_modules) for part in module.modules()}
    weights = [_own(part) for part in network.encoder.modules() if id(part) not in beside]
    kind = (type(network.family), settings, model.protocol.precision, str(network.device), model.reader.types)
    return (*kind, len(network.layers), *weights, *_tuned(member, network.encoder, beside))


def _layer(member: Member, index: int) -> Signature:
    """What two members must have in common to run a layer together; LoRA's updates are not part of it."""
    network = member.network
    reads = network.reads if index == len(network.layers) - 1 else ""
    layer = network.layers[index]
    return (reads, *map(_own, layer.modules()), *_tuned(member, layer, set()))


def _own(module: nn.Module) -> Signature:
    """Which tensors a module itself has."""
    tensors = (*module._parameters.items(), *module._buffers.items())
    return tuple((name, id(tensor)) for name, tensor in tensors if tensor is not None)


def _tuned(member: Member, module: nn.Module, beside: set[int]) -> Signature:
    """The member itself where a tuner of PEFT is left in a module: what it does is more than its weights say."""
    if member.network.peft is None:
        return ()
    from peft.tuners.tuners_utils import BaseTunerLayer

    held = any(isinstance(part, BaseTunerLayer) for part in module.modules() if id(part) not in beside)
    return (id(member),) if held else ()
