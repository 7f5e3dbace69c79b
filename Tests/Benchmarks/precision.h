// One policy with its weights in every precision, onnxruntime beside it: f32, and int8 where make_int8.py left a
// quantized copy of the net.
#pragma once
#include <memory>

struct precision_run {
  const char *name;
  int32_t weights;
};
static const precision_run precisions[] = {
    {"efferent", EFF_F32}, {"efferent f16", EFF_F16}, {"efferent bf16", EFF_BF16}, {"efferent int8", EFF_I8}};

// largest difference of two actions on the same observation
inline double action_error(const std::vector<float> &a, const std::vector<float> &b) {
  double worst = 0;
  for (size_t i = 0; i < a.size() && i < b.size(); i++) worst = std::max(worst, (double)fabsf(a[i] - b[i]));
  return worst;
}

// the copy of a net that make_int8.py quantized: FOLDER/int8/NAME.onnx
inline std::string quantized_copy(const std::string &path) {
  size_t slash = path.rfind('/') + 1;
  std::string copy = path.substr(0, slash) + "int8/" + path.substr(slash);
  return access(copy.c_str(), R_OK) == 0 ? copy : "";
}

static void precision(const std::string &path) {
  std::vector<std::unique_ptr<eff_run>> runs;
  std::vector<engine> all;
  for (auto &p : precisions) {
    runs.push_back(std::make_unique<eff_run>(eff, path.c_str(), 1, p.weights));
    eff_run *e = runs.back().get();
    if (!*e) return;
    all.push_back({p.name, [e] { e->step(); }, {}, {}, {}});
  }
  std::string copy = quantized_copy(path);
  ort_run o(ort, path.c_str(), *runs[0]), q(ort, copy.empty() ? path.c_str() : copy.c_str(), *runs[0]);
  if (o) all.push_back({"onnxruntime", [&] { o.step(); }, {}, {}, {}});
  if (q && !copy.empty()) all.push_back({"onnxruntime int8", [&] { q.step(); }, {}, {}, {}});
  std::vector<double> errors;
  for (auto &r : runs) {
    eff.eff_session_reset(r->session, -1);
    r->step();
    errors.push_back(action_error(r->action, runs[0]->action));
  }
  interleave_within(all);
  for (size_t i = 0; i < runs.size(); i++) {
    count_allocations(all[i]);
    all[i].system_calls = count_system_calls(all[i].step);
  }
  const engine *peer = o ? &all[runs.size()] : nullptr;
  printf("%-30s", stem(path).c_str());
  for (size_t i = 0; i < all.size(); i++) {
    record("precision", stem(path), all[i], nullptr, peer);
    printf(" | %s %.3f", all[i].name.c_str(), p50(all[i]));
    if (peer) printf(" (%.3f)", ratio(all[i], peer));
    if (i > 0 && i < runs.size()) printf(" %.0e", errors[i]);
    if (i < runs.size()) printf(" %g/%g", all[i].allocations, all[i].system_calls);
  }
  printf("\n");
  fflush(stdout);
}
