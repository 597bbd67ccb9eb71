"""The graph of a forward pass, judged by the real module: the graph, run op by op, is the model."""

from __future__ import annotations

import numpy
import pytest
import torch
from torch import nn

from botec.errors import DataDependent
from botec.graph import LOOK, PUT
from botec.inputs import Input
from botec.read.executor import Executor, real
from botec.read.tape import tape


def filled(given, values):
    if isinstance(given, tuple):
        return tuple(filled(one, values) for one in given)
    return None if given is None else values[given]


def played(graph, weights, *inputs):
    """Every value of the graph, each op run by the executor."""
    values = {**graph.constants, **weights.of(graph)}
    values.update(zip(graph.inputs, inputs, strict=True))
    for node in graph.nodes:
        given = {name: filled(one, values) for name, one in node.given.items()}
        for number, out in zip(node.outputs, Executor().run(node.call, given), strict=False):
            if number is not None:
                assert number not in values, "a value is defined twice"
                values[number] = out
    return values


class Written(nn.Module):
    """Writes through views, in every order."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([2.0, 3.0, 5.0, 7.0]))

    def forward(self, x):
        y = x * self.scale
        first, rest = y[:, :2], y[:, 2:]
        first.add_(1.0)  # through one view
        y.mul_(2.0)  # through the whole
        rest[:, 1] = first[:, 0]  # through a view of a view, from another
        z = y.view(-1)
        z.relu_()
        turned = y.t()
        turned.transpose_(0, 1)  # another look, nothing written
        return turned + rest.sum(), first


class Constants(nn.Module):
    """Meets tensors of its own that are no buffers, and values that follow from shapes."""

    def __init__(self):
        super().__init__()
        self.table = torch.arange(12.0).reshape(3, 4)

    def forward(self, x):
        keep = torch.arange(x.shape[1]).flip(0)
        return (x[:, keep] * torch.tensor([1.0, 10.0, 100.0, 1000.0])) @ self.table.t()


@pytest.mark.parametrize("model", [Written(), Constants()], ids=lambda m: type(m).__name__)
def test_the_graph_run_op_by_op_is_the_model(model):
    graph = tape(model, Input("B", 4), B=3)
    x = torch.randn(3, 4)
    values = played(graph, real(model, Input("B", 4)), x.numpy())
    with torch.no_grad():
        expected = model(x)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for number, one in zip(graph.outputs, expected, strict=True):
        assert numpy.array_equal(values[number], one.numpy())


def test_a_write_through_a_view_is_put_into_the_whole():
    ops = [node.call.op for node in tape(Written(), Input("B", 4), B=3).nodes]
    assert PUT in ops
    assert LOOK in ops


@pytest.mark.parametrize("name", ["torchvision:resnet18", "torchvision:swin_t"])
def test_networks_from_the_zoo_are_their_graphs(name):
    graph, weights = tape(name, B=1), real(name, seed=1)
    x = numpy.random.randn(*graph.values[graph.inputs[0]].shape).astype("float32")
    from botec.read.doors import open_source

    torch.manual_seed(1)
    model = open_source(name).build().eval()
    with torch.no_grad():
        expected = model(torch.from_numpy(x))
    assert numpy.array_equal(played(graph, weights, x)[graph.outputs[0]], expected.numpy())


def test_names_axes_scopes_and_turns():
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    graph = tape(model, Input("B", 4), B=3)
    assert graph.axes == {graph.inputs[0]: ("B", "x1")}
    assert graph.named("parameter").keys() == {"0.weight", "0.bias"}
    products = [node for node in graph.nodes if node.call.op == "aten.addmm"]
    assert [(node.scope, node.turn) for node in products] == [("0", 0), ("0", 1)]
    assert graph.scopes["1"] == "ReLU"
    assert graph.values[graph.outputs[0]].node == len(graph.nodes) - 1
    weight = graph.named("parameter")["0.weight"]
    assert [graph.nodes[place].call.op for place in graph.users[weight]] == ["aten.t"] * 2


def test_the_loss_is_part_of_the_graph_where_it_is_asked_for():
    graph = tape(nn.Linear(4, 2), Input("B", 4), B=3, train=True, loss=True)
    assert graph.nodes[-1].call.op == "aten.mean"
    assert graph.nodes[-1].results == (graph.loss,)


def test_gradients_are_those_of_the_framework():
    graph = tape(nn.Sequential(nn.Linear(4, 4), nn.GELU()), Input("B", 4), B=3)
    node = graph.nodes[-1]
    particles = numpy.linspace(-3, 3, 1001)
    (y,) = Executor().run(node.call, {"self": particles})
    found = Executor().pull(node.call, {"self": particles}, [numpy.ones_like(particles)])
    x = torch.tensor(particles, requires_grad=True)
    torch.nn.functional.gelu(x).sum().backward()
    assert numpy.array_equal(y, torch.nn.functional.gelu(x).detach().numpy())
    assert numpy.array_equal(found["self"], x.grad.numpy())


def test_values_that_follow_from_shapes_are_known():
    graph = tape(Constants(), Input("B", 4), B=3)
    (gather,) = [node for node in graph.nodes if node.call.op == "aten.index"]
    keep = next(one for one in gather.given["indices"] if one is not None)
    assert Executor().known(graph, keep).tolist() == [3, 2, 1, 0]
    assert Executor().known(graph, graph.outputs[0]) is None


def test_a_graph_that_depends_on_data_is_refused_with_the_authors_line():
    class Branching(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(DataDependent, match=r"needs a value that only real data gives \(test_tape"):
        tape(Branching(), Input("B", 4), B=3)


def test_a_users_own_module_is_left_as_it_was():
    model = Written()
    tape(model, Input("B", 4), B=3)
    assert not model.scale.is_meta
    assert model.scale.tolist() == [2.0, 3.0, 5.0, 7.0]
