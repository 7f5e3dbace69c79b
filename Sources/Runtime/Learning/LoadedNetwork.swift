import Base
import Graph
import Kernels
import Onnx

/// A loaded policy or critic in the form in which a learner runs and changes it. Immutable: what changes lies in the
/// learner's arena.
///
///     observation -> [network] -> mean, std | logits | values | value -> head
///     normalized observation -> [correction] -^       where only a residual learns
///     observation -> [network up to the features] -> [fresh linear layer] -> head
public final class LoadedNetwork {
  public let settings: PolicySettings
  let head: LoadedHead
  let network: Network
  let heads: PolicyHeads
  /// Statistics of the normalizer that the learner took over, [observationCount] each; empty where it stayed.
  let mean: [Double]
  let deviation: [Double]
  let normalizer: ImportedNormalizer?
  let meanName: String
  /// Names of the observations.
  let observations: [String]
  public let observationCount: Int
  /// Dimensions, choices or values: numbers of the head without the standard deviations.
  public let actionCount: Int
  /// What the caller should know, a sentence each.
  public let notes: [String]

  /// - Parameters:
  ///   - inputs: numbers of the normalized observation (with the time, where there is one)
  ///   - widths: hidden layers of a residual
  init(_ settings: PolicySettings, _ head: LoadedHead, _ s: LearnerSettings, widths: [Int], isa: Int32) throws(Failure)
  {
    (self.settings, self.head) = (settings, head)
    var notes: [String] = []
    var draft = try LoadedDraft(settings, head, s, widths: widths, isa: isa)
    network = Network(try draft.finish(s, &notes), normalized: draft.normalized)
    heads = draft.heads
    (mean, deviation) = (draft.mean, draft.deviation)
    actionCount = draft.count
    (normalizer, meanName) = (draft.normalizer, draft.meanName)
    let g = network.plan.graph
    let raw = network.plan.raw
    for port in g.inputs where raw.contains(port.value) && g.values[port.value].type != .f32 {
      throw Failure(
        .unsupported,
        """
        input '\(port.name)' of the policy is \(g.values[port.value].type.name), expected f32; bind it to a constant
        """
      )
    }
    observations = g.inputs.filter { raw.contains($0.value) }.map { $0.name }
    observationCount = raw.reduce(0) { $0 + g.values[$1].count }
    if network.hiddenSize > 0 && network.influenceSize == 0 {
      notes.append("the policy is recurrent: its state is an input of the learner, and no gradient passes through time")
    }
    self.notes = notes
  }
}
