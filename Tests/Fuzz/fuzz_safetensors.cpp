// libFuzzer: safetensors with an architecture -> policy -> session -> step. Half of the mutations change the
// architecture and a quarter the header, with the lengths and escapes around them kept right, so that layers are
// reached and not only the first checks.
#include "policy.hpp"

namespace {

const char key[] = "\"efferent.architecture\"";

uint64_t length(const uint8_t *data) {
  uint64_t n;
  memcpy(&n, data, 8);
  return n;
}

// The text between the quotes that follow `from`, unescaped as far as the seeds need; false where there is none.
bool architecture(const std::string &header, size_t &from, size_t &to, std::string &text) {
  size_t at = header.find(key);
  if (at == std::string::npos) return false;
  at = header.find('"', header.find(':', at + sizeof key - 1));
  if (at == std::string::npos) return false;
  from = ++at;
  for (; at < header.size() && header[at] != '"'; at++) {
    if (header[at] == '\\' && at + 1 < header.size()) at++;
    text += header[at];
  }
  to = at;
  return at < header.size();
}

std::string escaped(const std::string &text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += (unsigned char)c < 0x20 ? ' ' : c;
  }
  return out;
}

std::string file(const std::string &header, const std::string &data) {
  const uint64_t n = header.size();
  return std::string((const char *)&n, 8) + header + data;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 8 && data[8] != '{') return -1;  // ONNX, which has targets of its own: not for this corpus
  fuzz::tryPolicy(data, size);
  return 0;
}

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
  if (seed % 4 == 0 || size < 10 || length(data) > size - 8) return LLVMFuzzerMutate(data, size, most);
  std::string header((const char *)data + 8, length(data)),
      rest((const char *)data + 8 + header.size(), size - 8 - header.size());
  std::string text;
  size_t from = 0, to = 0;
  const bool isInner = seed % 4 != 1 && architecture(header, from, to, text);
  std::string &part = isInner ? text : header;
  const size_t room = part.size() + 256;
  part.resize(room);
  part.resize(LLVMFuzzerMutate((uint8_t *)part.data(), room - 256, room));
  if (isInner) header.replace(from, to - from, escaped(text));
  const std::string out = file(header, rest);
  if (out.size() > most) return LLVMFuzzerMutate(data, size, most);
  memcpy(data, out.data(), out.size());
  return out.size();
}
