"""Contract of every family (`thriftune.testing`), on a tiny model of each; how long a text may be."""

from __future__ import annotations

import pytest
from tests.tiny_data import LABELS
from tests.tiny_models import FURTHER, KINDS, RELATIVES, SHARED, model_folder

from thriftune.models.families import discover, family_of
from thriftune.models.families.base import Family
from thriftune.models.pretrained.load import load_classifier
from thriftune.testing import Check, family_checks

TINY = (*KINDS, *RELATIVES, *SHARED, *FURTHER)


def served(kind: str) -> Family:
    family = family_of(load_classifier(model_folder(kind), LABELS).config.model_type)
    assert family is not None
    return family


CHECKS = [(kind, check) for kind in TINY for check in family_checks(served(kind), model_folder(kind))]


def test_every_family_has_a_tiny_model_and_every_check() -> None:
    assert {served(kind) for kind in TINY} == set(discover().values())
    for kind in TINY:
        heads = 2 if kind in ("gpt2", "funnel") else 3  # gpt2 has no linear head, funnel no mean
        once = 2 if served(kind).shared_layers else 5
        assert sum(each == kind for each, _ in CHECKS) == once + 3 * heads, kind


@pytest.mark.parametrize(("kind", "check"), CHECKS, ids=str)
def test_contract(kind: str, check: Check) -> None:
    check()


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        *((kind, 64) for kind in ("bert", "roberta", "electra", "distilbert", "modernbert", "mpnet", "albert")),
        *((kind, 64) for kind in RELATIVES),
        ("deberta-v2", None),
    ],
)
def test_longest_text(kind: str, limit: int | None) -> None:
    classifier = load_classifier(model_folder(kind), LABELS)
    assert classifier.family.max_tokens(classifier.config) == limit
