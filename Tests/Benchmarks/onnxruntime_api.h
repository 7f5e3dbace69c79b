// The part of onnxruntime's C API that a benchmark needs. The wheel has the library and no header: the functions are
// taken by their position in the OrtApi table, which is fixed by that API's promise to append only.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>

struct ort_api {
  using status = void *;
  void *const *table = nullptr;
  const char *version = "";
  void *env = nullptr, *memory = nullptr, *allocator = nullptr;

  enum : int {
    get_error_message = 2,
    create_env = 3,
    create_session = 7,
    run = 9,
    create_session_options = 10,
    set_optimization_level = 23,
    set_intra_threads = 24,
    set_inter_threads = 25,
    input_count = 30,
    output_count = 31,
    input_type = 33,
    output_type = 34,
    input_name = 36,
    output_name = 37,
    tensor_with_data = 49,
    cast_to_tensor_info = 55,
    element_type = 60,
    dimension_count = 61,
    dimensions = 62,
    cpu_memory = 69,
    default_allocator = 78,
    free_dimension_override = 79,
    release_status = 93,
    release_session = 95,
    release_value = 96
  };
  template <class... A> void *call(int entry, A... a) const { return ((void *(*)(A...))table[entry])(a...); }
  template <class... A> void check(int entry, A... a) const {
    status s = call(entry, a...);
    if (!s) return;
    fprintf(stderr, "onnxruntime: %s\n", (const char *)call(get_error_message, (const void *)s));
    exit(1);
  }

  // false where the library cannot be loaded
  bool open(const char *path) {
    struct base { void *const *(*get)(uint32_t); const char *(*version)(); };
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    auto *get_base = library ? (const base *(*)())dlsym(library, "OrtGetApiBase") : nullptr;
    if (!get_base || !(table = get_base()->get(17))) return false;
    version = get_base()->version();
    check(create_env, (int)3, (const char *)"bench", &env);
    check(cpu_memory, (int)0, (int)0, &memory);
    check(default_allocator, &allocator);
    return true;
  }

  // one thread, all graph optimizations
  void *session(const char *path) const {
    void *options, *s = nullptr;
    check(create_session_options, &options);
    check(set_intra_threads, options, (int)1);
    check(set_inter_threads, options, (int)1);
    check(set_optimization_level, options, (int)99);
    status failed = call(create_session, env, path, (const void *)options, &s);
    if (failed) {
      fprintf(stderr, "onnxruntime: %s\n", (const char *)call(get_error_message, (const void *)failed));
      call(release_status, failed);
    }
    return s;
  }
};
