/* A plant on the bridge's machine without ZeroMQ: steps a policy of one f32 observation and one
 * f32 action, prints the actions.
 *   cc plant_local.c -o plant_local && ./plant_local shm:/run/robot/policy [STEPS]   (or unix:) */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>

#include "efferent_frame.h"
#include "efferent_local.h"

static unsigned char frame[1 << 20], answer[1 << 20];
static efl_link way;
static efb_header state; /* session, episode, seq */

/* Sends the frame at PLACE, whose body is there, and waits for its answer. */
static size_t ask(int type, void *place, size_t size, int wanted) {
  efb_header found, h = state;
  h.type = (uint8_t)type, h.flags = type == EFB_HELLO ? EFB_FIXED : 0;
  h.seq = ++state.seq, h.monotonic_ns = efl_now();
  efb_write(place, size, h, 0);
  /* nothing is lost on this way, so that nothing has to be said twice */
  int code = place == frame ? efl_send(&way, place, size) : efl_post(&way, size);
  if (code != 0) fprintf(stderr, "the library is gone\n"), exit(1);
  for (long count; (count = efl_receive(&way, answer, sizeof answer, 5000)) > 0;) {
    if (!efb_read(answer, (size_t)count, 0, &found) || found.ref_seq != state.seq) continue;
    if (found.type == wanted) return state.session = found.session, (size_t)count;
    efb_error e;
    memcpy(&e, answer + 64, sizeof e);
    if (e.wait_ms == 0) {
      fprintf(stderr, "refused: %.*s\n", (int)count - 80, (char *)answer + 80);
      exit(1);
    }
    /* another plant is connected: ask again, under a new number */
    nanosleep(&(struct timespec){0, (long)e.wait_ms * 1000000}, NULL);
    return ask(type, place, size, wanted);
  }
  fprintf(stderr, "no answer\n");
  exit(1);
}

int main(int argc, char **argv) {
  const int steps = argc > 2 ? atoi(argv[2]) : 10;
  if (argc < 2) return fprintf(stderr, "usage: plant_local unix:PATH|shm:PATH [STEPS]\n"), 2;
  int code = ECONNREFUSED;
  for (int i = 0; i < 50 && (code == ENOENT || code == ECONNREFUSED || code == EAGAIN); i++) {
    if (i > 0) nanosleep(&(struct timespec){0, 100000000}, NULL); /* nobody listens yet */
    code = efl_connect(&way, argv[1]);
  }
  if (code != 0) return fprintf(stderr, "no answer: %s\n", strerror(code)), 1;

  efb_hello hello = {.oldest = 2, .newest = 2, .options = EFB_NO_CHECKSUM, .rows = 1};
  efb_welcome welcome;
  memcpy(frame + 64, &hello, sizeof hello);
  ask(EFB_HELLO, frame, 64 + sizeof hello, EFB_WELCOME);
  memcpy(&welcome, answer + 64, sizeof welcome);
  state.episode = 1;
  ask(EFB_RESET, frame, 64, EFB_ACK);
  for (int i = 0; i < steps; i++) {
    void *place = efl_frame(&way, NULL); /* over shm: where the library reads the observation */
    if (!place) place = frame;
    float *seen = (float *)(void *)((char *)place + 64), *action = (float *)(void *)(answer + 64);
    int wide = (int)(welcome.step_size - 64) / 4;
    for (int k = 0; k < wide; k++) seen[k] = (float)((i + k) % 5) / 4; /* your sensors */
    int count = (int)(ask(EFB_STEP, place, welcome.step_size, EFB_ACT) - 64) / 4;
    for (int k = 0; k < count; k++) /* your motors */
      printf("%.9g%c", (double)action[k], k + 1 < count ? ' ' : '\n');
  }
  state.seq++, state.type = EFB_BYE;
  efb_write(frame, 64, state, 0);
  efl_send(&way, frame, 64);
  efl_close(&way);
  return 0;
}
