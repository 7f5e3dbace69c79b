/* What a user's program does with a package: loads a policy, steps it, learns; with a bridge where the library has one
 * and ZeroMQ is here.
 *   walk POLICY.onnx [bridge]     POLICY has one f32 observation and one action */
#include <efferent/bridge.h>
#include <efferent/learner.h>
#include <stdio.h>
#include <string.h>

static int fail(const char *what) { return fprintf(stderr, "%s: %s\n", what, eff_last_error()), 1; }

int main(int argc, char **argv) {
  float observation[64] = {0}, action[64];
  eff_policy *policy;
  eff_session *session;
  if (eff_policy_load_file(argv[1], NULL, &policy)) return fail("load");
  if (eff_session_create(policy, NULL, &session)) return fail("session");
  for (int i = 0; i < 100; i++)
    if (eff_session_step(session, 1, observation, action) != EFF_OK) return fail("step");
  printf("version %d action %.6f\n", eff_version(), action[0]);

  eff_learner_options options;
  eff_learner *learner;
  eff_learner_options_default(&options, sizeof options);
  options.observation_count = 3, options.action_count = 2;
  if (eff_learner_create(&options, &learner)) return fail("learner");
  eff_learner_destroy(learner);
  printf("learner\n");

  if (argc > 2 && strcmp(argv[2], "bridge") == 0) {
    eff_bridge *bridge;
    if (eff_bridge_create(session, NULL, &bridge)) return fail("bridge");
    printf("bridge at %.16s\n", eff_bridge_endpoint(bridge));
    eff_bridge_destroy(bridge);
  }
  eff_session_destroy(session);
  eff_policy_release(policy);
  return 0;
}
