#include "generic.h"

using namespace eff;

extern "C" eff_kernel eff_kernel_find_generic(int32_t id, int32_t type) {
  switch (id) {
    case EFF_K_UNARY: return find_unary(type);
    case EFF_K_BINARY:
    case EFF_K_WHERE: return find_binary(id, type);
    case EFF_K_CAST: return find_cast(type);
    case EFF_K_COPY:
    case EFF_K_FILL:
    case EFF_K_GATHER:
    case EFF_K_GATHER_ELEMENTS:
    case EFF_K_GATHER_ND:
    case EFF_K_ONE_HOT: return find_move(id, type);
    case EFF_K_SCATTER_ELEMENTS:
    case EFF_K_SCATTER_ND: return find_scatter(id, type);
    case EFF_K_REDUCE:
    case EFF_K_ARG: return find_reduce(id, type);
    case EFF_K_SOFTMAX:
    case EFF_K_CUMULATE:
    case EFF_K_TOPK: return find_scan(id, type);
    case EFF_K_DENSE:
    case EFF_K_MATMUL:
    case EFF_K_MATMUL_INTEGER: return find_matmul(id, type);
    case EFF_K_CONV:
    case EFF_K_CONV_TRANSPOSE:
    case EFF_K_CONV_INTEGER: return find_conv(id, type);
    case EFF_K_POOL:
    case EFF_K_LRN: return find_pool(id, type);
    case EFF_K_NORM: return find_norm(type);
    case EFF_K_RNN: return find_rnn(type);
    case EFF_K_RANDOM: return find_random(type);
    case EFF_K_RESIZE: return find_resize(type);
    case EFF_K_QUANTIZE:
    case EFF_K_DEQUANTIZE:
    case EFF_K_DYNAMIC_QUANTIZE: return find_quantize(id, type);
    case EFF_K_ATTENTION: return find_attention(type);
    case EFF_K_GRID_SAMPLE: return find_grid_sample(type);
    case EFF_K_DET: return find_det(type);
    case EFF_K_BRANCH: return find_branch();
    case EFF_K_TREES: return find_trees(type);
    default: return nullptr;
  }
}
