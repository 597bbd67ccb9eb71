"""``botec learn --only recurrent``: horizons, memories and questions it refuses."""

from __future__ import annotations

import json
import math

import numpy
import pytest
import torch
from torch import nn

from botec.errors import BadInput
from botec.inputs import Input
from botec.learn import learn
from botec.learn.recurrent import of_matrix


class Reader(nn.Module):
    def __init__(self, units: int = 96) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rnn = nn.LSTM(16, units, num_layers=2, batch_first=True)
        self.head = nn.Linear(units, 5)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


def page(model, **options):
    return learn(model, Input("B", "S", 16), only="recurrent", B=2, S=12, **options)


def test_the_page_of_two_layers():
    report = page(Reader(), backprop=True)
    figure = report.figures["learn.horizon"]
    assert figure.low < figure.counted.value < figure.high
    # Real back-propagation through both layers at once takes the slower one's way.
    assert figure.counted.value == pytest.approx(figure.measured.value, rel=0.05)
    assert figure.rule.value > figure.counted.value  # ρ leaves out what the gates take
    text = str(report)
    assert "rnn_l0" in text
    assert "rnn_l1" in text
    assert "Lyapunov spectrum" in text


def test_a_memory_is_given_by_a_forget_bias():
    report = page(Reader(48), memory=20.0)
    figure = report.figures["learn.forget_bias"]
    assert 0 < figure.counted.value < figure.rule.value
    assert figure.rule.value == pytest.approx(math.log(19))


def test_a_chaotic_layer_overflows():
    model = nn.RNN(16, 128)
    torch.manual_seed(0)
    nn.init.normal_(model.weight_hh_l0, 0, 3 / 128**0.5)
    report = learn(model, Input("S", "B", 16), only="recurrent", S=12, B=2)
    assert report.figures["learn.horizon"].counted.value == math.inf
    assert "overflows fp32" in str(report)


def test_a_matrix_alone():
    part = of_matrix(0.5 * numpy.eye(6))
    exact = math.log(1e-3) / math.log(0.5)
    assert part.figures["learn.horizon"].counted.value == pytest.approx(exact)
    assert part.figures["learn.horizon"].rule.value == pytest.approx(exact)
    with pytest.raises(BadInput, match="no recurrence 'cosine'; use linear, tanh or relu"):
        of_matrix(numpy.eye(2), "cosine")


def test_questions_without_an_answer():
    with pytest.raises(BadInput, match=r"it has no recurrent layer; ask a model with nn\.RNN"):
        learn("mlp:8-8", only="recurrent", B=2)
    with pytest.raises(BadInput, match=r"--memory 0\.5: a memory is longer than one step"):
        page(Reader(8), memory=0.5)
    with pytest.raises(BadInput, match="no such number of exponents; give 0 for all"):
        page(Reader(8), exponents=-1)


def test_it_speaks_unasked_only_where_there_is_a_recurrent_layer():
    from botec.learn import Question
    from botec.learn.recurrent import applies

    assert applies(Question(Reader(8), (Input("B", "S", 16),), {"B": 2, "S": 4}))
    assert not applies(Question("mlp:8-8", (), {"B": 2}))


def test_a_file_with_a_matrix_is_asked_as_a_model(say, tmp_path):
    """A Jordan block: each power grows for a while, though its eigenvalues are below 1."""
    path = tmp_path / "matrix.npy"
    numpy.save(path, numpy.array([[0.9, 5.0], [0.0, 0.9]]))
    told = json.loads(say("learn", str(path), "--json").out)
    assert told["model"]["name"] == str(path)
    exponent = told["figures"]["learn.exponent"]
    assert exponent["counted"]["value"] == pytest.approx(numpy.log(0.9), abs=0.02)
    assert "use --only recurrent" in say("learn", str(path), "--only", "reach").wrong


def test_what_is_no_matrix_is_one_line(say, tmp_path):
    assert "No such file" in say("learn", str(tmp_path / "none.npy")).wrong
    path = tmp_path / "text.npy"
    path.write_text("no array")
    assert "it is no array of numpy's" in say("learn", str(path)).wrong
    numpy.save(path, numpy.ones((2, 3)))
    assert "2×3" in say("learn", str(path)).wrong
