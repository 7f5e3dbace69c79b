// The engines that are compared: Efferent and onnxruntime through their C APIs, on the same seeded inputs.
#pragma once
#include <cmath>
#include <cstring>
#include <map>
#include <random>

#include "../../include/efferent/efferent.h"
#include "onnxruntime_api.h"

struct eff_api {
#define FUNCTION(name) decltype(&::name) name = nullptr;
#define FUNCTIONS                                                                                                      \
  FUNCTION(eff_last_error)                                                                                             \
  FUNCTION(eff_policy_options_default) FUNCTION(eff_policy_load_file) FUNCTION(eff_policy_input_count)                 \
      FUNCTION(eff_policy_output_count) FUNCTION(eff_policy_input) FUNCTION(eff_policy_output)                         \
          FUNCTION(eff_policy_find_input) FUNCTION(eff_policy_find_output) FUNCTION(eff_policy_describe)               \
              FUNCTION(eff_policy_op) FUNCTION(eff_policy_release) FUNCTION(eff_session_options_default)               \
                  FUNCTION(eff_session_create) FUNCTION(eff_session_step) FUNCTION(eff_session_input)                  \
                      FUNCTION(eff_session_run) FUNCTION(eff_session_output) FUNCTION(eff_session_reset)               \
                          FUNCTION(eff_session_prewarm) FUNCTION(eff_session_prewarm_weights)          \
                              FUNCTION(eff_session_destroy)
  FUNCTIONS
#undef FUNCTION
  bool open(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) return fprintf(stderr, "%s\n", dlerror()), false;
#define FUNCTION(name)                                   \
  if (!(name = (decltype(name))dlsym(library, #name))) \
    return fprintf(stderr, "no %s in %s\n", #name, path), false;
    FUNCTIONS
#undef FUNCTION
    return true;
  }
};

// seeded values of an element type: small for integers, so that they are valid indices more often than not
inline void fill(void *to, size_t count, int32_t type, std::mt19937 &random) {
  std::normal_distribution<float> normal(0, 1);
  for (size_t i = 0; i < count; i++) switch (type) {
      case EFF_F32: ((float *)to)[i] = normal(random); break;
      case EFF_F64: ((double *)to)[i] = normal(random); break;
      case EFF_F16: ((uint16_t *)to)[i] = 0x3800; break;
      case EFF_I64: ((int64_t *)to)[i] = 1; break;
      case EFF_I32: ((int32_t *)to)[i] = 1; break;
      default: ((uint8_t *)to)[i] = 1;
    }
}

// the caller has just written these bytes
inline void rewrite(void *p, size_t size) {
  for (volatile char *c = (volatile char *)p; size--; c++) *c = *c;
}

// one Efferent session
struct eff_run {
  const eff_api &api;
  eff_policy *policy = nullptr;
  eff_session *session = nullptr;
  size_t rows;
  std::vector<eff_tensor_spec> inputs, outputs;
  std::vector<float> observation, action;
  bool is_simple = false;  // one observation, one action: eff_session_step

  eff_run(const eff_api &a, const char *path, size_t rows = 1, int32_t weights = EFF_F32,
          int32_t non_finite = EFF_NON_FINITE_REFUSE)
      : api(a), rows(rows) {
    eff_policy_options options;
    api.eff_policy_options_default(&options, sizeof options);
    options.weights = weights;
    if (api.eff_policy_load_file(path, &options, &policy)) {
      fprintf(stderr, "efferent: %s\n", api.eff_last_error());
      return;
    }
    eff_session_options so;
    api.eff_session_options_default(&so, sizeof so);
    so.max_rows = rows;
    so.non_finite = non_finite;
    if (api.eff_session_create(policy, &so, &session)) {
      fprintf(stderr, "efferent: %s\n", api.eff_last_error());
      return;
    }
    for (size_t i = 0; i < api.eff_policy_input_count(policy); i++) {
      eff_tensor_spec s = {};
      s.struct_size = sizeof s;
      api.eff_policy_input(policy, i, &s);
      inputs.push_back(s);
    }
    for (size_t i = 0; i < api.eff_policy_output_count(policy); i++) {
      eff_tensor_spec s = {};
      s.struct_size = sizeof s;
      api.eff_policy_output(policy, i, &s);
      outputs.push_back(s);
    }
    std::mt19937 random(1);
    size_t in = 0, out = 0;
    for (size_t i = 0; i < inputs.size(); i++) {
      auto &s = inputs[i];
      if (s.role == EFF_ROLE_STATE) continue;
      fill(api.eff_session_input(session, i), s.count * rows, s.dtype, random);
      in++;
      if (s.dtype == EFF_F32)
        observation.assign((float *)api.eff_session_input(session, i),
                           (float *)api.eff_session_input(session, i) + s.count * rows);
    }
    for (auto &s : outputs) if (s.role == EFF_ROLE_ACTION) out += s.dtype == EFF_F32, action.resize(s.count * rows);
    is_simple = in == 1 && out == 1 && observation.size();
  }
  ~eff_run() {
    if (session) api.eff_session_destroy(session);
    if (policy) api.eff_policy_release(policy);
  }
  eff_run(const eff_run &) = delete;
  explicit operator bool() const { return session; }
  void step() {
    if (is_simple) api.eff_session_step(session, rows, observation.data(), action.data());
    else api.eff_session_run(session, rows);
  }
  // what a caller has in its hands when it steps: the observation, the place of the action, the library's entry points
  void observe() {
    if (is_simple) rewrite(observation.data(), observation.size() * 4), rewrite(action.data(), action.size() * 4);
    else
      for (size_t i = 0; i < inputs.size(); i++)
        if (inputs[i].role == EFF_ROLE_OBSERVATION) rewrite(api.eff_session_input(session, i), inputs[i].size * rows);
    rewrite((void *)&api, sizeof api);
  }
  // a call that the library refuses: all but the step itself
  void refused(const std::function<void()> &step) {
    eff_session *mine = session;
    session = nullptr, step(), session = mine;
  }
  eff_policy_info info() const {
    eff_policy_info i = {};
    i.struct_size = sizeof i;
    api.eff_policy_describe(policy, &i);
    return i;
  }
};

// one onnxruntime session with the inputs of an Efferent session, all tensors made beforehand
struct ort_run {
  const ort_api &api;
  void *session = nullptr;
  std::vector<char *> input_names, output_names;
  std::vector<void *> inputs, outputs;
  std::vector<std::vector<char>> memory;

  void *tensor(const eff_tensor_spec &s, size_t rows) {
    std::vector<int64_t> shape(s.shape, s.shape + s.rank);
    if (rows > 1) shape[0] *= (int64_t)rows;
    void *v = nullptr;
    api.check(ort_api::tensor_with_data, (const void *)api.memory, (void *)memory.back().data(), s.size * rows,
              (const int64_t *)shape.data(), shape.size(), (int)s.dtype, &v);
    return v;
  }

  ort_run(const ort_api &a, const char *path, const eff_run &like) : api(a) {
    if (!api.table || !(session = api.session(path))) return;
    size_t count;
    std::mt19937 random(1);
    api.check(ort_api::input_count, (const void *)session, &count);
    std::map<std::string, size_t> position;
    for (size_t i = 0; i < count; i++) {
      char *name;
      api.check(ort_api::input_name, (const void *)session, i, api.allocator, &name);
      position[name] = i;
      input_names.push_back(name);
    }
    inputs.resize(count);
    memory.reserve(64);
    for (size_t i = 0; i < like.inputs.size(); i++) {
      auto &s = like.inputs[i];
      memory.emplace_back(s.size * like.rows + 64);
      if (s.role != EFF_ROLE_STATE) fill(memory.back().data(), s.count * like.rows, s.dtype, random);
      if (position.count(s.name)) inputs[position[s.name]] = tensor(s, like.rows);
    }
    api.check(ort_api::output_count, (const void *)session, &count);
    for (size_t i = 0; i < count; i++) {
      char *name;
      api.check(ort_api::output_name, (const void *)session, i, api.allocator, &name);
      output_names.push_back(name);
      int64_t o = like.api.eff_policy_find_output(like.policy, name);
      auto &s = like.outputs[(size_t)std::max<int64_t>(0, o)];
      memory.emplace_back(s.size * like.rows + 64);
      outputs.push_back(tensor(s, like.rows));
    }
  }
  ~ort_run() {
    for (auto *list : {&inputs, &outputs}) for (void *v : *list) if (v) api.call(ort_api::release_value, v);
    if (session) api.call(ort_api::release_session, session);
  }
  ort_run(const ort_run &) = delete;
  explicit operator bool() const { return session; }
  void step() {
    api.check(ort_api::run, session, (const void *)nullptr, (const char *const *)input_names.data(),
              (const void *const *)inputs.data(), inputs.size(), (const char *const *)output_names.data(),
              output_names.size(), outputs.data());
  }
  void observe() {
    for (auto &m : memory) rewrite(m.data(), m.size());
    rewrite((void *)&api, sizeof api);
  }
  const void *output(size_t i) const { return memory[inputs.size() + i].data(); }
};

// largest |efferent - onnxruntime| / (1 + |onnxruntime|) over the f32 outputs of the first step
inline double difference(eff_run &e, ort_run &o) {
  e.api.eff_session_reset(e.session, -1);
  e.step();
  o.step();
  double worst = 0;
  for (size_t i = 0; i < o.output_names.size(); i++) {
    int64_t k = e.api.eff_policy_find_output(e.policy, o.output_names[i]);
    if (k < 0 || e.outputs[(size_t)k].dtype != EFF_F32) continue;
    const float *a = (const float *)e.api.eff_session_output(e.session, (size_t)k), *b = (const float *)o.output(i);
    for (size_t j = 0; j < e.outputs[(size_t)k].count * e.rows; j++)
      worst = std::max(worst, (double)(fabsf(a[j] - b[j]) / (1 + fabsf(b[j]))));
  }
  return worst;
}
