"""torch's compiler is not imported to read a network, and is whole for whoever compiles after."""

import subprocess
import sys

READS = """
import sys
import torch, botec
from botec.read.put_off import COMPILER, SYMBOLS, StandIn, is_put_off, put_off
put_off()
program = botec.read({model!r}, train=True)
away = [COMPILER, "scipy.optimize", "sympy", SYMBOLS, "torchvision.datasets"]
assert all(map(is_put_off, away)), [one for one in away if not is_put_off(one)]
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

SYMBOLIC = """
from itertools import product
from botec.read.put_off import PLAIN, SYMBOLS, StandIn, is_put_off, put_off
put_off()
import torch
import torch.fx.experimental.symbolic_shapes as quick
assert isinstance(quick, StandIn)
some = [True, False, 0, 3, 2.5, (), (3, 4), [3, 4], torch.Size([3, 4]), torch.Size([4, 3])]
some += [((3,), 4), torch.empty(3, 4, device="meta")]
def answers(asked, args):
    try:
        return asked(*args)
    except Exception as error:
        return type(error)
asked = [(name, args) for name in PLAIN for n in (1, 2) for args in product(some, repeat=n)]
plain = {place: answers(PLAIN[name], args) for place, (name, args) in enumerate(asked)}
known = {place: found for place, found in plain.items() if found not in (None, TypeError)}
assert {asked[place][0] for place in known} == set(PLAIN) and is_put_off(SYMBOLS)
import sympy
assert isinstance(sympy, StandIn) and is_put_off("sympy")
assert torch.ones(3, device="meta").mean().shape == () and is_put_off("sympy")
env = quick.ShapeEnv()
import torch.fx.experimental.symbolic_shapes as real
assert torch.fx.experimental.symbolic_shapes is real and not isinstance(real, StandIn)
for place, found in known.items():
    name, args = asked[place]
    truth = answers(getattr(real, name), args)
    same = truth == found and (type(truth) is type(found) or not truth)
    assert same, (name, args, found, truth)
assert quick.guard_or_false(env.create_unbacked_symint() == 3) is False
assert not is_put_off("sympy") and sympy.sqrt(4) == 2
from sympy import Basic
assert isinstance(sympy.sqrt(2), Basic) and sympy.Basic is Basic
"""
EXPORTS = """
from botec.read.from_torchvision import make_importable
from botec.read.put_off import EXPORTED, StandIn, is_put_off, put_off
put_off()
make_importable()
import torch, torchvision, torchvision.ops, sys
assert isinstance(torch.export, StandIn) and isinstance(torchvision.models, StandIn)
assert is_put_off(EXPORTED)
exported = torch.export.export(torch.nn.Linear(3, 2), (torch.ones(4, 3),))
assert exported.module()(torch.ones(4, 3)).shape == (4, 2)
assert torchvision.models.resnet18 is torchvision.models.get_model_builder("resnet18")
import torch.onnx
from torch.onnx._internal.torchscript_exporter.registration import registry
assert registry.is_registered_op("torchvision::nms", 11) and not is_put_off(EXPORTED)
"""
ALONE = """
from botec.read.from_torchvision import make_importable
from botec.read.put_off import put_off
put_off()
make_importable()
import transformers, torch
from transformers.utils import import_utils
assert not import_utils.is_torch_distributed_available()
assert torch.distributed.is_available()
assert import_utils.create_import_structure_from_path.cache_info().maxsize is None
from transformers import GPT2Config, GPT2LMHeadModel
model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=9))
x = torch.zeros(1, 4, dtype=torch.long)
model(x, labels=x).loss.backward()
"""


def run(text: str) -> None:
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_reading_imports_no_compiler_and_compiling_does():
    run(READS.format(model="torchvision:resnet18") + COMPILES)


def test_a_library_leaves_imports_as_they_are():
    reads = READS.format(model="torchvision:resnet18").replace("\nput_off()", "")
    run(reads.replace("assert all(map(is_put_off, away))", "assert not any(map(is_put_off, away))"))


def test_what_is_marked_before_is_marked_after():
    run(MARKED)


def test_sizes_that_are_numbers_are_answered_as_torch_does():
    run(SYMBOLIC)


def test_whoever_exports_has_all_of_it():
    run(EXPORTS)


def test_transformers_is_alone():
    run(ALONE)
