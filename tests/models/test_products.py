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


@pytest.mark.parametrize("turned", [True, False])
def test_a_product_of_low_rank_is_added(compiled: bool, turned: bool) -> None:
    torch.manual_seed(0)
    rows, low_rows = torch.randn(24, ROWS, dtype=torch.float64).t(), torch.randn(ROWS, 3, dtype=torch.float64)
    weight, low = torch.randn(24, 40, dtype=torch.float64), torch.randn(3, 40, dtype=torch.float64)
    expected = rows @ weight + low_rows @ low
    if turned:
        weight, low = weight.t().contiguous(), low.t().contiguous()
    torch.testing.assert_close(products.times(rows, weight, turned, low=(low_rows, low)), expected)


@pytest.mark.parametrize("few", [1, 7, 16])
@pytest.mark.parametrize("many", [4, 24, 28])
def test_the_gradient_of_a_small_weight_is_torchs(compiled: bool, few: int, many: int) -> None:
    torch.manual_seed(0)
    left, right = torch.randn(ROWS + 3, 20, dtype=torch.float64), torch.randn(ROWS + 3, 40, dtype=torch.float64)
    left, right = left[:, :few], right[:, :many]
    torch.testing.assert_close(products.cross(left, right), left.t() @ right)


@pytest.mark.parametrize("width", [4, 28])
def test_widths_need_not_fill_two_vectors(compiled: bool, width: int) -> None:
    torch.manual_seed(0)
    rows, weight = torch.randn(ROWS, 24, dtype=torch.float64), torch.randn(24, width, dtype=torch.float64)
    torch.testing.assert_close(products.times(rows, weight, False), rows @ weight)
    torch.testing.assert_close(products.times(rows, weight.t().contiguous(), True), rows @ weight)


def test_what_the_kernel_is_used_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, whole vectors, and a processor without wider ones."""
    monkeypatch.setattr(kernels, "usable", lambda *tensors: True)
    monkeypatch.setattr(kernels, "instructions", lambda: "AVX2")
    rows, weight = torch.randn(ROWS, 20), torch.randn(32, 20)
    assert kernels.multiplies(rows, weight, turned=True)
    assert not kernels.multiplies(rows, weight, turned=False)
    assert not kernels.multiplies(rows[:0], weight, turned=True)
    assert not kernels.multiplies(rows, torch.randn(20, 32).t(), turned=True)
    assert kernels.crosses(torch.randn(ROWS, kernels.MOST_COLUMNS), torch.randn(ROWS, 24))
    assert not kernels.crosses(torch.randn(ROWS, kernels.MOST_COLUMNS + 1), torch.randn(ROWS, 24))
    monkeypatch.setattr(kernels, "instructions", lambda: "AVX512")
    assert not kernels.multiplies(rows, weight, turned=True)


@pytest.mark.skipif(build().reason is not None, reason=f"no kernels: {build().reason}")
@pytest.mark.parametrize("weight", [torch.randn(32, 25), torch.randn(32, 24, dtype=torch.float64)])
def test_tensors_that_do_not_fit_are_refused(weight: torch.Tensor) -> None:
    """The kernel reads by address: what torch would refuse must not reach it."""
    with pytest.raises(ValueError, match="do not fit"):
        kernels.product(torch.randn(ROWS, 24), weight, turned=True)
    fitting, low = torch.randn(32, 24), (torch.randn(ROWS, 3), torch.randn(32, 3))
    with pytest.raises(ValueError, match="do not fit"):
        kernels.product(torch.randn(ROWS, 24), fitting, True, torch.randn(31))
    for other in ((low[0][1:], low[1]), (low[0], low[1][1:])):
        with pytest.raises(ValueError, match="do not fit"):
            kernels.product(torch.randn(ROWS, 24), fitting, True, None, other)
    for alone in ((low[0], None), (None, low[1])):
        with pytest.raises(ValueError, match="do not fit"):
            kernels.operators.run("product", torch.randn(ROWS, 24), fitting, True, None, *alone)
    with pytest.raises(ValueError, match="do not fit"):
        kernels.cross(torch.randn(ROWS, 24), weight)


@pytest.mark.skipif(build().reason is not None, reason=f"no kernels: {build().reason}")
def test_its_work_is_counted_as_torchs() -> None:
    rows, weight, low = torch.randn(ROWS, 24), torch.randn(32, 24), (torch.randn(ROWS, 3), torch.randn(32, 3))
    with CountWork() as ours:
        kernels.product(rows, weight, True, None, low)
        kernels.cross(low[0], rows)
    with CountWork() as theirs:
        (rows @ weight.t()).addmm_(low[0], low[1].t())
        low[0].t() @ rows
    assert ours.work.flops == theirs.work.flops == 2 * ROWS * (32 * 27 + 3 * 24)


@pytest.mark.parametrize("bias", [True, False])
def test_what_is_only_predicted_may_take_the_wider_library(monkeypatch: pytest.MonkeyPatch, bias: bool) -> None:
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(products, "wide_library", lambda: True)
    rows, weight = torch.randn(40, 24), torch.randn(16, 24)
    added = torch.randn(16) if bias else None
    low = torch.randn(40, 2), torch.randn(16, 2)
    assert not products.only_predicted(rows, weight)  # a gradient may be asked for
    expected = torch.nn.functional.linear(rows, weight, added)
    with torch.inference_mode():
        assert products.only_predicted(rows, weight)
        assert not products.only_predicted(rows.double(), weight.double())
        assert torch.allclose(products.affine(rows, weight, added), expected, atol=1e-5)
        assert torch.allclose(products.times(rows, weight, True, added, low), expected + low[0] @ low[1].t(), atol=1e-5)
        turned = products.times(rows.t().contiguous().t(), weight, True, added)
        assert torch.allclose(turned, expected, atol=1e-5)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert not products.only_predicted(rows, weight)
