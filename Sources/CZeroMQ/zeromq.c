#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE  // RTLD_DEFAULT, dladdr
#endif
#include "zeromq.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined(__APPLE__)
#define NAME "libzmq.5.dylib"
#define HOW "brew install zeromq"
#else
#define NAME "libzmq.so.5"
#define HOW                                                                                   \
  "Debian and Ubuntu: apt-get install libzmq5; Fedora: dnf install zeromq; else put " NAME \
  " beside this library"
#endif

eff_zmq_functions eff_zmq;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// Fills the table from a handle of dlopen. 0, or -1 with the reason.
static int fill(void *library, const char *where, char *problem, size_t size) {
  eff_zmq_functions found;
  memset(&found, 0, sizeof found);
  // the version first: an old one lacks functions, and that it is old is what helps
  void (*version)(int *, int *, int *) = NULL;
  void *asked = dlsym(library, "zmq_version");
  if (!asked) return snprintf(problem, size, "%s: libzmq without zmq_version", where), -1;
  memcpy(&version, &asked, sizeof asked);
  int major = 0, minor = 0, patch = 0;
  version(&major, &minor, &patch);
  if (major != 4 || minor < 2)
    return snprintf(problem, size, "%s: libzmq %d.%d.%d found, 4.2 or a later 4 is needed", where, major, minor, patch),
           -1;
#define FIND(result, name, parameters)                                                                   \
  {                                                                                                      \
    const char *symbol = strcmp(#name, "errno_") ? "zmq_" #name : "zmq_errno";                           \
    void *address = dlsym(library, symbol);                                                              \
    if (!address) return snprintf(problem, size, "%s: libzmq without %s", where, symbol), -1;            \
    memcpy(&found.name, &address, sizeof address);                                                       \
  }
  EFF_ZMQ_FUNCTIONS(FIND)
#undef FIND
  eff_zmq = found;
  return 0;
}

// The libzmq that this process has: linked or loaded for all, or loaded under its usual name. 0: none.
static int own(void **library) {
  *library = RTLD_DEFAULT;
  if (dlsym(RTLD_DEFAULT, "zmq_ctx_new")) return 1;
  *library = dlopen(NAME, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  return *library != NULL;
}

static int open_and_fill(const char *path, char *problem, size_t size) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *why = dlerror();
    return snprintf(problem, size, "the bridge needs libzmq (%s). Install it: %s", why ? why : path, HOW), -1;
  }
  if (fill(library, path, problem, size) == 0) return 0;  // stays open: the table points into it
  dlclose(library);
  return -1;
}

// PATH of a libzmq in the folder of this library. 0: there is none.
static int beside(char *path, size_t size) {
  Dl_info here;
  if (!dladdr((void *)&eff_zmq, &here) || !here.dli_fname) return 0;
  const char *slash = strrchr(here.dli_fname, '/');
  if (!slash) return 0;
  const int length = snprintf(path, size, "%.*s/%s", (int)(slash - here.dli_fname), here.dli_fname, NAME);
  return length > 0 && (size_t)length < size && access(path, F_OK) == 0;
}

static int open_any(int has_context, char *problem, size_t size) {
  void *library = NULL;
  const int has_own = own(&library);
  if (eff_zmq.ctx_new) {
    if (!has_context || !has_own || dlsym(library, "zmq_ctx_new") == (void *)eff_zmq.ctx_new) return 0;
    return snprintf(problem, size,
                    "context: it belongs to another libzmq than the one that bridges of this process use: "
                    "load the program's libzmq before the first bridge is made"),
           -1;
  }
  char path[4096];
  if (has_own) return fill(library, "the libzmq of this process", problem, size);
  if (beside(path, sizeof path)) return open_and_fill(path, problem, size);
  return open_and_fill(NAME, problem, size);
}

int eff_zmq_open(int has_context, char *problem, size_t size) {
  pthread_mutex_lock(&lock);
  const int code = open_any(has_context, problem, size);
  pthread_mutex_unlock(&lock);
  return code;
}
