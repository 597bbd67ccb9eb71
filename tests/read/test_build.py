"""Building without memory: on the meta device where a constructor allows, bare where not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from botec.errors import BadInput, ModelFailed
from botec.read.build import build, no_initialisation, on_meta, twin_of
from botec.read.source import Source


def test_it_is_built_without_memory() -> None:
    module = build(Source("net", lambda: nn.Linear(10**6, 10**6), ()))
    assert module.weight.is_meta


def test_a_constructor_that_reads_values_is_built_for_real() -> None:
    class Rates(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rates = [rate.item() for rate in torch.linspace(0, 1, 3)]
            self.layer = nn.Linear(2, 2)

    module = build(Source("net", Rates, ()))
    assert module.rates == [0.0, 0.5, 1.0]
    assert not module.layer.weight.is_meta


def test_initialisation_is_left_out_and_given_back() -> None:
    before = nn.init.normal_, nn.init.kaiming_uniform_, nn.init.zeros_
    with no_initialisation():
        held = torch.full((3,), 5.0)
        assert nn.init.normal_(held) is held
        assert held.tolist() == [5.0] * 3
        with pytest.raises(ZeroDivisionError), no_initialisation():
            1 / 0  # noqa: B018
    assert (nn.init.normal_, nn.init.kaiming_uniform_, nn.init.zeros_) == before


def failing(error: Exception) -> Any:
    def make() -> nn.Module:
        raise error

    return make


def test_the_initialisation_of_transformers_is_left_out_too() -> None:
    """It keeps torch's functions, and calls them by names of its own."""
    initialization = pytest.importorskip("transformers.initialization")
    weight = torch.full((3,), 7.0)
    with no_initialisation():
        initialization.normal_(weight)
    assert weight.tolist() == [7.0] * 3
    initialization.zeros_(weight)
    assert weight.tolist() == [0.0] * 3


def test_a_constructor_that_fails() -> None:
    with pytest.raises(ModelFailed) as caught:
        build(Source("net", failing(KeyError("depth")), ()))
    assert str(caught.value) == (
        "net: building it raised KeyError: 'depth'; mend the model or its configuration"
    )
    with pytest.raises(BadInput, match="own words"):
        build(Source("net", failing(BadInput("own words")), ()))


def test_what_a_library_took_for_itself_meanwhile_works_afterwards() -> None:
    taken = []
    build(Source("net", lambda: taken.append(nn.init.ones_) or nn.Linear(2, 2), ()))
    assert taken[0](torch.zeros(2)).tolist() == [1.0, 1.0]


def test_ties_survive_on_the_meta_device() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].weight = module[0].weight
    module.register_buffer("table", torch.zeros(2, dtype=torch.int64))
    real = module[0].weight
    with on_meta(module, "bf16") as there:
        assert there[0].weight is there[1].weight
        assert there[0].weight.is_meta
        assert isinstance(there[0].weight, nn.Parameter)
        assert there[0].weight.dtype == torch.bfloat16
        assert there.table.dtype == torch.int64, "whole numbers keep their type"
    assert module[0].weight is module[1].weight is real


@pytest.mark.parametrize("look", ["packed", "turned", "expanded"])
def test_a_twin_lies_in_memory_as_its_tensor(look: str) -> None:
    real = {"packed": torch.ones(2, 3), "turned": torch.ones(3, 2).t(),
            "expanded": torch.ones(1, 3).expand(2, 3)}[look]  # fmt: skip
    twins: dict[int, Any] = {}
    twin = twin_of(real, twins, None)
    assert (twin.shape, twin.stride(), twin.dtype) == (real.shape, real.stride(), real.dtype)
    assert twin_of(real, twins, None) is twin
    frozen = nn.Parameter(torch.ones(2), requires_grad=False)
    assert not twin_of(frozen, twins, None).requires_grad
