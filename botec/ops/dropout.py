"""Dropout and random numbers. A draw is no arithmetic on the network's numbers: 0, by name."""

from __future__ import annotations

from botec.calls import Call
from botec.ops.facts import nothing, op
from botec.ops.terms import all_bytes, reals

kept = op("dropout", "aten.native_dropout", "aten._fused_dropout", "aten.dropout")
backward = op("dropout backward", "aten.native_dropout_backward")

drawn = nothing("random draws", "aten.bernoulli", "aten.normal", "aten.uniform",
                "aten.exponential", "aten.log_normal", "aten.cauchy", "aten.geometric",
                "aten.random", "aten.normal_functional", "aten._philox_normal",
                "aten._philox_uniform", kind="dropout")  # fmt: skip
made = nothing("random draws", "aten.rand", "aten.randn", "aten.randint", "aten.randperm",
               "aten.rand_like", "aten.randn_like", "aten.randint_like",
               "aten._cudnn_init_dropout_state", kind="dropout")  # fmt: skip
nothing("random draws", "aten.multinomial", "aten.poisson", "aten.binomial",
        "aten._sample_dirichlet", "aten._philox_key_split", "aten._philox_key_fold_in",
        "aten._fill_mem_eff_dropout_mask", kind="dropout")  # fmt: skip


@kept.flops
def _(outputs):
    """x mask / (1 - p): two products per result."""
    return 2 * reals(outputs[0])


@backward.flops
def _(outputs):
    """Gradient, mask and scale: two products per result."""
    return 2 * reals(outputs[0])


@drawn.bytes
def _(call: Call):
    """Drawn in place a tensor is written, not read; a tensor of probabilities is read."""
    read = call.inputs[1:] if call.op.endswith("_") else call.inputs
    return all_bytes(read) + all_bytes(call.results)


@made.bytes
def _(outputs):
    """Written."""
    return all_bytes(outputs)
