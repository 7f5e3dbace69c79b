import Base
import Graph
import Kernels
import Onnx
import Platform

// the policy as a file of its own
extension LearnerHandle {
  /// The policy that acts, without exploration, as an ONNX file: of a loaded policy its own file with what was learned
  /// in it, otherwise a new one of the normalizer and the network. Weights are f32. Throws `.unsupported` where a file
  /// cannot say what the learner does.
  /// - Complexity: linear in the size of the file.
  @export(interface)
  public func export() throws(Failure) -> [UInt8] {
    settle()
    if let loaded = networks.loaded { return try exportLoaded(loaded) }
    let s = core.pointee.settings
    guard s.timeLimit == 0, s.filterBeta == 0, !s.critic.hasStock else {
      throw Failure(
        .unsupported,
        """
        a policy with a time input, a stock or a moving average of observations cannot be exported; leave out \
        time_limit, stock and filter_beta
        """
      )
    }
    guard s.algorithm.hasActor || s.critic.kind.isMean || s.critic.kind.isQuantile && s.critic.risk.isNone else {
      throw Failure(
        .unsupported,
        """
        a critic that classifies, or whose choices follow a risk measure, cannot be exported; leave out risk, and \
        choose the critic EFF_CRITIC_MEAN or EFF_CRITIC_QUANTILE
        """
      )
    }
    var file = NetworkWriter(hidden: s.hidden)
    file.graph.text(2, "policy")
    file.graph.port(11, "obs", s.observationCount)
    var metadata: [OnnxEntry] = []
    var x = "obs"
    if s.normalizesObservations { x = normalize(x, &file) }
    let last = networks.policy.count / 2 - 1
    // pairs of parameters, of which recurrent units are the first
    let first = s.recurrentUnits > 0 ? 1 : 0
    if first > 0 { x = file.recurrent(x, recurrentNumbers()) }
    for i in first..<last { x = file.layer("l\(i - first + 1)", x, exported(i), isHidden: true) }
    let n = s.actionCount
    func head(_ name: String, _ rows: Range<Int>) {
      let numbers = s.algorithm.hasActor || s.critic.kind.isMean ? exported(last, rows) : averaged(last, rows)
      _ = file.layer(name, x, numbers, isHidden: false)
    }
    switch s.algorithm {
    case .acContinuous:
      head("actions", 0..<n)
      head("std.pre", n..<2 * n)
      file.std(floor: s.stdFloor, ceiling: s.stdCeiling)
      file.graph.port(12, "actions", n)
      file.graph.port(12, "std", n)
    case .acDiscrete, .q, .sarsa:
      let name = s.algorithm.isEpsilonGreedy ? "q" : "logits"
      head(name, 0..<n)
      file.graph.node("ArgMax", [name], "actions", ints: [("axis", 1), ("keepdims", 1)])
      file.graph.port(12, "actions", 1, type: 7)
      file.graph.port(12, name, n)
    case .td:
      head("value", 0..<1)
      file.graph.port(12, "value", 1)
      // a prediction moves nothing, but it is what this file is stepped for
      metadata.append(OnnxEntry(key: "efferent.action", value: "value"))
    }
    if first > 0 { for part in ["h_out", "c_out"] { file.graph.port(12, part, s.recurrentUnits) } }
    return OnnxWriter.model(file.graph, opset: 17, producer: "efferent", metadata: metadata).bytes
  }

  /// The same as a policy that sessions run.
  @export(interface)
  public func policy() throws(Failure) -> Policy {
    let file = try export()
    let bytes = try Bytes.zeroed(file.count)
    file.withUnsafeBytes { eff_copy(bytes.mutable, $0.baseAddress!, $0.count) }
    var options = networks.loaded?.settings.policy.source?.options ?? PolicyOptions()
    options.isLearnable = true
    return try Policy.load(bytes, options)
  }

  /// The hash of the policy that acts, as it is now: weights, statistics, and what they are the weights of. Alike on
  /// every processor for equal numbers.
  /// - Complexity: one pass over the weights of the policy that acts.
  @export(interface)
  @_noLocks public func policyHash() -> UInt64 {
    settle()
    var hash = XxHash64()
    hash.add(core.pointee.layoutHash)
    hash.add(core.pointee.sourceHash)
    hash.add(core.pointee.settings.stdFloor.bitPattern)
    hash.add(core.pointee.settings.stdCeiling.bitPattern)
    hash.add(policyNet.w, Int(policyNet.count) * (core.pointee.settings.isDouble ? 8 : 4))
    let n = core.pointee.settings.observationCount * MemoryLayout<Double>.size
    hash.add(core.pointee.observations.mean, n)
    hash.add(core.pointee.observations.m2, n)
    hash.add(core.pointee.state.pointee.observationCount)
    return hash.value
  }

  /// Rows of a described layer of the network that acts: `rows`, or all.
  private func exported(_ i: Int, _ rows: Range<Int>? = nil) -> DenseNumbers {
    let (weight, bias) = (networks.policy[2 * i], networks.policy[2 * i + 1])
    let w = Numbers(base: policyNet.w, isDouble: core.pointee.settings.isDouble)
    let inputs = weight.shape[1]
    let rows = rows ?? 0..<bias.count
    return DenseNumbers(
      inputs: inputs,
      weights: (rows.lowerBound * inputs..<rows.upperBound * inputs).map { Float(w[weight.place($0)]) },
      bias: rows.map { Float(w[bias.place($0)]) })
  }

  /// Of the network that acts.
  private func recurrentNumbers() -> DiagonalNumbers {
    let (weight, poles) = (networks.policy[0], networks.policy[1])
    let w = Numbers(base: policyNet.w, isDouble: core.pointee.settings.isDouble)
    let n = core.pointee.settings.recurrentUnits
    var out = DiagonalNumbers(inputs: weight.shape[1], weights: [], cosines: [], sines: [])
    var phi: [Double] = []
    for j in 0..<n {
      let rate = eff_learn_exp(w[poles.place(j)])
      let (radius, angle) = (eff_learn_exp(-rate), eff_learn_exp(w[poles.place(n + j)]))
      out.cosines.append(Float(radius * eff_learn_cos(angle)))
      out.sines.append(Float(radius * eff_learn_sin(angle)))
      phi.append(eff_learn_sqrt(-eff_learn_expm1(-2 * rate)))
    }
    for k in 0..<weight.count { out.weights.append(Float(w[weight.place(k)] * phi[k / weight.shape[1] % n])) }
    return out
  }

  /// The mean of the quantiles of each of `choices`, as rows of the last layer.
  private func averaged(_ last: Int, _ choices: Range<Int>) -> DenseNumbers {
    let size = core.pointee.settings.critic.size
    let all = exported(last)
    func mean(_ first: Int, _ stride: Int, _ x: [Float]) -> Float {
      var sum = 0.0
      for k in 0..<size { sum += Double(x[first + k * stride]) }
      return Float(sum / Double(size))
    }
    var out = DenseNumbers(inputs: all.inputs, weights: [], bias: [])
    for a in choices {
      for i in 0..<all.inputs { out.weights.append(mean(a * size * all.inputs + i, all.inputs, all.weights)) }
      out.bias.append(mean(a * size, 1, all.bias))
    }
    return out
  }

  /// Mean and deviation of the observations, as the network is fed with them.
  private var statistics: (mean: [Float], deviation: [Float]) {
    var out: (mean: [Float], deviation: [Float]) = ([], [])
    for i in 0..<core.pointee.settings.observationCount {
      out.mean.append(Float(core.pointee.observations.mean[i]))
      out.deviation.append(deviation(i))
    }
    return out
  }

  private func normalize(_ x: String, _ file: inout NetworkWriter) -> String {
    let s = statistics
    return file.normalizer(x, mean: s.mean, deviation: s.deviation)
  }

  // MARK: loaded policies

  private func exportLoaded(_ actor: LoadedNetwork) throws(Failure) -> [UInt8] {
    guard let source = actor.settings.policy.source else {
      throw Failure(.state, "the policy was loaded without its file being kept")
    }
    guard actor.settings.features == nil else {
      throw Failure(
        .unsupported,
        """
        the policy learns a fresh layer on '\(actor.settings.features ?? "")' of its file, which the file has no place \
        for; keep it with eff_learner_save()
        """
      )
    }
    let w = Numbers(base: policyNet.w, isDouble: core.pointee.settings.isDouble)
    func values(_ p: LearnedParameter) -> [Float] { (0..<p.count).map { Float(w[p.place($0)]) } }
    var changed: [String: (dims: [Int], values: [Float])] = [:]
    for p in actor.network.plan.parameters {
      if case .data = p.initial { changed[p.name] = (p.shape, values(p)) }
    }
    if let n = actor.normalizer {
      let s = statistics
      changed[n.center] = (n.shape, s.mean)
      changed[n.scale] = (n.shape, n.isDivided ? s.deviation : s.deviation.map { 1 / $0 })
    }
    if case .safetensors = source.format { return try exportSafetensors(actor, source, changed) }
    var rewriter = OnnxRewriter(
      source.bytes, files: source.options.build.files, memoryLimit: source.options.build.memoryLimit)
    rewriter.tensors = changed
    if case .residual(let bound) = actor.settings.part { rewriter.addition = try residual(actor, bound, values) }
    return try rewriter.rewrite()
  }

  /// The file with other numbers in its tensors, which stay where they are.
  private func exportSafetensors(
    _ actor: LoadedNetwork, _ source: PolicySource, _ changed: [String: (dims: [Int], values: [Float])]
  ) throws(Failure) -> [UInt8] {
    if case .residual = actor.settings.part {
      throw Failure(
        .unsupported, "the policy was loaded from safetensors; only an ONNX file has a place for a residual")
    }
    guard source.sidecar == nil else {
      throw Failure(
        .unsupported, "the policy was loaded from tensors and a JSON file beside them; only one file can be written")
    }
    let (model, _) = try source.read()
    var out = [UInt8](repeating: 0, count: source.bytes.count)
    out.withUnsafeMutableBytes { eff_copy($0.baseAddress!, source.bytes.start, source.bytes.count) }
    for (name, tensor) in changed {
      guard let t = model.graph.initializers.first(where: { $0.name == name }), t.type == ElementType.f32.rawValue,
        let range = t.raw, range.count == 4 * tensor.values.count
      else {
        throw Failure(
          .unsupported, "tensor '\(name)' is not in the file as f32, so what became of it cannot be written back")
      }
      out.withUnsafeMutableBytes { to in
        tensor.values.withUnsafeBytes { eff_copy(to.baseAddress! + range.lowerBound, $0.baseAddress!, range.count) }
      }
    }
    return out
  }

  /// The correction as nodes behind the tensor that it is added to.
  private func residual(
    _ actor: LoadedNetwork, _ bound: Double, _ values: (LearnedParameter) -> [Float]
  ) throws(Failure) -> (tensor: String, renamed: String, fields: OnnxWriter) {
    let s = core.pointee.settings
    guard s.timeLimit == 0, s.filterBeta == 0, !s.critic.hasStock, actor.observations.count == 1 else {
      throw Failure(
        .unsupported,
        "a residual that sees the time, a stock, a moving average or several observations cannot be exported")
    }
    guard actor.settings.policy.opset >= 17 || !s.hidden.hasLayerNorm else {
      throw Failure(
        .unsupported,
        """
        a residual with LayerNorm needs ONNX opset 17, but the policy has \(actor.settings.policy.opset); learn with \
        no_layer_norm
        """
      )
    }
    var file = NetworkWriter(hidden: s.hidden, prefix: "residual.")
    var x = file.flatten(actor.observations[0], s.observationCount)
    if s.normalizesObservations { x = normalize(x, &file) }
    let parameters = actor.network.plan.parameters.filter {
      if case .data = $0.initial { false } else { $0.name.utf8.starts(with: "residual.".utf8) }
    }
    for i in stride(from: 0, to: parameters.count, by: 2) {
      let numbers = DenseNumbers(
        inputs: parameters[i].shape[1], weights: values(parameters[i]), bias: values(parameters[i + 1]))
      x = file.layer(i + 2 < parameters.count ? "l\(i / 2 + 1)" : "out", x, numbers, isHidden: i + 2 < parameters.count)
    }
    file.bounded(x, by: Float(bound))
    let renamed = actor.meanName + ".base"
    file.graph.node("Add", [renamed, "residual.bounded"], actor.meanName)
    return (actor.meanName, renamed, file.graph)
  }
}
