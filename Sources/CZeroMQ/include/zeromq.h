// libzmq as a table of functions that is filled when the first bridge is made: nothing links with libzmq, and a machine
// without it runs all the rest. The names are those of <zmq.h>; a new one is a line in EFF_ZMQ_FUNCTIONS and an inline
// function below it.
#pragma once
#include "constants.h"
#include <stddef.h>
#include <stdint.h>

typedef struct zmq_msg_t {
  unsigned char _[64] __attribute__((aligned(sizeof(void *))));
} zmq_msg_t;

#define EFF_ZMQ_FUNCTIONS(F)                                            \
  F(void *, ctx_new, (void))                                            \
  F(int, ctx_term, (void *context))                                     \
  F(void *, socket, (void *context, int type))                          \
  F(int, close, (void *socket))                                         \
  F(int, setsockopt, (void *socket, int option, const void *value, size_t size)) \
  F(int, getsockopt, (void *socket, int option, void *value, size_t *size))      \
  F(int, bind, (void *socket, const char *endpoint))                    \
  F(int, unbind, (void *socket, const char *endpoint))                  \
  F(int, connect, (void *socket, const char *endpoint))                 \
  F(int, send, (void *socket, const void *bytes, size_t size, int flags)) \
  F(int, recv, (void *socket, void *bytes, size_t size, int flags))     \
  F(int, ctx_set, (void *context, int option, int value))               \
  F(int, socket_monitor, (void *socket, const char *endpoint, int events)) \
  F(int, msg_init, (zmq_msg_t *message))                                \
  F(int, msg_recv, (zmq_msg_t *message, void *socket, int flags))       \
  F(int, msg_close, (zmq_msg_t *message))                               \
  F(void *, msg_data, (zmq_msg_t *message))                             \
  F(size_t, msg_size, (const zmq_msg_t *message))                       \
  F(int, msg_more, (const zmq_msg_t *message))                          \
  F(int, msg_get, (const zmq_msg_t *message, int property))             \
  F(int, has, (const char *capability))                                 \
  F(int, curve_keypair, (char *public_key, char *secret_key))           \
  F(int, curve_public, (char *public_key, const char *secret_key))      \
  F(char *, z85_encode, (char *text, const uint8_t *bytes, size_t size)) \
  F(uint8_t *, z85_decode, (uint8_t *bytes, const char *text))          \
  F(int, errno_, (void))                                                \
  F(const char *, strerror, (int code))

#define EFF_ZMQ_SLOT(result, name, parameters) result(*name) parameters;
typedef struct eff_zmq_functions {
  EFF_ZMQ_FUNCTIONS(EFF_ZMQ_SLOT)
} eff_zmq_functions;
#undef EFF_ZMQ_SLOT

// Empty until eff_zmq_open has returned 0.
extern __attribute__((visibility("hidden"))) eff_zmq_functions eff_zmq;

// Finds libzmq: the one that this process has already, then libzmq.so.5 beside this library, then the system's. Any
// thread, often. 0, or -1 with the reason in PROBLEM. HAS_CONTEXT: the caller brings a context, so the process's own
// libzmq has to be the one that was found.
__attribute__((visibility("hidden"))) int eff_zmq_open(int has_context, char *problem, size_t size);

static inline void *zmq_ctx_new(void) { return eff_zmq.ctx_new(); }
static inline int zmq_ctx_term(void *context) { return eff_zmq.ctx_term(context); }
static inline void *zmq_socket(void *context, int type) { return eff_zmq.socket(context, type); }
static inline int zmq_close(void *socket) { return eff_zmq.close(socket); }
static inline int zmq_setsockopt(void *socket, int option, const void *value, size_t size) {
  return eff_zmq.setsockopt(socket, option, value, size);
}
static inline int zmq_getsockopt(void *socket, int option, void *value, size_t *size) {
  return eff_zmq.getsockopt(socket, option, value, size);
}
static inline int zmq_bind(void *socket, const char *endpoint) { return eff_zmq.bind(socket, endpoint); }
static inline int zmq_unbind(void *socket, const char *endpoint) { return eff_zmq.unbind(socket, endpoint); }
static inline int zmq_connect(void *socket, const char *endpoint) { return eff_zmq.connect(socket, endpoint); }
static inline int zmq_send(void *socket, const void *bytes, size_t size, int flags) {
  return eff_zmq.send(socket, bytes, size, flags);
}
static inline int zmq_recv(void *socket, void *bytes, size_t size, int flags) {
  return eff_zmq.recv(socket, bytes, size, flags);
}
static inline int zmq_ctx_set(void *context, int option, int value) { return eff_zmq.ctx_set(context, option, value); }
static inline int zmq_socket_monitor(void *socket, const char *endpoint, int events) {
  return eff_zmq.socket_monitor(socket, endpoint, events);
}
static inline int zmq_msg_init(zmq_msg_t *message) { return eff_zmq.msg_init(message); }
static inline int zmq_msg_recv(zmq_msg_t *message, void *socket, int flags) {
  return eff_zmq.msg_recv(message, socket, flags);
}
static inline int zmq_msg_close(zmq_msg_t *message) { return eff_zmq.msg_close(message); }
static inline void *zmq_msg_data(zmq_msg_t *message) { return eff_zmq.msg_data(message); }
static inline size_t zmq_msg_size(const zmq_msg_t *message) { return eff_zmq.msg_size(message); }
static inline int zmq_msg_more(const zmq_msg_t *message) { return eff_zmq.msg_more(message); }
static inline int zmq_msg_get(const zmq_msg_t *message, int property) { return eff_zmq.msg_get(message, property); }
static inline int zmq_has(const char *capability) { return eff_zmq.has(capability); }
static inline int zmq_curve_keypair(char *public_key, char *secret_key) {
  return eff_zmq.curve_keypair(public_key, secret_key);
}
static inline int zmq_curve_public(char *public_key, const char *secret_key) {
  return eff_zmq.curve_public(public_key, secret_key);
}
static inline char *zmq_z85_encode(char *text, const uint8_t *bytes, size_t size) {
  return eff_zmq.z85_encode(text, bytes, size);
}
static inline uint8_t *zmq_z85_decode(uint8_t *bytes, const char *text) { return eff_zmq.z85_decode(bytes, text); }
static inline int zmq_errno(void) { return eff_zmq.errno_(); }
static inline const char *zmq_strerror(int code) { return eff_zmq.strerror(code); }
