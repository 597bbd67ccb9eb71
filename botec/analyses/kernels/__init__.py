"""The memory that a CUDA device's kernels take inside ops, chosen anew at every point.

A stream of a CUDA target has no such memory in its rows: what a kernel takes depends on sizes. At
one point :func:`~botec.analyses.kernels.weaving.woven` puts it in. Over many points
:func:`~botec.analyses.kernels.peaks.peak_at` finds the peak at each, by the choices made there.
"""
