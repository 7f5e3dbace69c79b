import Testing

@testable import Graph

@Suite struct ActionNameTests {
  @Test(arguments: [
    "value", "values", "log_prob", "log_probs", "logprob", "entropy", "extracted_features", "features",
    "feature_vector", "std", "log_std", "action_std",
    "critic", "critic_value", "contact", "foot_contacts", "stiffness", "damping", "sigma", "logstd", "neglogp",
    "version_number", "memory_size",
    "continuous_action_output_shape", "action_masks", "vf_preds", "action_logp", "action_prob", "scale", "stddev",
    "state_value", "sample_log_prob",
    "reward", "done", "attn", "obs", "output.obs", "kp", "kd", "valueOutput", "Critic/Value", "actionLogProb", "h_out",
    "hidden_state", "state_outs",
    "actor_hidden_out", "value_mean", "obs_mean", "chosen_action_value", "state_action_value", "predicted_reward",
    "embedding",
  ])
  func namesThatAreNeverAnAction(name: String) { #expect(ActionName(name) == .never) }

  @Test(arguments: [
    ("action", ActionName.exact), ("actions", .exact), ("Actions", .exact), ("policy/actions.1", .exact),
    ("output_action", .exact), ("act", .exact),
    ("action_0", .exact), ("actor_action", .exact), ("continuous_actions", .qualified), ("scaled_action", .qualified),
    ("action_mean", .qualified),
    ("mean_actions", .qualified), ("action_chunk", .qualified), ("action_logits", .qualified),
    ("action_dist_inputs", .qualified), ("discrete_actions", .qualified),
    ("deterministic_continuous_actions", .deterministic), ("greedy_action", .deterministic), ("raw_action", .indirect),
    ("sampled_action", .indirect),
    ("mu", .meant), ("mean", .meant), ("loc", .meant), ("actor_mean", .meant), ("joint_pos_target", .meant),
    ("torques", .meant), ("control", .meant),
    ("q", .unknown), ("q_values", .unknown), ("action_values", .unknown), ("logits", .unknown), ("output", .unknown),
    ("y", .unknown), ("Identity:0", .unknown),
    ("latent", .unknown), ("latent_mu", .unknown), ("noise", .unknown), ("interaction", .unknown), ("fact", .unknown),
    ("activations", .unknown),
    ("evaluation", .unknown), ("standard", .unknown), ("featureless", .unknown), ("var_12", .unknown),
    ("probs", .unknown),
  ])
  func wordsSayWhatAnOutputIs(name: String, expected: ActionName) { #expect(ActionName(name) == expected) }
}
