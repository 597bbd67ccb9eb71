"""``botec devices``: side by side, one with its sources, one of one's own."""

from __future__ import annotations

import json

from botec.analyses.devices import about, catalogue, groups
from botec.devices import device, devices
from botec.report import Table
from botec.write.tables import MOST_ROWS


def tables(report):
    return [
        part for section in report.sections for part in section.parts if isinstance(part, Table)
    ]


def test_every_device_stands_in_one_table():
    listed = [row[0] for table in tables(catalogue(devices())) for row in table.rows]
    assert sorted(listed) == sorted(one.name for one in devices())


def test_no_table_is_cut():
    assert all(len(rows) <= MOST_ROWS + 1 for _, rows in groups(devices()))


def test_the_list_on_the_page(say, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    said = say("devices")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"{len(devices())} devices\n")
    (line,) = [line for line in said.out.splitlines() if line.split()[:1] == ["h100-sxm"]]
    assert line.split()[1:4] == ["80", "3,350", "67"]
    assert line.split()[-1] == "9.0"
    assert "more" not in {line.split()[-1] for line in said.out.splitlines() if "…" in line}
    (unknown,) = [line for line in said.out.splitlines() if line.split()[:1] == ["tpu-v7x"]]
    assert unknown.split()[1:3] == ["?", "?"]


def test_one_device_with_its_sources(say):
    said = say("devices", "rtx4090")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("NVIDIA GeForce RTX 4090\n")
    for words in ("23.64 GiB", "1,008 GB/s", "165.2 Tflop/s", "https://waredb.com", "2026-11-21"):
        assert words in said.out


def test_every_figure_has_its_source_on_the_page():
    for one in devices():
        rows = tables(about(one))[0].rows
        assert len(rows) == len(one.figures)
        assert all(row[2] and row[3] for row in rows)


def test_a_page_says_what_is_unknown_and_what_to_know(say):
    said = say("devices", "tpu-v7x")
    assert "memory" in said.out
    assert "?" in said.out
    assert "AWS's variant of the A10" in say("devices", "a10g").out


def test_json_has_numbers_and_sources(say):
    found = json.loads(say("devices", "h100", "--json").out)
    assert found["model"]["name"] == "NVIDIA H100 SXM 80 GB"
    assert found["figures"]["device.tflops.bf16"]["counted"]["value"] == 989e12
    assert found["figures"]["device.memory.GiB"]["unit"] == "B"
    (table,) = found["sections"][1]["parts"]
    assert [column["title"] for column in table["columns"]] == [
        "figure",
        "as given",
        "date",
        "source",
    ]
    unknown = json.loads(say("devices", "t4", "--json").out)
    assert unknown["figures"]["device.tflops.bf16"]["counted"]["value"] is None


def test_json_of_the_list(say):
    found = json.loads(say("devices", "--json").out)
    rows = [
        row for section in found["sections"] for part in section["parts"] for row in part["rows"]
    ]
    assert len(rows) == len(devices())


def test_a_device_of_ones_own(say, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("memory.GiB = 48\nbandwidth.GBps = 1000\n")
    said = say("devices", "--device-file", str(path))
    assert said.code == 0
    assert said.out.startswith("mine\n")
    assert "48 GiB" in said.out
    assert "mine.toml" in said.out


def test_every_question_takes_a_device_of_ones_own(say, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'memory.GiB = 8\nbandwidth.GBps = 1000\ntflops.fp32 = 20\ncuda.capability = "8.6"\n'
    )
    fits = json.loads(say("fit", "mlp:64-64", "B=2", "--device", str(path), "--json").out)
    known = json.loads(say("fit", "mlp:64-64", "B=2", "--device", "rtx-3090", "--json").out)
    memory = {name: one["counted"]["value"] for name, one in fits["figures"].items()}
    same = {name: one["counted"]["value"] for name, one in known["figures"].items()}
    assert memory["memory.device"] == same["memory.device"]  # a card of the same generation
    assert memory["fit.room"] == same["fit.room"] - (known_bytes("rtx-3090") - 8 * 2**30)
    assert "On mine" in say("time", "mlp:64-64", "B=2", "--device", str(path)).out
    path.write_text("memory.GiB = 8\n")
    assert "mine" in say("fit", "mlp:64-64", "--device", str(path)).wrong


def known_bytes(name):
    return next(one for one in devices() if one.name == name).usable


def test_wrong_questions(say, tmp_path):
    assert say("devices", "rtx-490").wrong == (
        "rtx-490: no such device in the catalogue; did you mean rtx-4090, rtx-5090, rtx-4080?"
    )
    path = tmp_path / "mine.toml"
    assert "cannot be read" in say("devices", "--device-file", str(path)).wrong
    path.write_text("memory.GB = 48")
    wrong = say("devices", "--device-file", str(path)).wrong
    assert wrong.startswith("mine.toml: unknown figure memory.GB; did you mean memory.GiB, ")
    both = say("devices", "t4", "--device-file", str(path)).wrong
    assert both == "devices t4: a name and a file are given; give one of the two"


def test_the_page_about_one_names_its_title():
    assert about(device("m2-max")).model["name"] == "Apple M2 Max 96 GB"
