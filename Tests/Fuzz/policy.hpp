// What every harness does with hostile bytes: load them, and where that works, run one step and read every output.
#pragma once
#include <efferent/efferent.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

namespace fuzz {

struct Outcome {
  eff_status status;
  std::string message;  // of a refused load
  bool stepped;
};

constexpr size_t memoryLimit = 64u << 20;

// A step of a big policy takes its time rightly: only the load is held to a time limit there.
constexpr int64_t mostWork = 10'000'000;

inline bool isQuick(const eff_policy *policy) {
  eff_policy_info info;
  info.struct_size = sizeof info;
  if (eff_policy_describe(policy, &info) != EFF_OK) abort();
  return info.multiply_adds < mostWork && info.arena_bytes < memoryLimit;
}

inline void touch(const void *p, size_t size) {
  volatile unsigned char sum = 0;
  for (size_t i = 0; i < size; i++) sum = (unsigned char)(sum + ((const unsigned char *)p)[i]);
}

inline void stepOnce(eff_policy *policy) {
  eff_session_options options;
  eff_session_options_default(&options, sizeof options);
  options.max_rows = 2;
  eff_session *session = nullptr;
  if (eff_session_create(policy, &options, &session) != EFF_OK) return;
  for (size_t i = 0; i < eff_policy_input_count(policy); i++) {
    eff_tensor_spec spec;
    spec.struct_size = sizeof spec;
    if (eff_policy_input(policy, i, &spec) != EFF_OK) abort();
    if (spec.rank > EFF_MAX_RANK) abort();
    memset(eff_session_input(session, i), spec.dtype == EFF_BOOL ? 1 : 0x3C, 2 * spec.size);
  }
  // the second run reads the other buffers of recurrent state
  for (size_t rows : {2, 1}) if (eff_session_run(session, rows) != EFF_OK) abort();
  for (size_t i = 0; i < eff_policy_output_count(policy); i++) {
    eff_tensor_spec spec;
    spec.struct_size = sizeof spec;
    if (eff_policy_output(policy, i, &spec) != EFF_OK) abort();
    if (spec.rank > EFF_MAX_RANK) abort();
    touch(eff_session_output(session, i), 2 * spec.size);
  }
  if (eff_session_reset(session, 1) != EFF_OK || eff_session_prewarm(session) != EFF_OK) abort();
  eff_session_destroy(session);
}

inline Outcome tryPolicy(const void *bytes, size_t size) {
  eff_policy_options options;
  eff_policy_options_default(&options, sizeof options);
  options.memory_limit = memoryLimit;
  eff_policy *policy = nullptr;
  // a copy without slack, so that a read past its end is seen
  void *exact = malloc(size ? size : 1);
  if (size) memcpy(exact, bytes, size);
  Outcome out{eff_policy_load_memory(exact, size, &options, &policy), "", false};
  free(exact);
  if (out.status != EFF_OK) {
    out.message = eff_last_error();
    return out;
  }
  if (isQuick(policy)) {
    stepOnce(policy);
    out.stepped = true;
  }
  eff_policy_release(policy);
  return out;
}

}  // namespace fuzz
