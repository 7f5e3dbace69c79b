import Base
import Graph
import Kernels
import Onnx
import Platform

/// Lays out the weights of a plan: first measures, then fills one block.
struct Packer {
  let isa: Int32
  /// Bound in bytes on all weights.
  let limit: Int
  private(set) var size = 0
  /// Where each constant was put, and how long it is; by address.
  private var constants: [(start: UnsafeRawPointer, offset: Int, size: Int)] = []
  private var constantIndex = HashIndex()
  /// The jobs that pack, by the address of the weights.
  private var packings: [Int] = []
  private var packingIndex = HashIndex()
  /// What to write where, in order.
  private var jobs: [(offset: Int, size: Int, job: Job)] = []

  private indirect enum Job {
    case copy(TensorData)
    case dense(eff_dense, Packing)
    case conv(eff_conv, Packing)
    case rnn(eff_rnn, Packing)

    /// Whether both write the same.
    func isSame(_ other: Job) -> Bool {
      switch (self, other) {
      case (.dense(let a, let p), .dense(let b, let q)): p.isSame(q) && isEqual(a, b)
      case (.conv(let a, let p), .conv(let b, let q)): p.isSame(q) && isEqual(a, b)
      case (.rnn(let a, let p), .rnn(let b, let q)): p.isSame(q) && isEqual(a, b)
      default: false
      }
    }

    private func isEqual<T: BitwiseCopyable>(_ a: T, _ b: T) -> Bool {
      withUnsafeBytes(of: a) { a in
        withUnsafeBytes(of: b) { b in eff_equal(a.baseAddress, b.baseAddress, a.count) != 0 }
      }
    }
  }

  init(isa: Int32, limit: Int) {
    self.isa = isa
    self.limit = limit
  }

  private mutating func reserve(_ bytes: Int, _ job: Job, _ what: @autoclosure () -> String) throws(Failure) -> Int {
    let offset = size
    guard bytes <= limit, size <= limit - bytes else {
      throw Failure(
        .memory,
        "\(what()): the weights need \(size) bytes and \(bytes) more, which exceeds the memory limit of \(limit) bytes")
    }
    jobs.append((offset, bytes, job))
    size += ArenaLayout.room(bytes)
    return offset
  }

  /// Place of a constant; equal memory is stored once.
  mutating func place(_ c: TensorData, _ name: String) throws(Failure) -> Int {
    let (start, bytes) = (c.start, c.byteCount)
    let hash = HashIndex.hash(start)
    let known = constantIndex.find(hash) { constants[$0].start == start }
    if known >= 0, constants[known].size >= bytes { return constants[known].offset }
    let offset = try reserve(bytes, .copy(c), "tensor '\(name)'")
    if known >= 0 {
      constants[known] = (start, offset, bytes)
    } else {
      constantIndex.add(hash)
      constants.append((start, offset, bytes))
    }
    return offset
  }

  /// Place and size of the packed weights of an op. Ops that do the same with the same weights share them: steps of a
  /// flow, cells of a loop that was unrolled.
  mutating func place(_ op: GraphOp, _ packing: Packing) throws(Failure) -> (place: Int, size: Int) {
    let bytes: Int64
    let job: Job
    switch op.params {
    case .dense(var d):
      bytes = eff_dense_packed_size(&d, isa)
      job = .dense(d, packing)
    case .convPacked(var c):
      bytes = eff_conv_packed_size(&c, isa)
      job = .conv(c, packing)
    case .rnnPacked(var r):
      bytes = eff_rnn_packed_size(&r, isa)
      job = .rnn(r, packing)
    default: throw Failure(.state, "\(op.label): has weights to pack, but no packed kernel")
    }
    guard bytes > 0 else { throw Failure(.unsupported, "\(op.label): no packed kernel for these options") }
    let hash = HashIndex.hash(packing.weights.start)
    let known = packingIndex.find(hash) { jobs[packings[$0]].job.isSame(job) }
    if known >= 0 {
      let same = jobs[packings[known]]
      return (same.offset, ArenaLayout.room(same.size))
    }
    packingIndex.add(hash)
    packings.append(jobs.count)
    return (try reserve(Int(bytes), job, op.label), ArenaLayout.room(Int(bytes)))
  }

  /// Writes all of `size` bytes, what is between the weights too.
  func fill(_ block: UnsafeMutableRawPointer) throws(Failure) {
    for (offset, bytes, job) in jobs {
      let to = block + offset
      eff_zero(to + bytes, ArenaLayout.room(bytes) - bytes)
      switch job {
      case .copy(let c): eff_copy(to, c.start, bytes)
      case .dense(var d, let p):
        let (inputs, outputs) = (d.k, d.n)
        try pack(&d, p, to, "dense layer [\(inputs) -> \(outputs)]")
      case .conv(var c, let p):
        eff_conv_pack(&c, isa, floats(p.weights), p.bias.map { floats($0) }, to)
      case .rnn(var r, let p):
        eff_rnn_pack(&r, isa, floats(p.weights), p.recurrent.map { floats($0) }, p.bias.map { floats($0) }, to)
      }
    }
  }

  private func floats(_ c: TensorData) -> UnsafePointer<Float> { c.start.assumingMemoryBound(to: Float.self) }

  private func pack(
    _ d: inout eff_dense, _ p: Packing, _ to: UnsafeMutableRawPointer, _ what: @autoclosure () -> String
  ) throws(Failure) {
    let n = Int(d.n)
    var bias: Bytes? = nil
    var biasStart = p.bias.map { floats($0) }
    if let b = p.bias, p.biasStride != 1 || p.biasScale != 1 {
      let full = try Bytes.zeroed(4 * n)
      let out = full.mutable.assumingMemoryBound(to: Float.self)
      for i in 0..<n { out[i] = Float(p.biasScale) * b.float(i * p.biasStride) }
      (bias, biasStart) = (full, UnsafePointer(out))
    }
    if p.scale == 1 {
      eff_dense_pack(&d, isa, floats(p.weights), Int64(p.inputStride), Int64(p.outputStride), biasStart, to)
    } else {
      let k = Int(d.k)
      // a copy for the time of packing, beside the packed weights
      guard 4 * k * n <= limit - size else {
        throw Failure(
          .memory,
          """
          \(what()): scaling the weights needs \(4 * k * n) bytes more, which exceeds the memory limit of \(limit) bytes
          """)
      }
      let scaled = try Bytes.zeroed(4 * k * n)
      let out = scaled.mutable.assumingMemoryBound(to: Float.self)
      for i in 0..<k {
        for o in 0..<n { out[i * n + o] = Float(p.scale) * p.weights.float(i * p.inputStride + o * p.outputStride) }
      }
      eff_dense_pack(&d, isa, scaled.start.assumingMemoryBound(to: Float.self), Int64(n), 1, biasStart, to)
    }
    _ = bias
  }
}

extension Packing {
  /// Whether both pack the same numbers in the same order.
  fileprivate func isSame(_ other: Packing) -> Bool {
    func start(_ data: TensorData?) -> UnsafeRawPointer? { data?.start }
    return weights.start == other.weights.start && start(recurrent) == start(other.recurrent)
      && start(bias) == start(other.bias) && inputStride == other.inputStride && outputStride == other.outputStride
      && biasStride == other.biasStride && scale == other.scale && biasScale == other.biasScale
  }
}
