"""ONNX files: every operator against ONNX's own reference implementation, which shares no code with
torch; whole networks against the torch modules they were exported from."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import nn

import botec
from botec.analyses.count import count
from botec.errors import BadInput, DataDependent
from botec.measure.verify import verify
from botec.read.from_onnx import inputs_of, source
from botec.read.onnx.graph import Network
from botec.read.onnx.registry import translations

GENERATOR = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return GENERATOR.standard_normal(shape).astype(np.float32)


def whole(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


X = normal(2, 4, 6, 6)
ROWS = normal(3, 5)
#: Operator, its inputs (what is listed after a bar is stored in the file), and its attributes.
ONE = [
    "Abs", "Neg", "Exp", "Sigmoid", "Tanh", "Relu", "Erf", "Floor", "Ceil", "Round", "Sign",
    "Reciprocal", "Sin", "Cos", "Tan", "Atan", "Sinh", "Cosh", "Asinh", "Softplus", "Softsign",
    "HardSwish", "Mish", "Elu", "Celu", "Selu", "LeakyRelu", "ThresholdedRelu", "HardSigmoid",
    "Gelu", "Identity", "Softmax", "LogSoftmax", "Hardmax", "IsNaN", "IsInf", "Shrink", "Swish",
]  # fmt: skip
CASES = [
    *[(kind, [ROWS], [], {}) for kind in ONE],
    *[(kind, [np.abs(ROWS) + 1.1], [], {}) for kind in ("Sqrt", "Log", "Acosh")],
    *[(kind, [np.tanh(ROWS)], [], {}) for kind in ("Asin", "Acos", "Atanh")],
    *[(kind, [ROWS, normal(3, 5)], [], {}) for kind in ("Add", "Sub", "Mul", "Div", "Max", "Min")],
    *[(kind, [ROWS, normal(5)], [], {}) for kind in ("Less", "Greater", "LessOrEqual", "Equal")],
    *[(kind, [ROWS > 0, ROWS < 1], [], {}) for kind in ("And", "Or", "Xor")],
    ("Not", [ROWS > 0], [], {}),
    ("Pow", [np.abs(ROWS), normal(5)], [], {}),
    ("Div", [np.array([-7, 7]), whole(2, -2)], [], {}),
    ("Mod", [whole(-7, 7, 5), whole(3, 3, -3)], [], {}),
    ("Mod", [ROWS, normal(3, 5)], [], {"fmod": 1}),
    ("Sum", [ROWS, ROWS, ROWS], [], {}),
    ("Mean", [ROWS, normal(3, 5)], [], {}),
    ("Where", [ROWS > 0, ROWS, normal(3, 5)], [], {}),
    ("Clip", [ROWS], [np.float32(-0.5), np.float32(0.5)], {}),
    ("PRelu", [X], [normal(4, 1, 1)], {}),
    ("Gelu", [ROWS], [], {"approximate": "tanh"}),
    ("HardSigmoid", [ROWS], [], {"alpha": 1 / 6, "beta": 0.5}),
    ("MatMul", [ROWS], [normal(5, 7)], {}),
    ("MatMul", [normal(2, 3, 4), normal(2, 4, 5)], [], {}),
    ("Gemm", [ROWS], [normal(7, 5), normal(7)], {"transB": 1}),
    ("Gemm", [ROWS], [normal(5, 7), normal(7)], {"alpha": 0.5, "beta": 2.0}),
    ("Gemm", [normal(5, 3)], [normal(5, 7)], {"transA": 1}),
    ("Einsum", [ROWS, normal(5, 2)], [], {"equation": "ij,jk->ki"}),
    ("Conv", [X], [normal(8, 4, 3, 3), normal(8)], {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
    ("Conv", [X], [normal(8, 2, 3, 3)], {"group": 2, "dilations": [2, 2], "pads": [2, 1, 0, 1]}),
    ("Conv", [X], [normal(4, 4, 3, 3)], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("Conv", [normal(2, 4, 9)], [normal(3, 4, 2)], {"auto_pad": "SAME_LOWER"}),
    ("ConvTranspose", [X], [normal(4, 3, 3, 3)], {"strides": [2, 2], "output_padding": [1, 1]}),
    ("MaxPool", [X], [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("AveragePool", [X], [], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("AveragePool", [X], [], {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1}),
    ("GlobalAveragePool", [X], [], {}),
    ("GlobalMaxPool", [X], [], {}),
    ("BatchNormalization", [X], [normal(4), normal(4), normal(4), np.abs(normal(4)) + 1], {}),
    ("LayerNormalization", [ROWS], [normal(5), normal(5)], {}),
    ("InstanceNormalization", [X], [normal(4), normal(4)], {}),
    ("GroupNormalization", [X], [normal(4), normal(4)], {"num_groups": 2, "opset": 21}),
    ("LRN", [np.abs(normal(4, 4, 3, 3))], [], {"size": 3}),  # the reference needs as many examples
    ("LpNormalization", [ROWS], [], {"axis": 1}),
    ("Softmax", [X], [], {"axis": 1}),
    *[
        (kind, [np.abs(X) + 1], [whole(1, 3)], {"keepdims": 0})
        for kind in (
            "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1",
            "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare",
        )
    ],
    ("ReduceSum", [X], [], {}),
    ("ArgMax", [ROWS], [], {"axis": 1}),
    ("ArgMin", [ROWS], [], {"axis": 0, "keepdims": 0}),
    ("CumSum", [ROWS], [np.array(1)], {}),
    ("CumSum", [ROWS], [np.array(1)], {"reverse": 1, "exclusive": 1}),
    ("TopK", [ROWS], [whole(2)], {}),
    ("Reshape", [X], [whole(0, -1, 3)], {}),
    ("Flatten", [X], [], {}),
    ("Flatten", [X], [], {"axis": 2}),
    ("Flatten", [X], [], {"axis": 0}),
    ("Transpose", [X], [], {"perm": [0, 2, 3, 1]}),
    ("Transpose", [ROWS], [], {}),
    ("Squeeze", [normal(1, 3, 1)], [whole(2)], {}),
    ("Unsqueeze", [ROWS], [whole(0, 3)], {}),
    ("Concat", [ROWS, normal(2, 5)], [], {"axis": 0}),
    ("Split", [ROWS], [whole(2, 3)], {"axis": 1}),
    ("Slice", [X], [whole(1, -5), whole(9, -1), whole(1, 2)], {}),
    ("Slice", [ROWS], [whole(4), whole(-9), whole(1), whole(-2)], {}),
    ("Gather", [ROWS], [whole(2, 0)], {}),
    ("Gather", [ROWS], [np.array(-1)], {"axis": 1}),
    ("Gather", [X], [whole(3, 1)], {"axis": 2}),
    ("GatherElements", [ROWS], [np.array([[0, 4], [1, 1], [2, 3]])], {"axis": 1}),
    ("GatherND", [ROWS], [np.array([[0, 4], [1, 1]])], {}),
    ("ScatterND", [ROWS, normal(2, 5)], [np.array([[2], [0]])], {}),
    ("ScatterElements", [ROWS, normal(1, 2)], [np.array([[3, 1]])], {"axis": 1}),
    ("Expand", [normal(3, 1)], [whole(2, 1, 4)], {}),
    ("Tile", [ROWS], [whole(2, 3)], {}),
    ("Pad", [X], [whole(0, 0, 1, 2, 0, 0, 3, 0), np.float32(2)], {}),
    ("Pad", [X], [whole(0, 0, 1, 1, 0, 0, 1, 1)], {"mode": "reflect"}),
    ("Pad", [X], [whole(0, 0, 1, 1, 0, 0, 1, 1)], {"mode": "edge"}),
    ("DepthToSpace", [X], [], {"blocksize": 2}),
    ("DepthToSpace", [X], [], {"blocksize": 2, "mode": "CRD"}),
    ("SpaceToDepth", [X], [], {"blocksize": 2}),
    ("Trilu", [ROWS], [], {}),
    ("Trilu", [ROWS], [np.array(-1)], {"upper": 0}),
    ("OneHot", [whole(1, 0, 2)], [np.array(4), normal(2)], {}),
    ("NonZero", [np.array([[1.0, 0.0], [2.0, 3.0]], np.float32)], [], {}),
    ("Resize", [X], [None, np.array([1, 1, 2, 2], np.float32)], {"mode": "linear"}),
    ("Cast", [ROWS], [], {"to": TensorProto.INT32}),
    ("CastLike", [ROWS, whole(1)], [], {}),
    ("Shape", [X], [], {"start": 1}),
    ("Size", [X], [], {}),
]  # fmt: skip
#: In the order of the operator's inputs where what is stored does not come last.
ORDER = {"ScatterND": (0, 2, 1), "ScatterElements": (0, 2, 1)}
COVERED_ELSEWHERE = {
    "Dropout", "GreaterOrEqual", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot",
    "ConstantOfShape", "Range", "Upsample", "Scatter", "GridSample", "Attention",
    "RMSNormalization", "SimplifiedLayerNormalization", "LSTM", "GRU", "RNN",
}  # fmt: skip


def model_of(kind: str, given: list, kept: list, outputs: int = 1, opset: int = 20, **attributes):
    """A model of one node: its inputs ``x0``, …, and what it stores, ``w0``, …"""
    names = [f"x{i}" for i in range(len(given))]
    stored = ["" if one is None else f"w{i}" for i, one in enumerate(kept)]
    all_names = [*names, *stored]
    all_names = [all_names[place] for place in ORDER.get(kind, range(len(all_names)))]
    made = [f"y{i}" for i in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node(kind, all_names, made, name=kind, **attributes)], "one",
        [value(name, one) for name, one in zip(names, given, strict=True)],
        [helper.make_empty_tensor_value_info(name) for name in made],
        [numpy_helper.from_array(np.asarray(one), name)
         for name, one in zip(stored, kept, strict=True) if one is not None],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def value(name: str, array: np.ndarray):
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
    )


def both(model, given: list[np.ndarray]):
    """Outputs of the translation and of the reference implementation."""
    names = [one.name for one in model.graph.input]
    network = Network(model, "", {name: name for name in names})
    with torch.no_grad():
        found = network(**{n: torch.from_numpy(x) for n, x in zip(names, given, strict=True)})
    found = found if isinstance(found, tuple) else (found,)
    wanted = ReferenceEvaluator(model).run(None, dict(zip(names, given, strict=True)))
    return [np.asarray(one) for one in found], wanted


@pytest.mark.parametrize(("kind", "given", "kept", "attributes"), CASES)
def test_operator_is_what_the_reference_says(kind, given, kept, attributes):
    outputs = 2 if kind in ("Split", "TopK") else 1
    model = model_of(kind, given, kept, outputs, **attributes)
    for found, wanted in zip(*both(model, given), strict=True):
        assert found.shape == wanted.shape
        # single precision, summed in another order by either side
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_no_operator_is_without_a_test():
    assert set(translations()) - {case[0] for case in CASES} == COVERED_ELSEWHERE


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("ways", [1, 2])
def test_recurrent_layers_are_what_the_reference_says(kind, ways):
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    kept = [
        normal(ways, gates * 4, 3),
        normal(ways, gates * 4, 4),
        normal(ways, 2 * gates * 4),
    ]
    more = {"linear_before_reset": 1} if kind == "GRU" else {}
    direction = "bidirectional" if ways == 2 else "forward"
    model = model_of(kind, [normal(5, 2, 3)], kept, 2, hidden_size=4, direction=direction, **more)
    x = normal(5, 2, 3)
    with torch.no_grad():
        found = Network(model, "", {"x0": "x0"})(x0=torch.from_numpy(x))[0].numpy()
    # the reference has one direction: a way at a time, time turned round for the second
    for way, turned in enumerate((x, x[::-1].copy())[:ways]):
        alone = model_of(kind, [x], [one[way : way + 1] for one in kept], 2, hidden_size=4, **more)
        wanted = ReferenceEvaluator(alone).run(None, {"x0": turned})[0][:, 0]
        wanted = wanted[::-1] if way else wanted
        np.testing.assert_allclose(found[:, way], wanted, rtol=1e-4, atol=1e-5)


def test_old_operators_had_their_numbers_as_attributes():
    model = model_of("Clip", [ROWS], [], opset=10, min=-0.5, max=0.5)
    network = Network(model, "", {"x0": "x0"})
    assert torch.equal(network(x0=torch.from_numpy(ROWS)), torch.from_numpy(ROWS).clamp(-0.5, 0.5))
    model = model_of("Softmax", [X], [], opset=11)
    found = Network(model, "", {"x0": "x0"})(x0=torch.from_numpy(X))
    assert torch.allclose(found.sum(dim=(1, 2, 3)), torch.ones(2))


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(1, 2)
        self.blocks = nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=1) for _ in range(2)))
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.blocks(self.norm(self.stem(x)).relu())
        heads = x.flatten(2).transpose(1, 2)
        mixed = (heads @ heads.transpose(1, 2)).softmax(-1) @ heads
        return self.head(mixed.reshape(x.shape[0], -1, 8).mean(1))


class Spoken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 16)
        self.memory = nn.LSTM(16, 12, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(24, 50)

    def forward(self, ids):
        return self.head(self.memory(self.words(ids))[0])


def exported(module: nn.Module, example, path: Path, axes, folding=False) -> str:
    """An ONNX file by torch's exporter that needs nothing else installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), (example,), str(path), dynamo=False, input_names=["x"],
            dynamic_axes={"x": axes}, opset_version=17, do_constant_folding=folding,
        )  # fmt: skip
    return f"onnx:{path}"


NETWORKS = {
    "pictures": (Small, torch.randn(2, 3, 8, 8), {0: "B"}, botec.Input("B", 3, 8, 8)),
    "words": (Spoken, torch.ones(2, 6, dtype=torch.long), {0: "B", 1: "S"},
              botec.Input("B", "S", dtype="int64")),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("train", [True, False])
def test_exported_network_counts_as_the_module_does(name, train, tmp_path):
    make, example, axes, shape = NETWORKS[name]
    module = make()
    file = exported(module, example, tmp_path / "network.onnx", axes, name == "words")
    point = {"B": 3, "S": 7} if name == "words" else {"B": 3}
    found = botec.read(file, train=train, **point)
    wanted = botec.read(module, shape, train=train, **point)
    assert count(found).multiplications(**point) == count(wanted).multiplications(**point)
    assert weights(found) == weights(wanted)
    assert found.why == wanted.why == ""


def weights(program) -> int:
    return sum(math.prod(one.tensor.shape) for one in program.parameters)


def test_scopes_and_weights_have_their_authors_names(tmp_path):
    file = exported(Small(), torch.randn(2, 3, 8, 8), tmp_path / "network.onnx", {0: "B"})
    program = botec.read(file)
    assert {"stem", "norm", "blocks.0", "blocks.1", "head"} <= set(program.scopes)
    names = {name for one in program.parameters for name in one.names}
    assert {"stem.weight", "blocks.1.bias", "head.bias"} <= names
    assert {name for one in program.buffers for name in one.names} >= {"norm.running_mean"}


def test_real_weights_are_the_files(tmp_path):
    module = Small()
    example = torch.randn(2, 3, 8, 8)
    file = exported(module, example, tmp_path / "network.onnx", {0: "B"})
    network = source(file, False).build()
    with torch.no_grad():
        assert torch.allclose(network(x=example), module(example), atol=1e-5)


def test_file_is_verified_by_a_real_run(tmp_path):
    file = exported(Small(), torch.randn(2, 3, 8, 8), tmp_path / "network.onnx", {0: "B"})
    figures = verify(file, B=4).figures
    peak = figures["memory.peak"]
    assert peak.measured is not None
    assert peak.counted.value == pytest.approx(peak.measured.value, rel=0.02)


def test_free_sizes_keep_the_files_names():
    shape = ["batch size", None, 7, ""]
    graph_input = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, shape)
    (found,) = inputs_of([graph_input], "asked")
    assert str(found) == "input_1=batch_size,D1,7,D3:float32"


def written(model, tmp_path: Path) -> str:
    path = tmp_path / "network.onnx"
    onnx.save(model, str(path))
    return f"onnx:{path}"


def test_unknown_operator_is_refused_by_name(tmp_path):
    model = model_of("Relu", [ROWS], [])
    model.graph.node[0].op_type = "Frobnicate"
    model.graph.node[0].domain = "com.example"
    with pytest.raises(BadInput, match=r"no translation for the operator com\.example\.Frobnicate"):
        botec.read(written(model, tmp_path))


def test_shape_from_data_is_refused(tmp_path):
    model = model_of("Reshape", [ROWS, whole(5, 3)], [])
    with pytest.raises(DataDependent, match="Reshape: shape depends on data"):
        botec.read(written(model, tmp_path), train=False)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x07\x12\x04bote"])
def test_what_is_no_onnx_file_is_refused(content, tmp_path):
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(BadInput, match="not an ONNX file"):
        botec.read(f"onnx:{tmp_path}/x.onnx")


def test_absent_file_is_refused_with_the_nearest(tmp_path):
    (tmp_path / "resnet.onnx").touch()
    with pytest.raises(BadInput, match=r"no such file; did you mean resnet\.onnx\?"):
        botec.read(f"onnx:{tmp_path}/resnet1.onnx")


def test_weights_beside_the_file_are_not_opened(tmp_path):
    model = model_of("MatMul", [normal(3, 64)], [normal(64, 7)])
    onnx.save(
        model, str(tmp_path / "network.onnx"), save_as_external_data=True, size_threshold=0,
        location="weights.bin",
    )  # fmt: skip
    (tmp_path / "weights.bin").unlink()
    program = botec.read(f"onnx:{tmp_path}/network.onnx")
    assert count(program).multiplications() == 3 * (3 * 64 * 7) - 3 * 64 * 7  # x takes no gradient


def test_branch_is_taken_where_the_graph_fixes_it(tmp_path):
    parts = {
        name: helper.make_graph([helper.make_node(kind, ["x0"], [name])], name, [],
                                [helper.make_empty_tensor_value_info(name)])
        for name, kind in (("yes", "Relu"), ("no", "Exp"))
    }  # fmt: skip
    model = model_of("If", [ROWS], [], then_branch=parts["yes"], else_branch=parts["no"])
    nodes = [
        helper.make_node("Shape", ["x0"], ["s"]),
        helper.make_node("Gather", ["s", "first"], ["rows"]),
        helper.make_node("Equal", ["rows", "three"], ["c"]),
    ]
    model.graph.node[0].input[0] = "c"
    del model.graph.node[1:]
    last = model.graph.node.pop()
    model.graph.node.extend([*nodes, last])
    model.graph.initializer.extend(
        [numpy_helper.from_array(np.array(n), name) for name, n in (("first", 0), ("three", 3))]
    )
    (found,), (wanted,) = both(model, [ROWS])
    np.testing.assert_allclose(found, wanted)
    assert found.min() == 0
