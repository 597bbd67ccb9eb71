"""Reports to write: a realistic one with everything on it, and any that hypothesis can think of."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from botec.report import (
    STATUSES,
    Column,
    Counted,
    Curve,
    Figure,
    Figures,
    Lifetimes,
    Lived,
    Measured,
    Picture,
    Report,
    Ruled,
    Section,
    Table,
    Text,
)

HOSTILE = "</script>[bold]x[/]\x1b[31m"
FORWARD, BACKWARD = 4_089_184_256, 8_060_334_080
HOW = "a real step on this machine: 2 cores, median of 5"
JUDGE = "the framework's own counter, run on meta tensors"
PARTS = "max over 3 points of the step; at B=32: backward of layer1.0.conv3"
BLOCKS = {"layer1": 3, "layer2": 4, "layer3": 6, "layer4": 3}


def figure(key: str, title: str, unit: str, counted: Any, **columns: Any) -> Figure:
    return Figure(key, title, unit, counted, **columns)


def operations() -> list[Figure]:
    """Multiplications and FLOPs, one of them with an op that was not counted."""
    step, missing = FORWARD + BACKWARD, {"aten.grid_sampler_2d": 3, HOSTILE: 1}
    return [
        figure(
            "multiplications.forward", "multiplications, forward", "multiplication",
            Counted(32 * FORWARD, f"{FORWARD}*B", "exact"),
            measured=Measured(32 * FORWARD, JUDGE),
        ),
        figure(
            "multiplications.backward", "multiplications, backward", "multiplication",
            Counted(32 * BACKWARD, f"{BACKWARD}*B", "exact"),
            rule=Ruled(64 * FORWARD, "backward_is_twice", "the first layer has no input gradient"),
            measured=Measured(32 * BACKWARD, JUDGE),
        ),
        figure(
            "multiplications.step", "multiplications of the step", "multiplication",
            Counted(32 * step, f"{step}*B", "exact"),
            rule=Ruled(96 * FORWARD, "step_is_three_forwards"),
            measured=Measured(32 * step, JUDGE),
        ),
        figure("flops.forward", "flops, forward", "flop", Counted(265_345_123_584, "8292035112*B")),
        figure(
            "flops.backward", "flops, backward", "flop",
            Counted(527_345_123_584, None, "partial", missing, "two streams differ at B=3"),
        ),
        figure("flops.optimizer", "flops, optimizer", "flop", Counted(357_798_448, "357798448")),
        figure(
            "flops.step", "flops of the step", "flop",
            Counted(793_048_045_616, None, "partial", missing, "two streams differ at B=3"),
            rule=Ruled(6 * 32 * FORWARD, "six_per_multiplication"),
        ),
    ]  # fmt: skip


def memory() -> list[Figure]:
    """The peak and what stands at it, with a measurement that differs for a reason."""
    peak = 3_081_224_192
    roles = {"parameter": 102_228_128, "buffer": 212_904, "activation": 2_669_215_744}
    why = "kernels take 15.2 MiB of scratch inside aten.convolution_backward"
    return [
        figure(
            "memory.peak", "memory peak", "B",
            Counted(peak, "86066560*B + 306684384", "exact"),
            rule=Ruled(409 * 10**6, "sixteen_bytes_per_parameter", "activations are left out"),
            measured=Measured(peak + 16_000_000, "the CPU allocator's own events", why),
        ),
        *(
            figure(f"memory.peak.{role}", f"at the peak: {role}", "B", Counted(size))
            for role, size in roles.items()
        ),
        figure("memory.peak.gradient", "at the peak: gradient", "B", Counted(0, "0", "exact")),
        figure(
            "memory.device", "memory on the device", "B",
            Counted(None, None, "unknown", why="the device's workspaces are not in the catalogue"),
        ),
        figure("memory.saved", "saved for backward", "B", Counted(2_669_215_744, "83412992*B")),
    ]  # fmt: skip


def sizes() -> list[Figure]:
    count = 25_557_032
    return [
        figure(
            "parameters", "parameters", "1", Counted(count, str(count), "exact"),
            measured=Measured(count, "entries of the real model's parameters"),
        ),
        figure("parameters.trainable", "trainable parameters", "1", Counted(count, str(count))),
        figure("buffers", "entries of buffers", "1", Counted(53_173, "53173")),
        figure("bytes.forward", "bytes, forward", "B", Counted(11_583_918_592, "361997456*B")),
        figure("bytes.step", "bytes moved by the step", "B", Counted(36_583_918_592)),
        figure(
            "time.forward", "time, forward", "s", None, measured=Measured(1.482, HOW),
        ),
        figure(
            "time.step", "time of the step", "s",
            Counted(5.1, None, "estimate", why="no closed form for a maximum of sums"),
            measured=Measured(4.873, HOW), low=3.9, high=6.8,
        ),
    ]  # fmt: skip


def module_rows() -> list[tuple[Any, ...]]:
    """One row a convolution: more than a page shows, one unknown, one with a hostile name."""
    rows: list[tuple[Any, ...]] = [("conv1", "Conv2d", 32 * 118_013_952, 9_408, 102_760_448)]
    for name, count in BLOCKS.items():
        for block in range(count):
            for part in (1, 2, 3):
                share = 32 * (51_380_224 + 7_000_003 * block + 11_000_017 * part)
                path = f"{name}.{block}.conv{part}"
                rows.append(
                    (path, "Conv2d", share, 4_096 * part + 16_384 * block, 3_211_264 * part)
                )
    rows.append((HOSTILE, "Unknown[/]", None, 0, None))
    rows.append(("fc", "Linear", 32 * 2_048_000, 2_049_000, 128_000))
    return rows


def modules() -> Table:
    columns = (
        Column("module"), Column("class"), Column("multiplications forward", "multiplication"),
        Column("parameters", "1"), Column("saved bytes", "B"),
    )  # fmt: skip
    rows = module_rows()
    total = (sum(row[place] or 0 for row in rows) for place in (2, 3, 4))
    return Table("By module", columns, tuple(rows), ("total", "", *total))


def kinds() -> Table:
    columns = (
        Column("kind of op"), Column("times"), Column("multiplications", "multiplication"),
        Column("flops", "flop"), Column("bytes moved", "B"),
    )  # fmt: skip
    rows = (
        ("conv", 159, 12_147_470_336 * 32, 24_294_940_672 * 32, 9_126_805_504),
        ("norm", 106, 0, 1_124_073_472 * 32, 19_126_805_504),
        ("elementwise", 212, 0, 301_324_800 * 32, 7_126_805_504),
        ("matmul", 3, 6_144_000 * 32, 12_288_000 * 32, 41_234_000),
        ("unknown", 4, None, None, 1_024),
    )
    total = [sum(row[place] or 0 for row in rows) for place in (1, 2, 3, 4)]
    return Table("By kind of op, the whole step", columns, rows, ("total", *total))


def example() -> Report:
    """A resnet50-like page: 25 figures, unknowns, missing ops, long tables, hostile names."""
    groups = sizes(), operations(), memory()
    keys = [tuple(each.key for each in group) for group in groups]
    formula = "memory.peak = max(86066560*B + 306684384, 83412992*B + 410012672, 102228128)"
    return Report(
        model={"name": "torchvision:resnet50", "class": "ResNet"},
        setting={
            "train": True, "optimizer": "adamw", "precision": "fp32", "device": "cpu",
            "checkpoint": False, "dimensions": {"B": 32}, "inputs": ["x=B,3,224,224:float32"],
            "loss": "mean of the output",
            "convention": "2 flops per multiply-add, 1 per elementwise result",
        },
        figures={each.key: each for group in groups for each in group},
        sections=(
            Section("Size", (Figures(keys[0][:3]),)),
            Section("Operations", (Figures(keys[1]), modules(), kinds())),
            Section("Memory", (Figures(keys[2]), Text(formula, "formula"), Text(PARTS))),
            Section("Limits", (Text("one op has no fact; its share is missing", "warning"),)),
        ),
        notes=(
            "flops: 2 per multiply-add plus one per elementwise arithmetic result",
            f"The model {HOSTILE} was read with its default configuration.\nIt has two lines.",
        ),
        version="0.1.0",
    )  # fmt: skip


names = st.text(max_size=12)
whole = st.integers(-(10**45), 10**45)
numbers = whole | st.floats(allow_nan=True, allow_infinity=True)
unknowable = st.none() | numbers
maybe = st.none() | names
counts = st.builds(
    Counted, unknowable, maybe, st.sampled_from(STATUSES), st.dictionaries(names, whole), maybe
)
units = st.sampled_from(["1", "multiplication", "flop", "B", "s", "B/s", "J", "USD"])


def figures(key: str) -> st.SearchStrategy[Figure]:
    return st.builds(
        Figure,
        st.just(key),
        names,
        units,
        st.none() | counts,
        st.none() | st.builds(Ruled, numbers, names, maybe),
        st.none() | st.builds(Measured, numbers, names, maybe),
        st.none() | st.floats(),
        st.none() | st.floats(),
    )


@st.composite
def tables(draw: Any) -> Table:
    columns = draw(
        st.lists(
            st.builds(Column, names, st.just("")) | st.builds(Column, names, units, st.booleans()),
            min_size=1,
            max_size=5,
        )
    )
    cells = [unknowable if column.unit else names | unknowable for column in columns]
    rows = draw(st.lists(st.tuples(*cells), max_size=25))
    return Table(draw(names), tuple(columns), tuple(rows), draw(st.none() | st.tuples(*cells)))


columns_of_numbers = st.builds(Column, names, units)
curves = st.builds(Curve, names, st.lists(st.tuples(unknowable, unknowable)).map(tuple))
pictures = st.builds(
    Picture, names, columns_of_numbers, columns_of_numbers, st.lists(curves, max_size=4).map(tuple)
)
moments = st.integers(0, 10**6)
places = st.tuples(moments, names)
storages = st.builds(Lived, moments, moments, whole, *[names] * 6)
lifetimes = st.builds(
    Lifetimes, names, st.lists(storages, max_size=3).map(tuple),
    st.lists(st.tuples(moments, whole, names), max_size=3).map(tuple), moments,
    st.lists(places, max_size=2).map(tuple), st.none() | places, st.none() | places,
)  # fmt: skip


@st.composite
def reports(draw: Any) -> Report:
    """Any report at all, hostile texts and numbers without a JSON name included."""
    keys = draw(st.lists(st.sampled_from("abcdefghijkl"), unique=True))
    part = (
        st.builds(Figures, st.lists(st.sampled_from("abcdefghijklm")).map(tuple))
        | tables()
        | pictures
        | lifetimes
        | st.builds(Text, names, st.sampled_from(["note", "formula", "warning", "no"]))
    )
    section = st.builds(Section, names, st.lists(part, max_size=3).map(tuple))
    settings = st.dictionaries(names, names | numbers | st.booleans() | st.lists(whole))
    return Report(
        draw(settings),
        draw(settings),
        {key: draw(figures(key)) for key in keys},
        tuple(draw(st.lists(section, max_size=3))),
        tuple(draw(st.lists(names, max_size=3))),
        draw(names),
    )
