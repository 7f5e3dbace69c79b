import Testing

@testable import Graph

@Suite struct StatePairingTests {
  private func pairing(_ inputs: [String], _ outputs: [String]) -> StatePairing {
    StatePairing(
      inputs: inputs.map { StatePairing.Tensor(name: $0, kind: "f32 [1]") },
      outputs: outputs.map { StatePairing.Tensor(name: $0, kind: "f32 [1]") })
  }

  private func pairs(_ inputs: [String], _ outputs: [String]) -> [[String]] {
    pairing(inputs, outputs).pairs.map { [inputs[$0.input], outputs[$0.output]] }
  }

  @Test(arguments: [
    ("h_in", "h_out"), ("c_in", "c_out"), ("h0", "hn"), ("c0", "cn"), ("state_ins", "state_outs"),
    ("state_in_0", "state_out_0"), ("prev_state", "next_state"),
    ("hidden_state", "next_hidden_state"), ("lstm_h_in", "lstm_h_out"), ("h", "h_out"), ("hidden_in", "hidden_out"),
    ("rnn_state_old", "rnn_state_new"),
    ("hx", "hx_out"), ("memory", "new_memory"), ("recurrent_in", "recurrent_out"), ("initial_state", "final_state"),
    ("H_IN", "H_OUT"), ("h_prev", "h"),
    ("hx", "hy"), ("h_t", "h_t1"), ("h_tm1", "h_t"), ("h_t_minus_1", "h_t"), ("h_t", "h_t_plus_1"),
    ("initial_h", "Y_h"), ("past_key", "present_key"),
    ("past_key_values.0.key", "present.0.key"), ("prev_deter", "deter"), ("hiddenIn", "hiddenOut"),
    ("out_state.1", "out_state"), ("gru_state", "gru_state.1"),
    ("memory.joints.processed_actions.in", "memory.joints.processed_actions.out"), ("recurrentIn", "recurrentOut"),
    ("obs_history", "new_obs_history"),
    ("hin", "hout"), ("newstate_in", "newstate_out"), ("prevstate", "newstate"), ("LSTMState_in", "LSTMState_out"),
    ("rnn_states", "rnn_states_out"),
    ("kv_cache", "kv_cache_out"), ("actor/cell_0", "actor/cell_1"), ("input_h0", "output_hn"), ("carry", "carry_out"),
    ("h_curr", "h_next"),
    ("belief", "next_belief"), ("frame_buffer_in", "frame_buffer_out"), ("agent_state", "next_agent_state"),
  ])
  func recurrentStateIsRecognizedByItsNames(input: String, output: String) {
    #expect(pairs([input], [output]) == [[input, output]])
    #expect(pairs(["obs", input], [output, "action"]) == [[input, output]])
  }

  @Test(arguments: [
    ("obs", "next_obs"), ("sample", "noise"), ("observation", "action"), ("x", "y"), ("in", "out"), ("input", "output"),
    ("prev_actions", "actions"),
    ("h_in", "c_out"), ("h", "h"), ("state", "action_state"), ("image", "image_out"), ("time", "time_out"),
    ("input_0", "output_0"),
    ("INPUT__0", "OUTPUT__0"), ("input1", "output1"), ("input.1", "output.1"), ("joint_pos_in", "joint_pos_out"),
    ("x_t", "x_next"),
    ("image_0", "image_1"), ("x_0", "x_1"), ("onnx::Gemm_0", "onnx::Gemm_1"), ("args_0", "Identity_0"),
    ("joint_state_in", "joint_state_out"),
    ("robot_state", "next_robot_state"), ("observation.state", "next_observation.state"), ("past_actions", "actions"),
    ("past_actions", "present_actions_x"),
    ("last_action", "action"), ("x", "x.1"), ("input", "input.1"), ("rnn_mask_in", "rnn_mask_out"), ("k_in", "k_out"),
    ("v_in", "v_out"),
    ("z_prev", "z"), ("vel_t", "vel_t1"), ("pose", "new_pose"), ("in_proj", "out_proj"), ("q_0", "q_n"), ("", ""),
    ("_", "_"),
  ])
  func otherNamesAreNoState(input: String, output: String) {
    #expect(pairs([input], [output]) == [])
    #expect(pairs(["obs", input], [output, "action"]) == [])
  }

  @Test(arguments: [
    (["h_in", "c_in"], ["h_out", "c_out"]), (["hx", "cx"], ["hy", "cy"]),
    (["carry_0", "carry_1"], ["new_carry_0", "new_carry_1"]),
    (["hidden_0", "hidden_1"], ["next_hidden_0", "next_hidden_1"]), (["h_0", "h_1"], ["h_out_0", "h_out_1"]),
    (["h0", "c0"], ["hn", "cn"]),
    (["out_state.1", "hidden_state.1"], ["out_state", "hidden_state"]),
    (["hiddenIn", "cellIn"], ["hiddenOut", "cellOut"]),
    (["prev_deter", "prev_stoch"], ["deter", "stoch"]), (["past_key", "past_value"], ["present_key", "present_value"]),
    (["initial_h", "initial_c"], ["Y_h", "Y_c"]), (["k_in", "v_in"], ["k_out", "v_out"]),
    (["h_prev", "z_prev"], ["h", "z"]),
    (["state_in_0", "state_in_1"], ["state_out_0", "state_out_1"]), (["h_in", "h_prev"], ["h_next", "h_out"]),
  ])
  func groupsAreRecognizedWhole(inputs: [String], outputs: [String]) {
    let found = pairs(["obs"] + inputs, ["action"] + outputs)
    let wanted =
      inputs == ["h_in", "h_prev"]
      ? [["h_in", "h_out"], ["h_prev", "h_next"]] : zip(inputs, outputs).map { [$0, $1] }
    #expect(found == wanted)
    // without one output nothing is state, and a line says which is missing
    for k in outputs.indices where inputs != ["h_in", "h_prev"] {
      let partial = pairing(
        ["obs"] + inputs, ["action"] + outputs.enumerated().filter { $0.offset != k }.map(\.element))
      #expect(partial.pairs.isEmpty, "\(inputs) without \(outputs[k])")
    }
  }

  @Test func theObservationNamedStateStaysOneBesideRecurrentState() {
    #expect(pairs(["state", "state_in"], ["action", "state_out"]) == [["state_in", "state_out"]])
    #expect(pairs(["state", "h_in", "c_in"], ["mu", "h_out", "c_out"]) == [["h_in", "h_out"], ["c_in", "c_out"]])
    #expect(pairs(["obs", "rnn_mask", "h_in"], ["mu", "h_out"]) == [["h_in", "h_out"]])
  }

  @Test func whatIsAmbiguousIsNoStateAndSaidByName() {
    let two = pairing(["obs", "h_in"], ["h_out", "h_output"])
    #expect(two.pairs.isEmpty)
    #expect(two.notes.contains { $0.contains("'h_in'") && $0.contains("'h_out'") && $0.contains("'h_output'") })
    let shared = pairing(["h_in", "h_input"], ["h_out"])
    #expect(shared.pairs.isEmpty)
    #expect(shared.notes.contains { $0.contains("'h_out'") })
    let half = pairing(["h_in", "c_in"], ["h_out"])
    #expect(half.pairs.isEmpty)
    #expect(half.notes.contains { $0.contains("'h_in'") && $0.contains("'c_in'") })
  }

  @Test func anotherTypeOrShapeIsNoStateAndSaidByName() {
    let found = StatePairing(
      inputs: [.init(name: "h_in", kind: "f32 [1, 4]")], outputs: [.init(name: "h_out", kind: "f32 [1, 8]")])
    #expect(found.pairs.isEmpty)
    #expect(found.notes.contains { $0.contains("f32 [1, 4]") && $0.contains("f32 [1, 8]") })
  }

  @Test func tenThousandNamesArePairedOrRefusedInLinearTime() {
    let alike = (0..<10_000).map {
      String(repeating: "_", count: $0 % 100) + "h" + String(repeating: "_", count: $0 / 100)
    }
    let apart = (0..<10_000).map { "h\($0)" }
    let clock = ContinuousClock()
    let took = clock.measure {
      #expect(pairs(alike.map { $0 + "_in" }, alike.map { $0 + "_out" }).isEmpty)
      #expect(pairs(apart.map { $0 + "_in" }, apart.map { $0 + "_out" }).count == 10_000)
    }
    #expect(took < .seconds(20))
  }
}
