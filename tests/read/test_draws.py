"""Weights drawn once: the same distributions, and whoever looks at one finds it drawn."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from botec.read import draws
from botec.read.draws import built

WIDE = 400


class Drawn(nn.Module):
    """Filled by its parts' constructors, then by its own scheme; the head is tied."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(WIDE, WIDE)
        self.layer = nn.Linear(WIDE, WIDE)
        self.head = nn.Linear(WIDE, WIDE, bias=False)
        nn.init.normal_(self.table.weight.t(), std=0.02)
        nn.init.trunc_normal_(self.layer.weight, 1.0, 0.1)
        nn.init.zeros_(self.layer.bias)
        self.head.weight = self.table.weight


def test_what_is_filled_again_or_let_go_is_never_drawn(monkeypatch):
    carried = []
    original = draws.one_after_the_other
    monkeypatch.setattr(
        draws, "one_after_the_other", lambda many: (carried.append(len(many)), original(many))
    )
    model = built(Drawn, 0)
    assert sorted(carried) == [1, 1, 1]  # the table, the layer's weight, its bias
    assert model.table.weight.std().item() == pytest.approx(0.02, rel=0.01)
    assert model.layer.weight.mean().item() == pytest.approx(1.0, abs=1e-3)
    assert model.layer.weight.std().item() == pytest.approx(0.1, rel=0.01)
    assert not model.layer.bias.any()


def test_a_seed_says_which_numbers_and_the_generator_moves_on():
    one, same, other = built(Drawn, 7), built(Drawn, 7), built(Drawn, 8)
    assert torch.equal(one.layer.weight, same.layer.weight)
    assert not torch.equal(one.layer.weight, other.layer.weight)
    assert not torch.equal(built(lambda: nn.Linear(9, 9), 7).weight, one.layer.weight[:9, :9])
    pair = built(lambda: nn.ModuleList([nn.Linear(9, 9), nn.Linear(9, 9)]), 7)
    assert not torch.equal(pair[0].weight, pair[1].weight)


class Seeded(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.layer = nn.Linear(9, 9)


def test_a_constructor_that_sets_the_seed_has_the_numbers_it_means():
    assert torch.equal(built(Seeded, 0).layer.weight, Seeded().layer.weight)


def half(weight):
    with torch.no_grad():
        weight.mul_(0.5)


LOOKS = {
    "a sum": lambda layer: float(layer.weight.detach().sum()),
    "numpy": lambda layer: float(layer.weight.detach().numpy().sum()),
    "a list": lambda layer: sum(sum(row) for row in layer.weight.tolist()),
    "a copy": lambda layer: float(copy.deepcopy(layer).weight.detach().sum()),
    "a view": lambda layer: float((layer.weight.t()[1:].sum() + layer.weight[:, 0].sum()).detach()),
    "its memory": lambda layer: float(torch.tensor(layer.weight.untyped_storage().tolist()).sum()),
}


@pytest.mark.parametrize("look", LOOKS)
def test_whoever_looks_sees_what_stays(look):
    seen = []

    def build():
        layer = nn.Linear(9, 9)
        seen.append(LOOKS[look](layer))
        return layer

    layer = built(build, 0)
    assert seen == [pytest.approx(LOOKS[look](layer), abs=1e-5)]
    assert seen[0] != 0


def test_what_is_done_to_drawn_weights_is_done_in_its_order():
    def build():
        layer = nn.Linear(WIDE, WIDE)
        nn.init.constant_(layer.weight, 3.0)
        nn.init.zeros_(layer.weight[1])
        half(layer.weight)
        nn.init.ones_(layer.weight[2])
        layer.bias.data.normal_(0, 9.0)
        layer.bias.data.fill_(2.0)
        return layer

    layer = built(build, 0)
    assert torch.equal(layer.weight[1:3], torch.tensor([[0.0], [1.0]]).expand(2, WIDE))
    assert torch.equal(layer.weight[3:], torch.full((WIDE - 3, WIDE), 1.5))
    assert torch.equal(layer.bias, torch.full((WIDE,), 2.0))


def test_an_embedding_keeps_its_row_of_zeros():
    table = built(partial(nn.Embedding, 9, 9, padding_idx=3), 0)
    assert not table.weight[3].any()
    assert table.weight[4].all()


def test_a_normed_weight_is_that_of_its_norm():
    normed = nn.utils.parametrizations.weight_norm
    layer = built(lambda: normed(nn.Linear(9, 9)), 0)
    norms = layer.parametrizations.weight.original1.norm(dim=1, keepdim=True)
    assert torch.equal(layer.parametrizations.weight.original0, norms)


def test_functions_are_back_afterwards():
    before = nn.init.normal_
    with pytest.raises(ZeroDivisionError):
        built(lambda: 1 // 0, 0)
    assert nn.init.normal_ is before
