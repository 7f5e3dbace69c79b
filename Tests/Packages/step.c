/* A program that only runs policies, the smallest that a robot has: step POLICY.onnx */
#include <efferent/efferent.h>
#include <stdio.h>

int main(int argc, char **argv) {
  float observation[64] = {0}, action[64];
  eff_policy *policy = NULL;
  eff_session *session = NULL;
  if (argc < 2 || eff_policy_load_file(argv[1], NULL, &policy) || eff_session_create(policy, NULL, &session)) {
    fprintf(stderr, "%s\n", eff_last_error());
    return 1;
  }
  for (int i = 0; i < 100; i++)
    if (eff_session_step(session, 1, observation, action) != EFF_OK) return 1;
  printf("stepped %.6f\n", action[0]);
  eff_session_destroy(session);
  eff_policy_release(policy);
  return 0;
}
