"""Random single-op models, seeded: each function draws attributes, shapes and types of one family of operators and
returns a Case."""
from . import axes, elementwise, machine_learning, microsoft, places, quantized, space
from .case import Case, Draw

__all__ = ["Case", "Draw", "FAMILIES"]

FAMILIES = [
    elementwise.unary, elementwise.binary, elementwise.clip, elementwise.cast,
    places.reshape, places.reshape_zero, places.transpose, places.squeeze, places.unsqueeze, places.slice_,
    places.split, places.concat,
    places.expand, places.tile, places.pad, places.depth, places.flatten, places.trilu, places.gather,
    places.gather_elements, places.gather_nd,
    places.scatter_elements, places.scatter_nd, places.one_hot, places.top_k, places.reverse_sequence,
    axes.reduce, axes.arg, axes.softmax, axes.cum_sum, axes.matmul, axes.gemm, axes.einsum, axes.batch_norm,
    axes.layer_norm, axes.other_norm,
    axes.recurrent,
    space.conv, space.conv_transpose, space.pool, space.global_pool, space.resize, space.old_resize, space.grid_sample,
    space.attention,
    quantized.quantize, quantized.dequantize, quantized.integer_product,
    *microsoft.FAMILIES, *machine_learning.FAMILIES,
]
