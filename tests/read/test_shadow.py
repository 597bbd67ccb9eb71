"""Values that follow from shapes: as the same lines give them on real tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import botec
from botec import Input
from botec.errors import DataDependent
from botec.read.recorder import Recorder
from botec.read.shadow import Known, Reference, evaluate
from botec.read.step import listening


def sums(x: Any) -> Any:
    return torch.arange(x.shape[1], device=x.device).sum().item()


def masks(x: Any) -> Any:
    causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
    return [causal.all().item(), causal.any().item(), (~causal).sum().item()]


def positions(x: Any) -> Any:
    rows = torch.zeros(x.shape[0], 1, dtype=torch.long, device=x.device)
    places = torch.arange(x.shape[1], device=x.device)[None] + rows
    return [places.max().item(), places[:, -1].sum().item(), bool((places == 0).any())]


def constants(x: Any) -> Any:
    order = torch.tensor([3, 1, 2], device=x.device).flip(0)
    return [order[0].item(), order[-1].item(), torch.as_tensor(7.5, device=x.device).item()]


def in_place(x: Any) -> Any:
    counter = torch.zeros(3, dtype=torch.long, device=x.device)
    before = counter + 1
    counter.add_(5).mul_(2)
    return [one.item() for one in (counter[0], before[1], counter.view(3, 1)[2])]


def likes(x: Any) -> Any:
    nought = torch.zeros_like(x, dtype=torch.int64)
    made = [torch.ones_like(x).sum(), torch.full_like(x, 2).long().max(), x.new_zeros(2).sum()]
    return [one.item() for one in (*made, nought.any())]


def shapes(x: Any) -> Any:
    size = torch.tensor(x.shape, device=x.device)
    return [size.prod().item(), size[1].sqrt().item(), (size[0] * 2 > size[1]).item()]


def bounds(x: Any) -> Any:
    steps = torch.linspace(0, 1, x.shape[1], device=x.device)
    return [steps[i].item() for i in range(5)] + [torch.eye(3, device=x.device).sum().item()]


def equality(x: Any) -> Any:
    a, b = torch.arange(4, device=x.device), torch.tensor([0, 1, 2, 3], device=x.device)
    return [torch.equal(a, b), torch.equal(a, b + 1), bool(a[0] == b[0])]


def chosen(x: Any) -> Any:
    mask = torch.arange(x.shape[1], device=x.device) % 2 == 0
    return [x[:, mask].shape, mask.nonzero().shape, mask.nonzero().max().item()]


def windows(x: Any) -> Any:
    lengths = torch.full((x.shape[0],), x.shape[1], device=x.device)
    ends = lengths.cumsum(0)
    return [ends[0].item(), lengths.max().item(), torch.cat([ends, ends])[-1].item()]


def on_the_host(x: Any) -> Any:
    """An author who names no device."""
    table = torch.arange(x.shape[1])
    return [table.max().item(), (table.to(x.device) * 2).sum().item()]


def a_part_set(x: Any) -> Any:
    """The row that is written, what was taken before, and what is taken after."""
    table = torch.zeros(3, 4, dtype=torch.long, device=x.device)
    table[1].fill_(7)
    table[..., 1:] = table[..., :-1].clone() + 1
    return [table.sum().item(), table[1].max().item(), table[:, 0].sum().item()]


def rows(x: Any) -> Any:
    """Expanded, worked on entry by entry, then looked at in ways that go by strides."""
    size = x.shape[1]
    row = torch.arange(size, device=x.device)[None].expand(x.shape[0], -1)
    mask = row[:, None, None, :].expand(-1, 1, size, -1)
    far = (1 - mask).masked_fill(mask > 2, -7)
    slanted = far.as_strided((size, 2), (size, 1), 1)
    uneven = far + torch.arange(size, device=x.device)[:, None]
    return [one.item() for one in (far.sum(), far.view(-1)[7], slanted[2].sum(), uneven.max())]


FUNCTIONS = [sums, masks, positions, constants, in_place, likes, shapes, bounds, equality, chosen,
             windows, on_the_host, a_part_set, rows]  # fmt: skip


def asked(function: Any) -> tuple[Any, Recorder]:
    """What ``function`` finds out on shapes."""
    recorder = Recorder()
    recorder.phase("forward")
    x = torch.empty(2, 5, device="meta")
    with listening(recorder):
        return function(x), recorder


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_values_are_the_real_ones(function: Any) -> None:
    ours, _ = asked(function)
    assert ours == function(torch.ones(2, 5))


@pytest.mark.xfail(raises=DataDependent, reason="of several outputs none is known")
@pytest.mark.parametrize("name", ["sort", "unbind"])
def test_what_follows_too(name: str) -> None:
    def found(x: Any) -> Any:
        numbers = torch.tensor([3, 1, 2], device=x.device)
        if name == "sort":
            return numbers.sort().values[0].item()
        return [one.item() for one in numbers]

    assert asked(found)[0] == found(torch.ones(2, 5))


def test_every_answer_is_told() -> None:
    _, recorder = asked(sums)
    assert recorder.answers == ["torch.int64 value 10"]


REFUSED = {
    "data": lambda x: x.sum().item(),
    "from data": lambda x: (torch.arange(5, device=x.device) + x.long()).max().item(),
    "random": lambda x: torch.rand(3, device=x.device).max().item(),
    "random whole": lambda x: torch.randint(5, (2,), device=x.device).max().item(),
    "permutation": lambda x: torch.randperm(4, device=x.device)[0].item(),
    "unset": lambda x: torch.empty(3, device=x.device).sum().item(),
    "overwritten": lambda x: torch.zeros_like(x).add_(x).sum().item(),
    "copied over": lambda x: torch.zeros_like(x).view(-1).copy_(x.view(-1)).sum().item(),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_follow_is_refused_with_the_line(name: str) -> None:
    line = REFUSED[name].__code__.co_firstlineno
    with pytest.raises(DataDependent, match=rf"\(test_shadow.py line {line}\)"):
        asked(REFUSED[name])


def drawn_into(x: Any) -> Any:
    return torch.zeros(3, device=x.device).uniform_().sum().item()


def in_a_list(x: Any) -> Any:
    counts = torch.zeros_like(x)
    torch._foreach_add_([counts], [x])
    return counts.sum().item()


def after_the_same_call_on_data(x: Any) -> Any:
    (x * 2).add_(x)
    return torch.zeros_like(x).add_(x).sum().item()


@pytest.mark.parametrize("function", [drawn_into, in_a_list, after_the_same_call_on_data])
def test_what_was_overwritten_in_other_ways(function: Any) -> None:
    with pytest.raises(DataDependent):
        asked(function)


def test_lists_of_known_values() -> None:
    assert asked(lambda x: torch.arange(3, device=x.device).tolist())[0] == [0, 1, 2]


def test_a_view_of_what_was_overwritten_is_unknown() -> None:
    def stale(x: Any) -> Any:
        counts = torch.zeros(4, device=x.device)
        part = counts[:2]
        counts.add_(x.sum())
        return part.sum().item()

    with pytest.raises(DataDependent):
        asked(stale)


def test_one_random_number_is_a_half() -> None:
    """Stochastic depth asks it: which layers are dropped is taken as the middle of the range."""
    value, recorder = asked(lambda x: torch.rand(1, device=x.device).item())
    assert value == 0.5
    assert "a random number between 0 and 1 was taken as 0.5" in recorder.answers


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        mask = torch.arange(x.shape[1], device=x.device) > 2
        if mask.any():
            x = self.layer(x)
        return self.layer(x)


def test_the_page_says_what_was_answered() -> None:
    program = botec.read(Branches(), Input("B", "S", 4), B=2, S=6)
    assert program.assumed
    notes = botec.estimate(program).notes
    assert any("The model asked for a value that follows from shapes" in note for note in notes)


def test_what_an_op_only_reads_stays_known() -> None:
    """The same in-place call twice, so that the second is answered from the cache."""

    class Adds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            known = torch.ones(4, device=x.device)
            first, second = self.inner(x) * 1, self.inner(x) * 1
            first.add_(known)
            second.add_(known)
            return (first + second) * known.sum().item()

    program = botec.read(Adds(), botec.Input("B", 4))
    assert any(answer.endswith("value 4.0") for answer in program.assumed)


def test_what_is_expanded_is_worked_out_once() -> None:
    """A mask of a terabyte takes the memory of its one row."""
    wide = torch.ones(1, 1, 1, 2**10).expand(2**10, 2**10, 2**10, -1)
    given = (Reference(Known(None, (), {}, False, wide)), 0)
    value = evaluate(Known(torch.ops.aten.gt.Scalar, given, {}, False))
    assert value.shape == wide.shape
    assert value.untyped_storage().nbytes() == 2**10
