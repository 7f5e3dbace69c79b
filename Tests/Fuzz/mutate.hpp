// Damage to ONNX files: in bytes, as a bad disk or link does it, and in fields, as a hostile or broken exporter does
// it.
#pragma once
#include <algorithm>
#include <random>

#include "protobuf.hpp"

namespace fuzz {

// Changes a file a little, always in the same way for the same seed.
class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random(seed) {}

  // A damaged copy: 1 to 4 changes, to fields three times out of four.
  std::string operator()(const std::string &file) {
    if (below(4) == 0) return damageBytes(file);
    Fields model;
    const auto *p = (const uint8_t *)file.data();
    if (!parse(p, p + file.size(), Model, model) || model.empty()) return damageBytes(file);
    for (uint64_t n = 1 + below(4); n > 0; n--) damageField(model);
    std::string out;
    write(model, out);
    return below(16) == 0 ? damageBytes(out) : out;
  }

  std::string damageBytes(std::string s) {
    if (s.empty()) return std::string(1, (char)random());
    for (uint64_t n = 1 + below(6); n > 0 && !s.empty(); n--) {
      const size_t at = below(s.size());
      switch (below(6)) {
        case 0: s[at] ^= (char)(1 << below(8)); break;
        case 1: s[at] = (char)random(); break;
        case 2: s.resize(at); break;
        case 3: s.insert(at, 1 + below(8), (char)random()); break;
        case 4: s.erase(at, 1 + below(32)); break;
        default: s.insert(below(s.size()), s.substr(at, 1 + below(64)));
      }
    }
    return s;
  }

 private:
  std::mt19937_64 random;

  uint64_t below(uint64_t n) { return n ? random() % n : 0; }

  uint64_t number() {
    static const int64_t known[] = {
        0, 1, -1, 2, -2, 3, 7, 8, 9, 16, 31, 32, 63, 64, 100, 127, 128, 255, 256, 1000, 4096, 65535, 65536, 1 << 20,
        1 << 24, INT32_MAX, INT32_MIN, 1LL << 31, 1LL << 32, 1LL << 40, 1LL << 62, INT64_MAX, INT64_MIN, INT64_MAX - 1};
    return below(4) ? (uint64_t)known[below(sizeof known / sizeof *known)] : below(64);
  }

  std::string op() {
    static const char *known[] = {
        "Add", "Sub", "Mul", "Div", "Pow", "Mod", "BitShift", "Max", "Mean", "Where", "Clip", "Relu", "Cast",
        "CastLike", "Identity", "Dropout", "Constant", "ConstantOfShape", "Shape", "Size", "Reshape", "Flatten",
        "Squeeze", "Unsqueeze", "Transpose", "Expand", "Tile", "Concat", "Split", "Slice", "Pad", "DepthToSpace",
        "SpaceToDepth", "Range", "EyeLike", "Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND",
        "OneHot", "Trilu", "ReduceSum", "ReduceMean", "ReduceMax", "ArgMax", "Softmax", "LogSoftmax", "CumSum", "TopK",
        "GlobalAveragePool", "MatMul", "Gemm", "Einsum", "Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool",
        "BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization", "LpNormalization",
        "LRN", "MeanVarianceNormalization", "RNN", "GRU", "LSTM", "If", "Loop", "Scan", "RandomNormal",
        "RandomUniformLike", "Multinomial", "Bernoulli", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear",
        "MatMulInteger", "QLinearMatMul", "ConvInteger", "QLinearConv", "Resize", "Upsample", "GridSample",
        "AffineGrid", "Attention", "RotaryEmbedding", "Det", "NonZero", "Unique", "NonMaxSuppression", "RoiAlign",
        "MaxUnpool", "Col2Im", "CenterCropPad", "ReverseSequence", "Compress", "DFT", "STFT", "MelWeightMatrix",
        "HannWindow", "BlackmanWindow", "TensorScatter", "SequenceConstruct", "SequenceAt", "ConcatFromSequence",
        "SplitToSequence", "Swish", "IsInf", "Shrink", "Hardmax", "NegativeLogLikelihoodLoss"};
    return known[below(sizeof known / sizeof *known)];
  }

  // All fields, parents before children, with the list that each is in.
  struct Place {
    Fields *list;
    size_t index;
  };

  void collect(Fields &fields, std::vector<Place> &out) {
    for (size_t i = 0; i < fields.size(); i++) {
      out.push_back({&fields, i});
      collect(fields[i].children, out);
    }
  }

  void damageField(Fields &model) {
    std::vector<Place> places;
    collect(model, places);
    if (places.empty()) return;
    const Place place = places[below(places.size())];
    Field &f = (*place.list)[place.index];
    switch (below(12)) {
      case 0: place.list->erase(place.list->begin() + (long)place.index); return;
      case 1: {
        const Field twin = f;
        place.list->insert(place.list->begin() + (long)place.index, below(50) ? 1 : 200, twin);
        return;
      }
      case 2: std::swap(f, (*place.list)[below(place.list->size())]); return;
      case 3: {  // any field of the same kind from elsewhere
        const Place other = places[below(places.size())];
        const Field copy = (*other.list)[other.index];
        if (copy.parent == f.parent) f = copy;
        return;
      }
      case 4:
        if (below(8) == 0) {
          f.lengthError = below(3) ? below(9) - 4 : number();
          return;
        }
        break;
      default: break;
    }
    if (f.wire != 2) f.value = f.wire == 0 ? number() : random();
    else if (f.message == Opaque) damageText(f, places);
    else if (!f.children.empty()) damageField(f.children);
  }

  // Names, operators, attribute lists and tensor data.
  void damageText(Field &f, const std::vector<Place> &places) {
    if (f.parent == Node && f.number == 4) {
      f.bytes = op();
    } else if (f.parent == Tensor && f.number == 9 && !f.bytes.empty()) {
      const size_t width = f.bytes.size() % 8 == 0 ? 8 : f.bytes.size() % 4 == 0 ? 4 : 1;
      const uint64_t v = number();
      if (below(8)) memcpy(&f.bytes[below(f.bytes.size() / width) * width], &v, width);
      else f.bytes.resize(below(2) ? f.bytes.size() / 2 : f.bytes.size() + 8);
    } else if ((f.parent == Attribute && f.number == 8)
               || (f.parent == Tensor && (f.number == 1 || f.number == 5 || f.number == 7))) {
      std::vector<uint64_t> list;
      const auto *p = (const uint8_t *)f.bytes.data(), *end = p + f.bytes.size();
      for (uint64_t v; p < end && readVarint(p, end, v);) list.push_back(v);
      if (list.empty() || below(4) == 0) list.insert(list.begin() + (long)below(list.size() + 1), number());
      else if (below(4) == 0) list.erase(list.begin() + (long)below(list.size()));
      else list[below(list.size())] = number();
      f.bytes.clear();
      for (uint64_t v : list) writeVarint(v, f.bytes);
    } else {
      const Field &other = (*places[below(places.size())].list).front();
      switch (below(4)) {
        case 0: f.bytes.clear(); break;
        case 1: f.bytes = damageBytes(f.bytes); break;
        case 2:
          if (below(20) == 0) f.bytes.assign(below(2) ? 300 : 100000, 'x');
          break;
        default:  // a name that exists: wires the graph in another way
          if (other.wire == 2 && other.message == Opaque && other.bytes.size() < 200) f.bytes = other.bytes;
      }
    }
  }
};

}  // namespace fuzz
