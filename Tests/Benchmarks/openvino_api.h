// The part of OpenVINO's C API that a benchmark needs, taken from the library of the pip wheel. One thread, one stream,
// f32.
#pragma once
#include <cmath>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>

#include "contenders.h"

struct openvino_api {
  void *core = nullptr;
  int (*compile)(const void *core, const char *path, const char *device, size_t properties, void **out, ...) = nullptr;
  int (*create_request)(const void *model, void **out) = nullptr;
  int (*input)(const void *request, size_t index, void **out) = nullptr;
  int (*output)(const void *request, size_t index, void **out) = nullptr;
  int (*data)(const void *tensor, void **out) = nullptr;
  int (*byte_size)(const void *tensor, size_t *out) = nullptr;
  int (*infer)(void *request) = nullptr;
  void (*free_model)(void *) = nullptr, (*free_request)(void *) = nullptr, (*free_tensor)(void *) = nullptr;

  // false where the library cannot be loaded
  bool open(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) return fprintf(stderr, "%s\n", dlerror()), false;
    bool all = true;
    auto take = [&](auto &function, const char *name) {
      all &= (function = (std::remove_reference_t<decltype(function)>)dlsym(library, name)) != nullptr;
    };
    int (*create)(void **) = nullptr;
    take(create, "ov_core_create");
    take(compile, "ov_core_compile_model_from_file");
    take(create_request, "ov_compiled_model_create_infer_request");
    take(input, "ov_infer_request_get_input_tensor_by_index");
    take(output, "ov_infer_request_get_output_tensor_by_index");
    take(data, "ov_tensor_data");
    take(byte_size, "ov_tensor_get_byte_size");
    take(infer, "ov_infer_request_infer");
    take(free_model, "ov_compiled_model_free");
    take(free_request, "ov_infer_request_free");
    take(free_tensor, "ov_tensor_free");
    return all && create(&core) == 0;
  }
  void *model(const char *path) const {
    void *m = nullptr;
    if (core)
      compile(core, path, "CPU", 8, &m, "INFERENCE_NUM_THREADS", "1", "NUM_STREAMS", "1", "PERFORMANCE_HINT", "LATENCY",
              "INFERENCE_PRECISION_HINT", "f32");
    return m;
  }
};

// one OpenVINO request with the inputs of an Efferent session; tensors are written before the first step
struct openvino_run {
  const openvino_api &api;
  void *model = nullptr, *request = nullptr;

  openvino_run(const openvino_api &a, const char *path, eff_run &like) : api(a) {
    if (!(model = api.model(path)) || api.create_request(model, &request)) return;
    for (size_t i = 0; i < like.inputs.size(); i++) {
      size_t size = 0;
      void *to = memory(api.input, i, &size);
      const void *from = like.api.eff_session_input(like.session, i);
      if (!to || size != like.inputs[i].size * like.rows) {
        give_up();
        return;
      }
      if (like.inputs[i].role == EFF_ROLE_STATE) memset(to, 0, size);
      else memcpy(to, from, size);
    }
  }
  ~openvino_run() { give_up(); }
  openvino_run(const openvino_run &) = delete;
  explicit operator bool() const { return request; }
  void step() { api.infer(request); }

  // largest |efferent - openvino| / (1 + |openvino|) over the f32 outputs of a first step
  double difference(eff_run &e) {
    e.api.eff_session_reset(e.session, -1);
    e.step();
    step();
    double worst = 0;
    for (size_t i = 0; i < e.outputs.size(); i++) {
      size_t size = 0;
      auto *b = (const float *)memory(api.output, i, &size);
      auto *a = (const float *)e.api.eff_session_output(e.session, i);
      if (e.outputs[i].dtype != EFF_F32 || size != e.outputs[i].size * e.rows) continue;
      for (size_t j = 0; j < size / 4; j++) worst = std::max(worst, (double)(fabsf(a[j] - b[j]) / (1 + fabsf(b[j]))));
    }
    return worst;
  }

 private:
  void *memory(int (*get)(const void *, size_t, void **), size_t index, size_t *size) const {
    void *tensor = nullptr, *p = nullptr;
    if (get(request, index, &tensor) || api.data(tensor, &p) || api.byte_size(tensor, size)) return nullptr;
    api.free_tensor(tensor);  // the request keeps the memory
    return p;
  }
  void give_up() {
    if (request) api.free_request(request);
    if (model) api.free_model(model);
    request = model = nullptr;
  }
};
