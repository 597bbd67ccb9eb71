"""Receptive fields in the terminal and as a drawing, held against windows walked one by one."""

from __future__ import annotations

import pytest

from botec.report import Field, Fields, Report, Section
from botec.write.seen import MOST_LAYERS, bar, chosen, span
from botec.write.to_terminal import write

WINDOWS = ((7, 2, 3), (3, 2, 1), (3, 1, 1), (5, 3, 0))  # kernel, stride, padding


def places_seen(depth: int, place: int, size: int) -> list[int]:
    """The places of the input, those of its padding too, that one place of a layer reads."""
    found = [place]
    for kernel, stride, padding in reversed(WINDOWS[:depth]):
        found = sorted({one * stride - padding + k for one in found for k in range(kernel)})
    return found


def layers(size: int) -> tuple[Field, ...]:
    """The layers as botec states them: reach, stride, padding and how many places."""
    found, made = [], size
    for depth, (kernel, stride, padding) in enumerate(WINDOWS, 1):
        made = (made + 2 * padding - kernel) // stride + 1
        first, second = (places_seen(depth, place, size) for place in (0, 1))
        own = (len(range(first[0], first[-1] + 1)), second[0] - first[0], -first[0], made, "")
        found.append(Field(f"layer{depth}", "convolution", (own, own)))
    return tuple(found)


@pytest.mark.parametrize("size", [64, 97])
def test_the_middle_place_sees_what_its_windows_read(size: int) -> None:
    for depth, layer in enumerate(layers(size), 1):
        made = layer.axes[0][3] if layer.axes[0] else 0
        walked = places_seen(depth, (made - 1) // 2, size)
        seen = span(layer, 0, size)
        assert (seen.low, seen.high) == (walked[0], walked[-1] + 1)


def test_an_axis_without_numbers_is_seen_whole() -> None:
    seen = span(Field("attention", "attention", (None, None)), 0, 40)
    assert (seen.low, seen.high) == (0, 40)


def test_bars_are_as_long_as_what_is_seen() -> None:
    size, room = 96, 48
    for layer in layers(size):
        seen = span(layer, 0, size)
        drawn = bar(seen, size, room, "#", ".")
        inside = min(seen.high, size) - max(seen.low, 0)
        assert len(drawn) == room
        assert abs(drawn.count("#") - inside * room / size) <= 1
        assert abs(drawn.index("#") - max(seen.low, 0) * room / size) <= 1


def page(depth: int = 1) -> Report:
    every = layers(96) * depth
    return Report(
        {"name": "m"}, {}, {}, (Section("R", (Fields("F", ("H", "W"), (96, 96), every),)),)
    )


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("plain", [True, False])
def test_a_bar_for_every_layer_that_sees_more(width: int, plain: bool) -> None:
    text = write(page(), width, False, plain)
    rows = [one for one in text.splitlines() if one.strip().startswith("layer")]
    assert [one.split()[0] for one in rows] == ["layer1", "layer2", "layer3", "layer4"]
    assert max(map(len, text.splitlines())) <= width
    assert ("#" in text) is plain


def test_few_layers_stand_for_many() -> None:
    many = tuple(Field(f"l{n}", "convolution", ((2 * n + 1, 1, n, 64, ""),)) for n in range(1, 40))
    few = [one.layer for one in chosen(Fields("F", ("T",), (64,), many))]
    assert len(few) == MOST_LAYERS
    assert (few[0], few[-1]) == ("l1", "l39")


def test_the_drawing_has_the_input_and_a_frame_for_each_layer() -> None:
    pytest.importorskip("matplotlib")
    (axes,) = page().figure().axes
    frames = [one.get_bbox().bounds for one in axes.patches]
    spans = [span(layer, 0, 96) for layer in layers(96)]
    assert frames[0] == (0, 0, 96, 96)
    assert frames[1:] == [(one.low, one.low, one.size, one.size) for one in spans]
    low, high = axes.get_ylim()
    assert low > high  # down, as pictures are stored


def test_one_axis_is_drawn_flat(tmp_path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("matplotlib")
    along = (Field("l", "convolution", ((5, 1, 2, 64, ""),)),)
    report = Report({}, {}, {}, (Section("R", (Fields("F", ("T",), (64,), along),)),))
    report.save(str(tmp_path / "f.svg"))
    text = (tmp_path / "f.svg").read_text(encoding="utf-8")
    assert "l (convolution): 5" in text
