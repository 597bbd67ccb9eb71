"""Names however they are spelt, files of one's own, and what a file may not say."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

from botec.devices import SPECS, device, devices, opened
from botec.errors import BadInput, UnknownName

README = Path(importlib.import_module("botec.devices").__file__).parent / "README.md"

MINE = """
title = "Mine"
memory.GiB = 24
bandwidth.GBps = 936.2
tflops.bf16 = { value = 71.2, source = "its sheet, page 3", date = 2026-11-21 }
cuda.capability = "8.6"
"""


def written(tmp_path, text, name="my-card.toml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("rtx-4090", "rtx-4090"),
        ("rtx4090", "rtx-4090"),
        ("RTX 4090", "rtx-4090"),
        ("4090", "rtx-4090"),
        ("a100-80gb", "a100-sxm-80gb"),
        ("a100", "a100-sxm-80gb"),
        ("A100 40GB", "a100-sxm-40gb"),
        ("h100", "h100-sxm"),
        ("h200", "h200-sxm"),
        ("mi300x", "mi300x"),
        ("m2-max", "m2-max"),
        ("Apple M2 Max", "m2-max"),
        ("v100", "v100-sxm2-32gb"),
        ("TPU v5e", "tpu-v5e"),
    ],
)
def test_a_device_is_found_however_it_is_spelt(said, name):
    assert device(said).name == name


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("NVIDIA A100-SXM4-80GB", "a100-sxm-80gb"),
        ("NVIDIA H100 80GB HBM3", "h100-sxm"),
        ("NVIDIA H200", "h200-sxm"),
        ("NVIDIA L4", "l4"),
        ("Tesla T4", "t4"),
        ("Tesla V100-SXM2-16GB", "v100-sxm2-16gb"),
        ("AMD Instinct MI300X", "mi300x"),
    ],
)
def test_what_a_driver_calls_it_is_a_name(said, name):
    assert device(said).name == name


def test_every_name_finds_its_device():
    for one in devices():
        for text in (one.name, one.title, *one.aliases):
            assert device(text).name == one.name


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("rtx-490", "rtx-490: no such device in the catalogue; did you mean rtx-4090, "),
        ("h10", "h10: no such device in the catalogue; did you mean h100, "),
        ("a100 80", "did you mean a100-80gb, "),
        ("zzz", "botec devices lists them; name your own as a file, my.toml"),
        ("", "no such device in the catalogue; botec devices lists them"),
        ("../devices/t4", "no such device in the catalogue; did you mean"),
    ],
)
def test_an_unknown_name_has_near_ones(said, words):
    with pytest.raises(UnknownName, match=re.escape(words)):
        device(said)


# --- figures ------------------------------------------------------------------------------------


def test_figures_come_in_units_to_compute_with():
    one = device("h100-sxm")
    assert one.memory == 80 * 2**30
    assert one.usable == int(79.11 * 2**30)
    assert one.bandwidth == 3350e9
    assert one.peak("bf16") == 989e12
    assert one.measured("bf16") == 794.5e12
    assert (one.power, one.capability) == (700, (9, 0))


def test_what_nobody_knows_is_none():
    one = device("tpu-v7x")
    assert (one.memory, one.usable, one.bandwidth, one.power) == (None,) * 4
    assert (one.peak("fp32"), one.measured("bf16"), one.capability) == (None,) * 3
    assert device("t4").peak("bf16") is None


def test_all_memory_is_usable_where_nobody_has_said_less():
    assert device("gb200").usable == device("gb200").memory == 186 * 2**30


def test_a_device_can_stand_in_a_set():
    assert len({device("t4"), device("T4"), device("h100")}) == 2


# --- files of one's own -------------------------------------------------------------------------


def test_a_file_may_have_bare_numbers(tmp_path):
    one = opened(written(tmp_path, MINE))
    assert (one.name, one.title, one.memory, one.bandwidth) == (
        "my-card",
        "Mine",
        24 * 2**30,
        936.2e9,
    )
    assert (one.peak("bf16"), one.capability, one.peak("fp32")) == (71.2e12, (8, 6), None)
    assert one.figures["memory.GiB"].source == "my-card.toml"
    assert one.figures["tflops.bf16"].source == "its sheet, page 3"
    assert one.figures["tflops.bf16"].date == "2026-11-21"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("memory.GiB = ", "my-card.toml is not TOML (Invalid value (at end of document"),
        ("memory.GB = 24", "unknown figure memory.GB; did you mean memory.GiB"),
        ("colour = 'red'", "unknown figure colour; see botec/devices/README.md"),
        ("memory.GiB = '24'", "memory.GiB is '24'; give a number"),
        ("memory.GiB = true", "memory.GiB is True; give a number"),
        ("memory.GiB = nan", "memory.GiB is nan; give it in GiB, 1 to 8,192"),
        ("memory.GiB = 24564", "memory.GiB is 24,564; give it in GiB, 1 to 8,192"),
        ("memory.GiB = -24", "memory.GiB is -24; give it in GiB, 1 to 8,192"),
        ("memory = 24", "unknown figure memory; did you mean memory.GiB"),
        ("power.W = 0", "power.W is 0; give it in W, 1 to 20,000"),
        ("cuda.capability = 8", 'cuda.capability is 8; write it as "8.0"'),
        ("cuda.capability = 'sm_80'", "write it as"),
        ("title = 3", 'title is 3; write title = "…"'),
        ("aliases = 'mine'", "aliases is 'mine'; write aliases = [\"…\"]"),
        (
            "memory.GiB = { value = 24, sauce = 'x' }",
            "memory.GiB has sauce; give value, source and",
        ),
    ],
)
def test_a_file_that_says_what_it_may_not(tmp_path, text, words):
    with pytest.raises(BadInput) as wrong:
        opened(written(tmp_path, text))
    assert words in str(wrong.value)
    assert "my-card.toml" in str(wrong.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(BadInput, match=r"it cannot be read \(No such file or directory\)"):
        opened(str(tmp_path / "none.toml"))
    with pytest.raises(BadInput, match="cannot be read"):
        opened(str(tmp_path))
    binary = tmp_path / "b.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="it is not a text file"):
        opened(str(binary))


# --- the page about adding one ------------------------------------------------------------------


def test_the_example_of_the_readme_is_read(tmp_path):
    example = re.search(r"```toml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    one = opened(written(tmp_path, example[1]))
    assert (one.title, one.kind, one.memory) == ("My Card 24 GB", "workstation", 24 * 2**30)


def test_the_readme_explains_every_figure():
    explained = set(re.findall(r"^\| `([\w.-]+)` \|", README.read_text("utf-8"), re.MULTILINE))
    known = {re.sub(r"(tflops\.)\w+", r"\1DTYPE", key) for key in SPECS}
    assert explained == known


@pytest.mark.parametrize("module", ["botec.devices", "botec.devices.sheet"])
def test_its_examples_are_true(module):
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted
    assert not found.failed
