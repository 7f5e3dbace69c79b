import Testing

@testable import Graph

@Suite struct StateNameTests {
  private func pairs(_ inputs: [String], _ outputs: [String]) -> [[String]] {
    StateName.pairs(inputs: inputs.map { ($0, "f32 [1]") }, outputs: outputs.map { ($0, "f32 [1]") }).map { [inputs[$0.input], outputs[$0.output]] }
  }

  @Test(arguments: [
    ("h_in", "h_out"), ("c_in", "c_out"), ("h0", "hn"), ("c0", "cn"), ("state_ins", "state_outs"), ("state_in_0", "state_out_0"), ("prev_state", "next_state"),
    ("hidden_state", "next_hidden_state"), ("lstm_h_in", "lstm_h_out"), ("h", "h_out"), ("hidden_in", "hidden_out"), ("rnn_state_old", "rnn_state_new"),
    ("hx", "hx_out"), ("memory", "new_memory"), ("recurrent_in", "recurrent_out"), ("initial_state", "final_state"), ("H_IN", "H_OUT"), ("h_prev", "h"),
  ])
  func recurrentStateIsRecognizedByItsNames(input: String, output: String) { #expect(pairs([input], [output]) == [[input, output]]) }

  @Test(arguments: [
    ("obs", "next_obs"), ("sample", "noise"), ("observation", "action"), ("x", "y"), ("in", "out"), ("input", "output"), ("prev_actions", "actions"),
    ("h_in", "c_out"), ("h", "h"), ("state", "action_state"), ("image", "image_out"), ("time", "time_out"),
  ])
  func otherNamesAreNoState(input: String, output: String) { #expect(pairs([input], [output]) == []) }

  @Test func eachInputGetsTheFirstFreeOutputAndEachOutputServesOnce() {
    #expect(pairs(["obs", "h_in", "c_in"], ["action", "h_out", "c_out"]) == [["h_in", "h_out"], ["c_in", "c_out"]])
    #expect(pairs(["h_in", "h_prev"], ["h_out"]) == [["h_in", "h_out"]])
    #expect(pairs(["h_in", "h_prev"], ["h_next", "h_out"]) == [["h_in", "h_next"], ["h_prev", "h_out"]])
  }

  @Test func anotherTypeOrShapeIsNoState() {
    let found = StateName.pairs(inputs: [("h_in", "f32 [1, 4]")], outputs: [("h_out", "f32 [1, 8]")])
    #expect(found.isEmpty)
  }

  @Test func tenThousandNamesThatAllLookAlikeArePairedInLinearTime() {
    let names = (0..<10_000).map { String(repeating: "_", count: $0 % 100) + "h" + String(repeating: "_", count: $0 / 100) }
    let clock = ContinuousClock()
    let took = clock.measure { #expect(pairs(names.map { $0 + "_in" }, names.map { $0 + "_out" }).count == 10_000) }
    #expect(took < .seconds(10))
  }
}
