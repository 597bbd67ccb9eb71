"""What moves or makes numbers and computes none: views, copies, casts, factories, joins, pads.

All count 0 by name. Their bytes differ: a view moves nothing, a factory only writes, memory that is
only set aside is not touched, a copy reads and writes.
"""

from __future__ import annotations

from botec.calls import Call, Tensor
from botec.ops.facts import nothing, op
from botec.ops.terms import all_bytes, aten, reals

views = nothing("another look at the same memory", *aten("""
_conj _neg_view _reshape_alias _unsafe_view _nested_view_from_buffer adjoint alias as_strided chunk
conj contiguous detach diagonal expand expand_as flatten imag lift lift_fresh mH mT matrix_H movedim
moveaxis narrow numpy_T permute real reshape reshape_as resolve_conj resolve_neg select slice split
split_with_sizes squeeze swapaxes swapdims t tensor_split transpose unbind unflatten unfold
unsafe_chunk unsqueeze view view_as view_as_complex view_as_real hsplit vsplit dsplit
_make_dual _unpack_dual _fw_primal values indices _values _indices crow_indices col_indices set
"""), kind="move")  # fmt: skip
asked = nothing("a question about a tensor, not about its numbers", *aten("""
_local_scalar_dense item is_same_size _has_compatible_shallow_copy_type record_stream _version
_assert_async _functional_assert_async _assert_scalar _assert_tensor_metadata _is_zerotensor
sym_size sym_numel sym_stride sym_storage_offset sym_is_contiguous sym_constrain_range
sym_constrain_range_for_size size stride is_contiguous is_pinned _linalg_check_errors
_print result_type is_floating_point dim numel _nested_tensor_size _nested_tensor_strides
_nested_get_offsets _nested_get_values _use_cudnn_ctc_loss _use_cudnn_rnn_flatten_weight
requires_grad_ data device _shape_as_tensor storage_offset
"""), kind="move")  # fmt: skip
marked = nothing("a mark for the profiler", "profiler._record_function_enter",
                 "profiler._record_function_enter_new", "profiler._record_function_exit",
                 kind="move")  # fmt: skip
set_aside = nothing("memory is set aside, not touched", *aten("""
empty empty_like empty_strided empty_permuted new_empty new_empty_strided resize resize_as
_efficientzerotensor _resize_output
"""), kind="move")  # fmt: skip
made = nothing("numbers are written, none is computed", *aten("""
zeros zeros_like ones ones_like full full_like new_zeros new_ones new_full arange eye linspace
logspace scalar_tensor tril_indices triu_indices range zero fill _new_zeros_with_same_feature_meta
hann_window hamming_window blackman_window bartlett_window kaiser_window
"""), kind="move")  # fmt: skip
written = nothing("a copy into memory that is there", "aten.copy", "aten._copy_from",
                  "aten._copy_from_and_resize", "aten.set_data", kind="move")  # fmt: skip
nothing("copies", *aten("""
clone _to_copy to lift_fresh_copy cat _chunk_cat concat stack _stack hstack vstack repeat
repeat_interleave tile roll flip fliplr flipud rot90 constant_pad_nd pad reflection_pad1d
reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d
pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle im2col tril triu block_diag
diag diag_embed diagflat slice_scatter select_scatter diagonal_scatter as_strided_scatter
unbind_copy split_copy split_with_sizes_copy view_copy expand_copy permute_copy transpose_copy
t_copy slice_copy select_copy squeeze_copy unsqueeze_copy diagonal_copy as_strided_copy alias_copy
detach_copy unfold_copy narrow_copy _reshape_copy view_as_real_copy view_as_complex_copy
_conj_copy _neg_view_copy complex meshgrid
unsafe_split unsafe_split_with_sizes pin_memory _pin_memory to_mkldnn to_dense _to_dense
mkldnn_reorder_conv2d_weight mkldnn_reorder_conv3d_weight _mkldnn_reshape _mkldnn_transpose
quantize_per_tensor quantize_per_channel dequantize int_repr _pack_padded_sequence
_nested_from_padded nested_to_padded_tensor to_padded_tensor _nested_tensor_from_mask
_jagged_to_padded_dense_forward _padded_dense_to_jagged_forward fill_diagonal
flatten_dense_tensors combinations cartesian_prod _lazy_clone
"""), kind="move")  # fmt: skip
placed = nothing("a gradient is put in its place among zeros", *aten("""
slice_backward select_backward diagonal_backward _pack_padded_sequence_backward to_mkldnn_backward
_nested_select_backward trace_backward
"""), kind="move")  # fmt: skip
folded = op("overlapping windows added up", "aten.col2im", "aten.unfold_backward")
padded_back = op("padding backward", *(
    f"aten.{kind}_pad{axes}d_backward" for kind in ("reflection", "replication")
    for axes in (1, 2, 3)), kind="move")  # fmt: skip


@views.bytes
@asked.bytes
@marked.bytes
def _():
    """Nothing is moved."""
    return 0


set_aside.bytes(lambda: 0)


@made.bytes
def _(call: Call):
    """The result is written; a number given as a tensor is read (the tensor in place is not)."""
    return all_bytes(call.results)


@written.bytes
def _(call: Call):
    """The source is read, the target written."""
    return all_bytes(call.inputs[1:]) + all_bytes(call.results)


@folded.flops
def _(inputs):
    """Every number of a window is added to its place, which starts from zero."""
    return reals(inputs[0])


@padded_back.flops
def _(grad_output: Tensor):
    """Every gradient is added to the number it was copied from."""
    return reals(grad_output)
