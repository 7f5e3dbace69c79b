// An ONNX file as a tree of protobuf fields that can be changed and written again. Unknown or damaged parts stay bytes.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace fuzz {

// Which message a field holds; the numbers are those of onnx.proto3.
enum Message {
  Opaque, Model, Graph, Node, Attribute, Tensor, Value, Type, TensorType, Shape, Dim, Opset, Entry, Function
};

inline Message child(Message m, uint32_t field) {
  switch (m) {
    case Model: return field == 7 ? Graph : field == 8 ? Opset : field == 14 ? Entry : field == 25 ? Function : Opaque;
    case Graph:
      return field == 1 ? Node : field == 5 ? Tensor : field == 11 || field == 12 || field == 13 ? Value : Opaque;
    case Node: return field == 5 ? Attribute : Opaque;
    case Attribute: return field == 5 || field == 10 ? Tensor : field == 6 || field == 11 ? Graph : Opaque;
    case Tensor: return field == 13 ? Entry : Opaque;
    case Value: return field == 2 ? Type : Opaque;
    case Type: return field == 1 ? TensorType : Opaque;
    case TensorType: return field == 2 ? Shape : Opaque;
    case Shape: return field == 1 ? Dim : Opaque;
    case Function: return field == 7 ? Node : field == 9 ? Opset : field == 11 ? Attribute : Opaque;
    default: return Opaque;
  }
}

struct Field {
  uint32_t number = 0;
  uint32_t wire = 0;
  Message parent = Opaque;   // the message that this field is in
  Message message = Opaque;  // what it holds, where that is a message
  uint64_t value = 0;        // wire types 0, 1 and 5
  std::string bytes;         // wire type 2 without children
  std::vector<Field> children;
  uint64_t lengthError = 0;  // added to the length when written
};

using Fields = std::vector<Field>;

inline bool readVarint(const uint8_t *&p, const uint8_t *end, uint64_t &out) {
  out = 0;
  for (int shift = 0; shift < 64 && p < end; shift += 7) {
    const uint8_t b = *p++;
    out |= (uint64_t)(b & 0x7F) << shift;
    if (!(b & 0x80)) return true;
  }
  return false;
}

inline bool parse(const uint8_t *p, const uint8_t *end, Message m, Fields &out, int depth = 0) {
  while (p < end) {
    uint64_t key;
    Field f;
    if (!readVarint(p, end, key) || key >> 3 == 0 || key >> 3 > 0x1FFFFFFF) return false;
    f.number = (uint32_t)(key >> 3), f.wire = key & 7, f.parent = m;
    if (f.wire == 0) {
      if (!readVarint(p, end, f.value)) return false;
    } else if (f.wire == 1 || f.wire == 5) {
      const size_t size = f.wire == 1 ? 8 : 4;
      if ((size_t)(end - p) < size) return false;
      memcpy(&f.value, p, size);
      p += size;
    } else if (f.wire == 2) {
      uint64_t size;
      if (!readVarint(p, end, size) || size > (uint64_t)(end - p)) return false;
      f.message = child(m, f.number);
      if (f.message == Opaque || depth > 30 || !parse(p, p + size, f.message, f.children, depth + 1)) {
        f.children.clear();
        f.message = Opaque;
        f.bytes.assign((const char *)p, (size_t)size);
      }
      p += size;
    } else {
      return false;
    }
    out.push_back(std::move(f));
  }
  return true;
}

inline void writeVarint(uint64_t v, std::string &out) {
  for (; v > 0x7F; v >>= 7) out += (char)(v | 0x80);
  out += (char)v;
}

inline void write(const Fields &fields, std::string &out) {
  for (const Field &f : fields) {
    writeVarint((uint64_t)f.number << 3 | f.wire, out);
    if (f.wire == 0) {
      writeVarint(f.value, out);
    } else if (f.wire == 1 || f.wire == 5) {
      out.append((const char *)&f.value, f.wire == 1 ? 8 : 4);
    } else {
      std::string inner;
      if (f.message == Opaque) inner = f.bytes;
      else write(f.children, inner);
      writeVarint(inner.size() + f.lengthError, out);
      out += inner;
    }
  }
}

}  // namespace fuzz
