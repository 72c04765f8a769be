"""Products of rows with a weight: the compiled kernel and torch's own give the same results and gradients."""

from __future__ import annotations

import pytest
import torch

from thriftune.cost.predicted.work import CountWork
from thriftune.models.ops import kernels, products
from thriftune.models.ops.kernels.build import build

ROWS = 128
CASES = [
    pytest.param(True, marks=pytest.mark.skipif(build().reason is not None, reason=f"no kernels: {build().reason}")),
    False,
]


@pytest.fixture(params=CASES, ids=["compiled", "torch"])
def compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """With the kernel even where the processor would leave products to torch, and without it."""
    monkeypatch.setattr(kernels, "multiplies", lambda rows, weight, turned: request.param)
    return bool(request.param)


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("trained", ["rows", "weight", "both"])
def test_gradients_are_torchs(compiled: bool, trained: str, biased: bool) -> None:
    torch.manual_seed(0)
    rows = torch.randn(ROWS, 24, dtype=torch.float64, requires_grad=trained != "weight")
    weight = torch.randn(40, 24, dtype=torch.float64, requires_grad=trained != "rows")
    bias = torch.randn(40, dtype=torch.float64, requires_grad=trained != "rows") if biased else None
    parameters = [p for p in (rows, weight, bias) if p is not None and p.requires_grad]
    above = torch.randn(40, ROWS, dtype=torch.float64).t()
    ours, theirs = products.affine(rows, weight, bias), torch.nn.functional.linear(rows, weight, bias)
    torch.testing.assert_close(ours, theirs)
    mine = torch.autograd.grad((ours * above).sum(), parameters)
    for a, b in zip(mine, torch.autograd.grad((theirs * above).sum(), parameters), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("width", [4, 28])
def test_widths_need_not_fill_two_vectors(compiled: bool, width: int) -> None:
    torch.manual_seed(0)
    rows, weight = torch.randn(ROWS, 24, dtype=torch.float64), torch.randn(24, width, dtype=torch.float64)
    weight.requires_grad_(False)
    rows.requires_grad_(True)
    out = products.affine(rows, weight.t().contiguous(), None)
    torch.testing.assert_close(out, rows @ weight)
    torch.testing.assert_close(torch.autograd.grad(out.sum(), rows)[0], weight.sum(1).expand(ROWS, -1))


def test_what_the_kernel_is_used_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, whole vectors, and a processor without wider ones."""
    monkeypatch.setattr(kernels, "usable", lambda *tensors: True)
    monkeypatch.setattr(kernels, "instructions", lambda: "AVX2")
    rows, weight = torch.randn(ROWS, 20), torch.randn(32, 20)
    assert kernels.multiplies(rows, weight, turned=True)
    assert not kernels.multiplies(rows, weight, turned=False)
    assert not kernels.multiplies(rows[:0], weight, turned=True)
    assert not kernels.multiplies(rows, torch.randn(20, 32).t(), turned=True)
    monkeypatch.setattr(kernels, "instructions", lambda: "AVX512")
    assert not kernels.multiplies(rows, weight, turned=True)


@pytest.mark.skipif(build().reason is not None, reason=f"no kernels: {build().reason}")
@pytest.mark.parametrize("weight", [torch.randn(32, 25), torch.randn(32, 24, dtype=torch.float64)])
def test_tensors_that_do_not_fit_are_refused(weight: torch.Tensor) -> None:
    """The kernel reads by address: what torch would refuse must not reach it."""
    with pytest.raises(ValueError, match="do not fit"):
        kernels.product(torch.randn(ROWS, 24), weight, turned=True)
    for bias in (torch.randn(31), torch.randn(32, dtype=torch.float64)):
        with pytest.raises(ValueError, match="do not fit"):
            kernels.product(torch.randn(ROWS, 24), torch.randn(32, 24), True, bias)


@pytest.mark.skipif(build().reason is not None, reason=f"no kernels: {build().reason}")
def test_its_work_is_counted_as_torchs() -> None:
    rows, weight = torch.randn(ROWS, 24), torch.randn(32, 24)
    with CountWork() as ours:
        kernels.product(rows, weight, True)
    with CountWork() as theirs:
        rows @ weight.t()
    assert ours.work.flops == theirs.work.flops == 2 * ROWS * 32 * 24


@pytest.mark.parametrize("bias", [True, False])
def test_what_is_only_predicted_may_take_the_wider_library(monkeypatch: pytest.MonkeyPatch, bias: bool) -> None:
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(products, "wide_library", lambda: True)
    rows, weight = torch.randn(40, 24), torch.randn(16, 24)
    added = torch.randn(16) if bias else None
    assert not products.only_predicted(rows, weight)  # a gradient may be asked for
    expected = torch.nn.functional.linear(rows, weight, added)
    with torch.inference_mode():
        assert products.only_predicted(rows, weight)
        assert not products.only_predicted(rows.double(), weight.double())
        assert torch.allclose(products.affine(rows, weight, added), expected, atol=1e-5)
        turned = products.affine(rows.t().contiguous().t(), weight, added)
        assert torch.allclose(turned, expected, atol=1e-5)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert not products.only_predicted(rows, weight)


def test_weights_in_the_order_of_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """They give the same products, and are kept once, where oneDNN is the library that predicts."""
    module = torch.nn.Sequential(torch.nn.Linear(24, 32), torch.nn.Linear(32, 8, bias=False)).requires_grad_(False)
    monkeypatch.setattr(products, "wide_library", lambda: False)
    products.keep_ordered(module)
    assert products.ordered_bytes(module) == 0
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise") or not torch.backends.mkldnn.is_available():
        pytest.skip("torch without oneDNN")
    monkeypatch.setattr(products, "wide_library", lambda: True)
    rows = torch.randn(ROWS, 24)
    with torch.inference_mode():
        before = products.affine(rows, module[0].weight, module[0].bias)
        products.keep_ordered(module)
        kept = getattr(module[0].weight, products.ORDERED)
        torch.testing.assert_close(products.affine(rows, module[0].weight, module[0].bias), before)
        products.keep_ordered(module)
    assert getattr(module[0].weight, products.ORDERED) is kept
    assert products.ordered_bytes(module) == 4 * (24 * 32 + 32 * 8)
