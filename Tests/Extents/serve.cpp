// Runs models that it is sent, one after the other, and sends back what came out: for tests that must survive a crash
// of the library.
//
//   request:   model (size, bytes), count of inputs, each (name, bytes of one row)
//   answer:    status, text of a failure, count of outputs, each (element type, rank, dims, bytes of the first row,
//              whether both rows are equal)
//
// Sizes and counts are 64-bit. Both rows of a session are given the same inputs. Ends at the end of its input.
#include <efferent/efferent.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

uint64_t readNumber() {
  uint64_t n = 0;
  if (fread(&n, sizeof n, 1, stdin) != 1) exit(0);
  return n;
}
std::string readBytes() {
  std::string bytes(readNumber(), '\0');
  if (!bytes.empty() && fread(&bytes[0], 1, bytes.size(), stdin) != bytes.size()) exit(0);
  return bytes;
}
void write(uint64_t n) { fwrite(&n, sizeof n, 1, stdout); }
void write(const void *bytes, size_t size) {
  write(size);
  if (size) fwrite(bytes, 1, size, stdout);
}

eff_status answer(const std::string &model, const std::vector<std::pair<std::string, std::string>> &inputs,
                  eff_policy **policy, eff_session **session) {
  eff_policy_options options;
  eff_policy_options_default(&options, sizeof options);
  options.no_state = 1;
  options.memory_limit = 256u << 20;
  if (eff_status s = eff_policy_load_memory(model.data(), model.size(), &options, policy)) return s;
  eff_session_options how;
  eff_session_options_default(&how, sizeof how);
  how.max_rows = 2;
  if (eff_status s = eff_session_create(*policy, &how, session)) return s;
  for (const auto &[name, bytes] : inputs) {
    const int64_t i = eff_policy_find_input(*policy, name.c_str());
    if (i < 0) continue;  // not needed
    eff_tensor_spec spec;
    spec.struct_size = sizeof spec;
    eff_policy_input(*policy, (size_t)i, &spec);
    char *to = (char *)eff_session_input(*session, (size_t)i);
    if (!to || spec.size != bytes.size()) abort();
    for (int r = 0; r < 2 && spec.size; r++) memcpy(to + (size_t)r * spec.size, bytes.data(), spec.size);
  }
  for (size_t rows : {1, 2}) if (eff_status s = eff_session_run(*session, rows)) return s;
  return eff_session_prewarm(*session);
}

}  // namespace

int main() {
  for (;;) {
    const std::string model = readBytes();
    std::vector<std::pair<std::string, std::string>> inputs(readNumber());
    for (auto &i : inputs) i.first = readBytes(), i.second = readBytes();
    eff_policy *policy = nullptr;
    eff_session *session = nullptr;
    const eff_status status = answer(model, inputs, &policy, &session);
    write((uint64_t)(int64_t)status);
    const std::string text = status ? eff_last_error() : "";
    write(text.data(), text.size());
    const size_t count = status ? 0 : eff_policy_output_count(policy);
    write(count);
    for (size_t i = 0; i < count; i++) {
      eff_tensor_spec spec;
      spec.struct_size = sizeof spec;
      eff_policy_output(policy, i, &spec);
      const char *y = (const char *)eff_session_output(session, i);
      write((uint64_t)spec.dtype);
      write(spec.shape, (size_t)spec.rank * sizeof spec.shape[0]);
      write(y, spec.size);
      write(spec.size == 0 || memcmp(y, y + spec.size, spec.size) == 0);
    }
    fflush(stdout);
    eff_session_destroy(session);
    eff_policy_release(policy);
  }
}
