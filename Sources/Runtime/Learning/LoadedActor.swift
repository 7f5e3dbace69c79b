import Base
import Graph
import Kernels
import Onnx

/// A loaded policy in the form in which a learner runs and changes it. Immutable: what changes lies in the learner's
/// arena.
///
///     observation -> [policy] -> mean, std | logits -> head
///     normalized observation -> [correction] -^   where only a residual learns
public final class LoadedActor {
  public let settings: PolicySettings
  let plan: DifferentiablePlan
  let layout: PlanLayout
  let heads: PolicyHeads
  /// Statistics of the normalizer that the learner took over, [observationCount] each; empty where it stayed.
  let mean: [Double]
  let deviation: [Double]
  let normalizer: ImportedNormalizer?
  let meanName: String
  /// Names of the observations.
  let observations: [String]
  public let observationCount: Int
  /// Dimensions or choices.
  public let actionCount: Int
  /// What the caller should know, a sentence each.
  public let notes: [String]

  /// Recurrent state in bytes, by value of the input, and what the next state is copied from.
  let hiddenSize: Int
  let hiddenPlaces: [Int]
  let hiddenOutputs: [(place: Int, value: Int, size: Int)]

  /// - Parameters:
  ///   - inputs: numbers of the normalized observation (with the time, where there is one)
  ///   - widths: hidden layers of a residual
  init(_ settings: PolicySettings, _ s: LearnerSettings, widths: [Int], isa: Int32) throws(Failure) {
    self.settings = settings
    var notes: [String] = []
    var draft = try ActorDraft(settings, s, widths: widths, isa: isa)
    let plan = try draft.finish(s, &notes)
    self.plan = plan
    heads = draft.heads
    (mean, deviation) = (draft.mean, draft.deviation)
    actionCount = draft.count
    (normalizer, meanName) = (draft.normalizer, draft.meanName)
    var names: [String] = []
    let g = plan.graph
    func bytes(_ v: Int) -> Int { g.values[v].count * plan.width(g.values[v].type) }
    var raw: [Int] = []
    var places = [Int](repeating: -1, count: g.values.count)
    var size = 0
    for (i, port) in g.inputs.enumerated() where i < draft.fileInputs {
      if g.states.contains(where: { $0.input == i }) {
        places[port.value] = size
        size += (bytes(port.value) + 63) & ~63
      } else {
        guard g.values[port.value].type == .f32 else {
          throw Failure(
            .unsupported,
            """
            input '\(port.name)' of the policy is \(g.values[port.value].type.name), expected f32; bind it to a \
            constant
            """
          )
        }
        raw.append(port.value)
        names.append(port.name)
      }
    }
    observations = names
    hiddenSize = size
    hiddenPlaces = places
    hiddenOutputs = g.states.map { pair in
      let output = g.outputs[pair.output].value
      return (places[g.inputs[pair.input].value], output, bytes(output))
    }
    observationCount = raw.reduce(0) { $0 + g.values[$1].count }
    if size > 0 {
      notes.append("the policy is recurrent: its state is an input of the learner, and no gradient passes through time")
    }
    self.notes = notes
    var kept = places.map { $0 >= 0 }
    for p in plan.parameters { kept[p.value] = true }
    layout = PlanLayout(plan, raw: raw, normalized: draft.normalized, kept: kept)
  }

  /// Numbers of the head: means and what std is made of, or logits.
  var outputs: Int { plan.graph.values[plan.head].count }
}
