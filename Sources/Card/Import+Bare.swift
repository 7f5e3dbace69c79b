import Base
import Onnx

extension Importer {
  /// A network without metadata, as rsl_rl exports it: its names tell the recurrent state and nothing else; all the
  /// rest is asked.
  func bare() throws(Failure) -> Json {
    try supplied.refuse(allBut: "joint_order motion policy_period control_period patch", "a file without metadata")
    var card = start("rsl_rl")
    let states = recurrent()
    let left = inputs.filter { i in !states.contains { $0.input.name == i.name } }
    var asks = ["joint_order", "joints", "vectors", "actions"]
    let order = try supplied.fields.uniqueStrings("joint_order")
    var joints = JsonObject()
    for name in order {
      var j = JsonObject()
      for key in ["default", "kp", "kd"] { j.set(key, .null) }
      joints.set(name, j.value)
    }
    try supplied.applyPeriods(&card)
    card.set("joint_order", order)
    card.set("joints", joints.value)
    var memory = JsonObject()
    for s in states { memory.set(s.name, try self.memory(s.input)) }
    card.set("memory", memory.value)
    if left.count == 1, let action = actionOutput {
      var ins = JsonObject()
      var outs = JsonObject()
      ins.set(left[0].name, pair("from", "vector:obs"))
      for s in states { ins.set(s.input.name, pair("from", "memory:" + s.name)) }
      for o in model.graph.outputs {
        let state = states.first { $0.output.name == o.name }
        outs.set(o.name, pair("to", state.map { "memory:" + $0.name } ?? (o.name == action.name ? "action" : "ignore")))
      }
      var m = JsonObject()
      m.set("name", "policy")
      m.set("inputs", ins.value)
      m.set("outputs", outs.value)
      card.set("models", .array([m.value]))
    } else {
      // which of several tensors is what, no name says
      asks.append("models")
    }
    card.set("motion", supplied.fields["motion"] ?? .null)
    card.set("asks", asks)
    return card.value
  }
}
