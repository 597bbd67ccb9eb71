"""torch's compiler is not imported to read a network, and is whole for whoever compiles after."""

import subprocess
import sys

READS = """
import sys
import torch, botec
from botec.read.put_off import COMPILER, StandIn, is_put_off, put_off
put_off()
program = botec.read({model!r}, train=True)
assert is_put_off(COMPILER) and is_put_off("scipy.optimize"), "imported"
"""
COMPILES = """
import torch._dynamo.config
compiler = sys.modules[COMPILER]
assert not isinstance(compiler, StandIn) and torch._dynamo is compiler
assert torch._dynamo.config.__spec__.loader is not None
layer, x = torch.nn.Linear(4, 2), torch.randn(3, 4)
compiled = torch.compile(layer, backend="eager")
assert torch.equal(compiled(x), layer(x))
compiled(x).sum().backward()
optimizer = torch.optim.Adam(layer.parameters())
before = layer.weight.detach().clone()
torch.compile(optimizer.step, backend="eager")()
assert not torch.equal(before, layer.weight)
optimizer.step()
optimizer.zero_grad()
from scipy.optimize import brentq, linear_sum_assignment
assert abs(brentq(lambda x: x - 0.5, 0, 1) - 0.5) < 1e-9
assert linear_sum_assignment([[1, 2], [2, 1]])[0].tolist() == [0, 1]
"""
MARKED = """
import torch, sys
from botec.read.put_off import COMPILER, StandIn, put_off
put_off()
@torch.compiler.disable
def alone(x): return x + 1
@torch._dynamo.allow_in_graph
def known(x): return x * 2
assert float(alone(torch.ones(()))) == 2 and isinstance(sys.modules[COMPILER], StandIn)
graphs = []
def backend(graph, inputs):
    graphs.append(graph)
    return graph.forward
f = torch.compile(lambda x: alone(known(x)) + 1, backend=backend)
assert float(f(torch.ones(()))) == 4
called = [node.target for graph in graphs for node in graph.graph.nodes]
assert known in called and alone not in called, called
"""


def run(text: str) -> None:
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_reading_imports_no_compiler_and_compiling_does():
    run(READS.format(model="torchvision:resnet18") + COMPILES)


def test_a_library_leaves_imports_as_they_are():
    reads = READS.format(model="torchvision:resnet18").replace("\nput_off()", "")
    run(reads.replace("assert is_put_off(COMPILER) and", "assert not is_put_off(COMPILER) and not"))


def test_what_is_marked_before_is_marked_after():
    run(MARKED)
