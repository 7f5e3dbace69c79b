// libFuzzer: bytes -> policy -> session -> step, with mutations of protobuf fields beside those of bytes.
#include "mutate.hpp"
#include "policy.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz::tryPolicy(data, size);
  return 0;
}

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
  if (seed % 4 == 0) return LLVMFuzzerMutate(data, size, most);
  const std::string out = fuzz::Mutator(seed)(std::string((const char *)data, size));
  if (out.size() > most) return LLVMFuzzerMutate(data, size, most);
  memcpy(data, out.data(), out.size());
  return out.size();
}
