"""Real models with real numbers in them: weights, inputs, losses, optimizers, precisions."""

import pytest
import torch
from torch import nn

from botec.errors import BotecError, ModelFailed, UnknownName
from botec.inputs import Input
from botec.measure.realise import loss_of, make_optimizer, materialised, optimizers, realise
from botec.read.source import Source


def mlp():
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


MLP = Source("mlp", mlp, (Input("B", 6),), {"B": 4})


class Labelled(nn.Module):
    """Takes tokens and labels, and returns a mapping with a loss, as language models do."""

    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(11, 4), nn.Linear(4, 11)

    def forward(self, tokens, labels=None):
        logits = self.head(self.embedding(tokens))
        if labels is None:
            return {"logits": logits}
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return {"loss": loss, "logits": logits}


LABELLED = Source(
    "labelled",
    Labelled,
    (
        Input("B", "S", dtype="int64", name="tokens", below=11),
        Input("B", "S", dtype="int64", name="labels", below=11, only="train"),
    ),
    {"B": 2, "S": 5},
)


def test_a_step_trains_the_model():
    step = realise(MLP, {"B": 7}, optimizer="sgd")
    before = step.model[0].weight.detach().clone()
    step.run()
    gradient = step.model[0].weight.grad
    assert step.arguments[0].shape == (7, 6)
    assert torch.allclose(step.model[0].weight, before - 1e-3 * gradient, atol=1e-7)


def test_gradients_are_dropped_not_zeroed():
    step = realise(MLP, {})
    step.run()
    assert step.model[0].weight.grad is not None
    step.zero()
    assert step.model[0].weight.grad is None


def test_inference_keeps_no_gradient_and_its_output():
    step = realise(MLP, {"B": 2}, train=False)
    step.run()
    assert list(step.phases) == ["zero", "forward"]
    assert not step.model.training
    assert step.output.shape == (2, 3)
    assert not step.output.requires_grad


def test_labels_are_given_in_training_only_and_stay_below_their_bound():
    training = realise(LABELLED, {"S": 9})
    assert set(training.keywords) == {"tokens", "labels"}
    assert training.keywords["tokens"].shape == (2, 9)
    assert int(training.keywords["tokens"].max()) < 11
    training.run()
    assert set(realise(LABELLED, {}, train=False).keywords) == {"tokens"}


def test_the_loss_is_the_models_own_or_the_mean_of_the_first_trained_output():
    trained = torch.ones(2, 3, requires_grad=True) * 2
    assert loss_of({"loss": trained.sum(), "out": trained}) == 12
    assert loss_of({"loss": None, "out": trained}) == 2
    assert loss_of([torch.arange(3), (torch.ones(4), trained)]) == 2


def test_a_loss_without_parameters_is_refused():
    with pytest.raises(BotecError, match="depends on a trained parameter; ask for inference"):
        loss_of(torch.ones(3))


@pytest.mark.parametrize(
    ("precision", "weights", "output"),
    [
        ("fp32", torch.float32, torch.float32),
        ("bf16", torch.bfloat16, torch.bfloat16),
        ("fp16", torch.float16, torch.float16),
        ("amp-bf16", torch.float32, torch.bfloat16),
        ("amp-fp16", torch.float32, torch.float16),
    ],
)
def test_precisions(precision, weights, output):
    step = realise(MLP, {}, train=False, precision=precision)
    step.run()
    assert step.model[0].weight.dtype == weights
    assert step.output.dtype == output


def test_whole_numbers_keep_their_type_in_half_precision():
    step = realise(LABELLED, {}, precision="bf16")
    assert step.keywords["tokens"].dtype == torch.int64
    step.run()


@pytest.mark.parametrize("name", ["adamw", "AdamW", "adam", "SGD", "sgd-momentum", "rmsprop"])
def test_optimizers_by_name(name):
    realise(MLP, {}, optimizer=name).run()


def test_every_offered_optimizer_but_the_special_ones_steps():
    special = {"muon", "sparseadam"}  # two-dimensional weights only; sparse gradients only
    for name in sorted(set(optimizers()) - special):
        realise(MLP, {}, optimizer=name).run()
    assert "lbfgs" not in optimizers()


def test_momentum_is_a_choice_of_sgd():
    assert make_optimizer("sgd-momentum", mlp()).param_groups[0]["momentum"] == 0.9


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"optimizer": "adamv"}, "unknown optimizer 'adamv'; did you mean adam, radam, nadam"),
        ({"precision": "fp12"}, "unknown precision 'fp12'; did you mean fp32, fp16, bf16"),
    ],
)
def test_unknown_names_are_refused(options, said):
    with pytest.raises(UnknownName, match=said):
        realise(MLP, {}, **options)


def test_frozen_models_have_no_optimizer():
    with pytest.raises(BotecError, match="no trainable parameter; ask for inference"):
        make_optimizer("adam", mlp().requires_grad_(False))


def test_the_models_own_failure_is_told():
    step = realise(Source("mlp", mlp, (Input("B", 7),)), {"B": 2})
    with pytest.raises(ModelFailed, match="RuntimeError: mat1 and mat2"):
        step.forward()


def test_models_without_data_are_given_some():
    with torch.device("meta"):
        bare = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    model = materialised(bare)
    assert not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))
    assert float(model[0].weight.detach().std()) > 0
