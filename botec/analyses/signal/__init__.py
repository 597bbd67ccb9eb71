"""The size of signals and gradients at initialisation: one fold forward, one backward.

A tensor of a network with random weights is random, and what a layer makes of it depends on few
numbers of its distribution. They are carried here as *particles*: some thousands of draws of one
unit, each together with the same unit at another position, in another example, and with another
unit, so that second moments, means and all correlations that sums, norms and pools need are means
over particles. Beside them stands a profile: how the second moment varies over positions, which
zero padding, class tokens and causal masks bring about.

Pointwise ops are executed on the particles, forward and backward, by an executor that is handed
in: any activation, gate or residual sum comes out with its correlations. Only ops that mix
entries need a rule: a file here for each family, registered in :mod:`~botec.analyses.signal.book`.
An op without a rule is sampled on a small copy where that is possible, and said so; otherwise its
outputs, and all that follows from them, are "not predicted".
"""
