"""Formulas in width and depth: against textbooks, against real modules, against fresh reads."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from botec.analyses.axes import parse_axes
from botec.analyses.count import count
from botec.analyses.figures import maximum
from botec.analyses.memory import memory
from botec.analyses.moments import module_places, nearer
from botec.analyses.quantities import quantities
from botec.analyses.structure import NoFormula, Structured, structure
from botec.analyses.structures import asked_table, figures_in_fields, sections
from botec.errors import BadInput, BotecError
from botec.program import Program

torch = pytest.importorskip("torch")
from botec.inputs import Input  # noqa: E402
from botec.read import read  # noqa: E402
from botec.read.varied import read_with  # noqa: E402


def needs(package: str) -> None:
    """Skip without a package. (Importing it here would miss what botec's door does before.)"""
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def studied(
    model: str, texts: list[str], inputs: tuple[Input, ...] = (), **options: Any
) -> Structured:
    """The formulas of ``model`` in the fields of ``texts``."""
    axes = parse_axes(texts)

    def at(sizes: tuple[int, ...]) -> Program:
        fields: dict[str, int] = {}
        for axis, size in zip(axes, sizes, strict=True):
            fields |= axis.fields(size) or {}
        return read_with(model, fields, inputs, options)

    return structure(axes, at)


def widest(found: Structured, key: str) -> str:
    return maximum(found.known[key].of(found.program.streams[0]))


LINEAR = '''
from torch import nn

def chain(width=8, layers=3):
    """No bias and nothing between the layers: what textbooks count."""
    return nn.Sequential(*[nn.Linear(width, width, bias=False) for _ in range(layers)])
'''


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("net") / "net.py"
    path.write_text(LINEAR, encoding="utf-8")
    return f"{path}:chain"


AXES = ["width=4,6,10", "layers=3,4,8"]
N = (Input("n", "width"),)


def test_the_textbooks_work_comes_out_by_itself(chain: str) -> None:
    """An L-layer, K-wide network and batch n: nK²L forward, 3nK²L - nK² for a step.

    The first layer has no gradient of its input to work out, hence the last term.
    """
    found = studied(chain, AXES, N, optimizer=None)
    assert widest(found, "multiplications.forward") == "layers*n*width**2"
    assert widest(found, "multiplications.step") == "3*layers*n*width**2 - n*width**2"
    assert widest(found, "parameters") == "layers*width**2"


def test_the_textbooks_memory_comes_out_by_itself(chain: str) -> None:
    """LK² + 2nK entries to infer, 2LK² + LnK to train, each of four bytes.

    A caller holds its input as well as the layer at work, which is nK more. In training the
    textbook adds all gradients to all activations; a real step lets the one go as the other comes,
    so its peak lies below that sum, but for the two values of the layer at work and the loss.
    """
    inferred = studied(chain, AXES, N, train=False)
    assert widest(inferred, "memory.peak") == "4*layers*width**2 + 12*n*width"
    trained = studied(chain, AXES, N, optimizer=None)
    saved = "4*layers*n*width - 4*n*width"  # the inputs of all layers but the first, which is given
    assert widest(trained, "memory.saved").startswith(saved)
    assert widest(trained, "memory.weights") == "4*layers*width**2"
    for point in ({"n": 64, "width": 20, "layers": 9}, {"n": 2, "width": 400, "layers": 30}):
        n, k, deep = point["n"], point["width"], point["layers"]
        textbook = 4 * (2 * deep * k**2 + deep * n * k)
        peak = trained.known["memory.peak"].at(**point)
        assert 4 * (2 * deep * k**2 + n * k) <= peak <= textbook + 4 * (3 * n * k) + 64


@pytest.mark.slow
def test_what_the_optimizer_keeps_comes_on_top(chain: str) -> None:
    trained = studied(chain, AXES, N, optimizer=None)
    kept = studied(chain, AXES, N, optimizer="adam")
    more = kept.known["memory.peak"].at(n=2, width=400, layers=30)
    least = trained.known["memory.peak"].at(n=2, width=400, layers=30)
    averages, at_work = 8 * 30 * 400**2, 12 * 400**2  # of every weight; of the one it updates
    assert averages <= more - least <= averages + at_work


@pytest.mark.parametrize("train", [True, False])
def test_a_structure_nobody_sampled_is_what_a_fresh_read_gives(train: bool) -> None:
    """Every figure at three structures far from the samples, in each regime of the batch."""
    found = studied("mlp:KxL", ["K=16,32,64", "L=3,4,8"], train=train)
    for width, layers in ((80, 5), (160, 21), (400, 3)):
        fresh = read(f"mlp:{width}x{layers}", train=train)
        for batch in (1, 2, 37, 5000):
            counts, timeline = count(fresh, B=batch), memory(fresh, B=batch)
            point = {"B": batch, "K": width, "L": layers}
            for key, one in found.known.items():
                measure, _, span = key.partition(".")
                if measure in ("multiplications", "flops", "bytes") and span != "step":
                    assert one.at(**point) == counts.total(measure, [span]).at(B=batch), key
            assert found.known["memory.peak"].at(**point) == timeline.fullest.bytes
            assert found.known["parameters"].at(**point) == layers * (width**2 + width)


RESIDUAL = '''
from torch import nn

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.one = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.two = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm, self.last = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
    def forward(self, x):
        y = self.last(self.two(self.norm(self.one(x)).relu()))
        return (x + y).relu()

class Residual(nn.Module):
    """A stem, stages of blocks that halve the picture, a head."""
    def __init__(self, width=8, depth=2):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 7, stride=2, padding=3)
        self.first = nn.Sequential(*[Block(width) for _ in range(depth)])
        self.down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.second = nn.Sequential(*[Block(2 * width) for _ in range(depth)])
        self.head = nn.Linear(2 * width, 10)
    def forward(self, x):
        x = self.second(self.down(self.first(self.stem(x))))
        return self.head(x.mean((2, 3)))
'''


@pytest.mark.slow
def test_a_residual_network_in_width_depth_and_size(tmp_path: Path) -> None:
    """Odd pictures, held against fresh reads of structures the fit has not seen."""
    path = tmp_path / "residual.py"
    path.write_text(RESIDUAL, encoding="utf-8")
    model, picture = f"{path}:Residual", (Input("B", 3, "H", "W", name="x"),)
    sizes = {"B": 2, "H": 33, "W": 35}
    found = studied(model, ["width=4,8,16", "depth=2,3,4"], picture, **sizes)
    assert found.why == ""
    for width, depth in ((12, 5), (24, 3)):
        fresh = read(f"{model}(width={width}, depth={depth})", *picture, **sizes)
        for point in ({"B": 3, "H": 41, "W": 57}, {"B": 2, "H": 128, "W": 99}):
            there = {**point, "width": width, "depth": depth}
            agree(found, fresh, point, there)


def agree(found: Structured, fresh: Program, point: Mapping[str, int], there: Any) -> None:
    """Figures of a structure by formula, and read afresh."""
    counts = count(fresh, **point)
    for measure in ("multiplications", "flops", "bytes"):
        assert found.known[f"{measure}.step"].at(**there) == counts.total(measure).at(**point)
    assert found.known["memory.peak"].at(**there) == memory(fresh, **point).fullest.bytes
    real = sum(one.tensor.elements for one in fresh.parameters)
    assert found.known["parameters"].at(**there) == real


GPT = "n_embd=64,128 n_head=2,4"
LLAMA = (
    "hidden_size=64,128 intermediate_size=128,256 num_attention_heads=2,4 num_key_value_heads=2,4"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "texts", "options", "other"),
    [
        ("transformers:gpt2", [GPT, "n_layer=3,4"], {"S": 24}, ("n_embd=320,n_head=10,n_layer=7")),
        (
            "transformers:llama",
            [LLAMA, "num_hidden_layers=3,4"],
            {"S": 24},
            "hidden_size=320,intermediate_size=640,num_attention_heads=10,num_key_value_heads=10,"
            "num_hidden_layers=6",
        ),
        (
            "timm:vit_tiny_patch16_224",
            ["embed_dim=64,128 num_heads=2,4", "depth=3,4"],
            {},
            "embed_dim=320,num_heads=10,depth=7",
        ),
        ("timm:resnet50", ["base_width=32,64"], {}, "base_width=160"),
    ],
)
def test_transformers_and_timm(model: str, texts: list[str], options: Any, other: str) -> None:
    needs(model.partition(":")[0])
    found = studied(model, texts, **options)
    assert found.why == ""
    fresh = read(f"{model}?{other}", **options)
    pairs = (part.split("=") for part in other.split(","))
    fields = {name: int(size) for name, size in pairs if name in found.program.asked}
    for batch in (2, 7):
        point = {**fresh.asked, "B": batch}
        agree(found, fresh, point, {**point, **fields})


# --- what has no formula -------------------------------------------------------------------------


def made(build: Any, text: str = "k=2,4,6") -> Structured:
    return structure(parse_axes([text]), lambda sizes: read(build(*sizes), Input("B", 12)))


def test_a_field_nobody_reads_is_refused() -> None:
    found = made(lambda k: torch.nn.Linear(12, 5))
    assert found.why == "k changes no figure of this model"
    assert (found.known, sorted(found.samples)) == ({}, [(2,), (4,), (6,)])


def test_what_is_no_polynomial_is_refused_and_answered_in_numbers() -> None:
    """A width that is a power of the field, another that is its remainder."""
    for build in (
        lambda k: torch.nn.Linear(12, 2**k),
        lambda k: torch.nn.Linear(12, 1 + k**3 % 11),
    ):
        found = made(build)
        assert "none in k" in found.why or "no polynomial" in found.why
        axes = parse_axes(["k=2,4,6"])
        (growth, table) = sections(found, axes, figures_in_fields(found, {}))
        assert growth.parts[0].text == f"There is no formula in k: {found.why}."
        rows = asked_table(found, axes).rows
        assert [row[0] for row in rows] == [2, 4, 6]
        assert all(None not in row for row in rows)
        assert table.title == "Structures"


def test_a_formula_that_ends_says_where() -> None:
    """From a width of 14 on there is a layer more: proved as far as the largest asked size."""

    def build(k: int) -> Any:
        layers = [torch.nn.Linear(12, k), *([torch.nn.Linear(k, k)] if k >= 14 else [])]
        return torch.nn.Sequential(*layers)

    found = made(build, "k=2,4,6")
    assert found.why == ""
    regime = found.program.streams[0].regime
    assert (regime.least["k"], regime.most["k"], regime.step["k"]) == (2, 6, 2)


def test_a_refused_size_that_was_asked_is_the_users_error() -> None:
    def build(k: int) -> Any:
        if k == 4:
            raise BadInput("k is 4", "take another")
        return torch.nn.Linear(12, k)

    with pytest.raises(BotecError, match="k is 4"):
        made(build)
    skipped = made(build, "k=2,6,10")  # 4 lies on the lattice, but nobody asked for it
    assert skipped.why == ""


def test_a_coefficient_that_is_off_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof can fail: an interpolation that adds one to a coefficient proves nothing."""
    from botec.analyses import structure as room

    honest = room.on_grid

    def plus(*given: Any) -> Any:
        found = honest(*given)
        first = next(iter(found))
        return {**found, first: found[first] + 1}

    monkeypatch.setattr(room, "on_grid", plus)
    assert "is no polynomial: it differs at k=" in made(lambda k: torch.nn.Linear(12, k)).why


def test_a_peak_without_its_moment_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof of the peak can fail: a moment of the envelope that is left out."""
    from botec.analyses import structure as room

    honest = room.moments

    def fewer(*given: Any) -> Any:
        found = honest(*given)
        top = max(found, key=lambda name: found[name].at(B=50))
        return {name: poly for name, poly in found.items() if name != top}

    monkeypatch.setattr(room, "moments", fewer)
    assert made(lambda k: torch.nn.Linear(12, k)).why.startswith("memory.peak")


def test_places_are_counted_from_the_nearer_end() -> None:
    assert [nearer(place, 4) for place in range(4)] == [0, 1, -2, -1]
    places = module_places(["", "a", "a.0", "a.0.x", "a.1", "a.2", "a.2.x", "b.0"])
    assert places[-5:] == ("a.0.x", "a.1", "a.-1", "a.-1.x", "b.0")


def test_formulas_of_many_structures_are_not_those_of_one() -> None:
    """The test above can fail: figures of one structure do not hold at another."""
    found = studied("mlp:KxL", ["K=16,32,64", "L=3,4,8"])
    own = quantities(next(iter(found.samples.values())).program)
    assert own["flops.step"].at(B=5) == found.known["flops.step"].at(B=5, K=16, L=3)
    assert own["flops.step"].at(B=5) != found.known["flops.step"].at(B=5, K=32, L=3)


def test_without_a_formula_there_is_an_error_of_its_own() -> None:
    assert issubclass(NoFormula, Exception)
    assert not issubclass(NoFormula, BotecError)
