// libFuzzer: the ONNX reader alone. Without a graph that runs, only the reading and the message of a refusal are
// exercised.
#include "policy.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  eff_policy_options options;
  eff_policy_options_default(&options, sizeof options);
  options.memory_limit = 1;  // nothing beyond reading fits
  eff_policy *policy = nullptr;
  if (eff_policy_load_memory(data, size, &options, &policy) == EFF_OK) eff_policy_release(policy);
  else if (!*eff_last_error()) abort();
  return 0;
}
