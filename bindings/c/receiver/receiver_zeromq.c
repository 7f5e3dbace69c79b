/* The receiver's ways to a bridge over libzmq: tcp, ipc and inproc. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif
#include "receiver_link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* What is used of <zmq.h>, so that building needs none. Tests compare it with the real one. */
#define ZMQ_DEALER 5
#define ZMQ_ROUTING_ID 5
#define ZMQ_LINGER 17
#define ZMQ_RECONNECT_IVL 18
#define ZMQ_RECONNECT_IVL_MAX 21
#define ZMQ_SNDHWM 23
#define ZMQ_RCVHWM 24
#define ZMQ_RCVTIMEO 27
#define ZMQ_IPV6 42
#define ZMQ_CURVE_PUBLICKEY 48
#define ZMQ_CURVE_SECRETKEY 49
#define ZMQ_CURVE_SERVERKEY 50
#define ZMQ_HEARTBEAT_IVL 75
#define ZMQ_HEARTBEAT_TIMEOUT 77
#define ZMQ_DONTWAIT 1
extern void *zmq_ctx_new(void);
extern int zmq_ctx_term(void *context);
extern void *zmq_socket(void *context, int type);
extern int zmq_close(void *socket);
extern int zmq_setsockopt(void *socket, int option, const void *value, size_t size);
extern int zmq_connect(void *socket, const char *endpoint);
extern int zmq_send(void *socket, const void *bytes, size_t size, int flags);
extern int zmq_recv(void *socket, void *bytes, size_t size, int flags);
extern int zmq_has(const char *capability);
extern int zmq_curve_public(char *public_key, const char *secret_key);
extern uint8_t *zmq_z85_decode(uint8_t *bytes, const char *text);
extern int zmq_errno(void);
extern const char *zmq_strerror(int code);

enum { KEY = 41 };

typedef struct {
  efr_link base;
  char *endpoint;
  char server_key[KEY], public_key[KEY], secret_key[KEY]; /* server_key "": nothing is encrypted */
  void *context, *socket;
  int owns_context;
  int32_t wait_ms; /* ZMQ_RCVTIMEO as it is set */
} zeromq;

/* ---- keys ---- */

/* Whether an address is on this machine, as far as its text tells. */
static int is_local(const char *endpoint) {
  if (strncmp(endpoint, "tcp://", 6)) return 1;
  const char *from = strchr(endpoint, ';'); /* behind a source address */
  const char *host = from ? from + 1 : endpoint + 6, *colon = strrchr(host, ':');
  const size_t size = colon ? (size_t)(colon - host) : strlen(host);
  unsigned a, b, c;
  char text[16] = "";
  int used = 0;
  if (size < sizeof text) memcpy(text, host, size);
  if (!strcmp(text, "localhost") || !strcmp(text, "[::1]")) return 1;
  return sscanf(text, "127.%3u.%3u.%3u%n", &a, &b, &c, &used) == 3 && (size_t)used == size;
}

static int is_key(const char *text) {
  uint8_t bytes[32];
  return strlen(text) == KEY - 1 && zmq_z85_decode(bytes, text) != NULL;
}

/* Reads the line "secret KEY" of a file that is for this user alone. */
static eff_status read_key(const char *path, char key[KEY]) {
  struct stat s;
  char line[256];
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
  if (!file || fstat(fd, &s) != 0) {
    const int code = errno;
    if (file) fclose(file);
    return efr_fail(EFF_E_IO, "key_file '%s': %s", path, strerror(code));
  }
  eff_status status = EFF_OK;
  if (!S_ISREG(s.st_mode)) status = efr_fail(EFF_E_IO, "key_file '%s': not a file", path);
  else if ((s.st_mode & 077) || (s.st_uid != geteuid() && s.st_uid != 0)) {
    status = efr_fail(EFF_E_IO, "key_file '%s': mode %04o, expected 0600 of this user", path,
                      (unsigned)s.st_mode & 07777);
  }
  int found = 0;
  while (status == EFF_OK && !found && fgets(line, sizeof line, file)) found = sscanf(line, "secret %40s", key) == 1;
  fclose(file);
  if (status == EFF_OK && !found) status = efr_fail(EFF_E_ARGUMENT, "key_file '%s': no line 'secret KEY'", path);
  return status;
}

static eff_status take_keys(zeromq *z, const eff_receiver_options *o) {
  if (!o->server_key) {
    if (is_local(o->endpoint)) return EFF_OK;
    return efr_fail(EFF_E_ARGUMENT, "endpoint '%s' is on another machine, which is reached with keys alone, found no "
                    "server_key", o->endpoint);
  }
  if (!zmq_has("curve")) return efr_fail(EFF_E_UNSUPPORTED, "keys: this libzmq is built without CURVE (libsodium)");
  if (!o->secret_key == !o->key_file) {
    return efr_fail(EFF_E_ARGUMENT, "expected one of secret_key and key_file beside server_key");
  }
  if (!is_key(o->server_key)) {
    return efr_fail(EFF_E_ARGUMENT, "server_key '%s': expected 40 characters of Z85", o->server_key);
  }
  memcpy(z->server_key, o->server_key, KEY);
  if (o->secret_key && strlen(o->secret_key) == KEY - 1) memcpy(z->secret_key, o->secret_key, KEY);
  const eff_status status = o->key_file ? read_key(o->key_file, z->secret_key) : EFF_OK;
  if (status != EFF_OK) return status;
  if (!is_key(z->secret_key) || zmq_curve_public(z->public_key, z->secret_key) != 0) {
    return efr_fail(EFF_E_ARGUMENT, "%s: not a key, expected 40 characters of Z85",
                o->key_file ? o->key_file : "secret_key");
  }
  return EFF_OK;
}

/* ---- the socket ---- */

static void set_option(void *socket, int option, int value) { zmq_setsockopt(socket, option, &value, sizeof value); }

static int random_bytes(void *bytes, size_t size) {
  const int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
  const int good = fd >= 0 && read(fd, bytes, size) == (ssize_t)size;
  if (fd >= 0) close(fd);
  return good;
}

/* A fresh socket: what the old one had queued is gone, and the library sees its connection end. */
static int open_socket(efr_link *link) {
  zeromq *z = (zeromq *)link;
  if (z->socket) zmq_close(z->socket);
  z->wait_ms = -2, link->is_open = 0;
  z->socket = zmq_socket(z->context, ZMQ_DEALER);
  if (!z->socket) {
    return efr_fail(EFF_E_IO, "endpoint '%s': no ZeroMQ socket: %s", z->endpoint, zmq_strerror(zmq_errno()));
  }
  /* a connection that breaks and comes back is the same plant; nobody can guess whose it is */
  unsigned char id[16];
  if (!random_bytes(id, sizeof id)) return efr_fail(EFF_E_IO, "/dev/urandom: %s", strerror(errno));
  id[0] |= 1;
  zmq_setsockopt(z->socket, ZMQ_ROUTING_ID, id, sizeof id);
  if (z->server_key[0]) {
    zmq_setsockopt(z->socket, ZMQ_CURVE_SERVERKEY, z->server_key, KEY);
    zmq_setsockopt(z->socket, ZMQ_CURVE_PUBLICKEY, z->public_key, KEY);
    zmq_setsockopt(z->socket, ZMQ_CURVE_SECRETKEY, z->secret_key, KEY);
  }
  set_option(z->socket, ZMQ_LINGER, 0);
  set_option(z->socket, ZMQ_SNDHWM, 16);
  set_option(z->socket, ZMQ_RCVHWM, 16);
  set_option(z->socket, ZMQ_RECONNECT_IVL, 20);
  set_option(z->socket, ZMQ_RECONNECT_IVL_MAX, 500);
  set_option(z->socket, ZMQ_IPV6, strchr(z->endpoint, '[') != NULL);
  /* a cable that is pulled sends no end of connection */
  set_option(z->socket, ZMQ_HEARTBEAT_IVL, 250);
  set_option(z->socket, ZMQ_HEARTBEAT_TIMEOUT, 750);
  link->is_open = zmq_connect(z->socket, z->endpoint) == 0;
  if (link->is_open) return EFR_NONE;
  const eff_status status = zmq_errno() == EINVAL || zmq_errno() == EPROTONOSUPPORT ? EFF_E_ARGUMENT : EFF_E_IO;
  return efr_fail(status, "endpoint '%s': %s", z->endpoint, zmq_strerror(zmq_errno()));
}


static int send_frame(efr_link *link, const void *frame, size_t size, int is_repetition) {
  (void)is_repetition; /* any frame may be lost */
  return zmq_send(((zeromq *)link)->socket, frame, size, ZMQ_DONTWAIT) >= 0;
}

static int receive(efr_link *link, void *to, size_t room, int32_t ms, size_t *size) {
  zeromq *z = (zeromq *)link;
  if (ms != z->wait_ms) set_option(z->socket, ZMQ_RCVTIMEO, z->wait_ms = ms);
  const int count = zmq_recv(z->socket, to, room, 0), code = count < 0 ? zmq_errno() : 0;
  if (count >= 0) return *size = (size_t)count, EFR_FRAME;
  if (code == EAGAIN) return EFR_NONE;
  if (code == EINTR) return EFR_SIGNAL;
  return efr_fail(EFF_E_IO, "endpoint '%s': %s", z->endpoint, zmq_strerror(code));
}

/* ---- making and freeing ---- */

static void destroy(efr_link *link, int linger_ms) {
  zeromq *z = (zeromq *)link;
  if (z->socket) set_option(z->socket, ZMQ_LINGER, linger_ms), zmq_close(z->socket);
  if (z->context && z->owns_context) zmq_ctx_term(z->context);
  free(z->endpoint);
  free(z);
}

static eff_status create(const eff_receiver_options *o, size_t room, efr_link **out) {
  (void)room; /* libzmq has memory of its own */
  if (!strncmp(o->endpoint, "inproc://", 9) && !o->context) {
    return efr_fail(EFF_E_ARGUMENT, "endpoint '%s': inproc needs the bridge's ZeroMQ context, found none", o->endpoint);
  }
  zeromq *z = calloc(1, sizeof *z);
  if (!z || !(z->endpoint = malloc(strlen(o->endpoint) + 1))) {
    free(z);
    return efr_fail(EFF_E_MEMORY, "no memory for a receiver");
  }
  z->base.transport = &efr_zeromq;
  memcpy(z->endpoint, o->endpoint, strlen(o->endpoint) + 1);
  eff_status status = take_keys(z, o);
  if (status == EFF_OK) {
    z->owns_context = !o->context;
    z->context = o->context ? o->context : zmq_ctx_new();
    if (!z->context) status = efr_fail(EFF_E_IO, "no ZeroMQ context: %s", zmq_strerror(zmq_errno()));
  }
  /* libzmq connects in the background: what is wrong with an address is told at once */
  if (status == EFF_OK) status = open_socket(&z->base);
  if (status == EFF_OK) *out = &z->base;
  else destroy(&z->base, 0);
  return status;
}

const efr_transport efr_zeromq = {create, open_socket, send_frame, receive, destroy};
