import Base
import Kernels
import Onnx

// operators that slide a window over space
extension Builder {
  mutating func buildConvolution(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .conv: return [try buildConv(n)]
    case .convTranspose: return [try buildConvTranspose(n)]
    case .maxPool: return try buildPool(n, Int(EFF_POOL_MAX))
    case .averagePool: return try buildPool(n, Int(EFF_POOL_AVERAGE))
    case .lpPool: return try buildPool(n, Int(EFF_POOL_LP))
    default: return nil
    }
  }

  /// Window geometry of a node: kernel, strides, dilations and pads of each spatial dimension, checked.
  struct Window {
    var kernel: [Int]
    var strides: [Int]
    var dilations: [Int]
    var begin: [Int]
    var end: [Int]

    /// Extent of the dilated kernel along dimension `d`.
    func extent(_ d: Int) -> Int { dilations[d] * (kernel[d] - 1) + 1 }
  }

  func window(_ n: Node, kernel: [Int], input: [Int]) throws(Failure) -> Window {
    let rank = kernel.count
    var w = Window(
      kernel: kernel, strides: try n.ints("strides", count: rank, fallback: 1),
      dilations: try n.ints("dilations", count: rank, fallback: 1),
      begin: [Int](repeating: 0, count: rank), end: [Int](repeating: 0, count: rank))
    for d in 0..<rank {
      guard w.kernel[d] > 0, w.strides[d] > 0, w.dilations[d] > 0, w.kernel[d] < 1 << 24, w.dilations[d] < 1 << 24,
        w.strides[d] < 1 << 24
      else {
        throw n.fail(
          .shape,
          """
          kernel \(describe(kernel)), strides \(describe(w.strides)) and dilations \(describe(w.dilations)) must be \
          positive
          """
        )
      }
    }
    let mode = try n.string("auto_pad", "NOTSET")
    switch mode {
    case "NOTSET", "":
      let pads = try n.ints("pads", count: 2 * rank, fallback: 0)
      w.begin = Array(pads[..<rank])
      w.end = Array(pads[rank...])
      for p in pads where p < 0 || p > 1 << 24 {
        throw n.fail(.unsupported, "pads \(describe(pads)) are negative or too large")
      }
    case "VALID": try passPads(n, mode)
    case "SAME_UPPER", "SAME_LOWER":
      try passPads(n, mode)
      for d in 0..<rank {
        let out = (input[d] + w.strides[d] - 1) / w.strides[d]
        let total = max(0, (out - 1) * w.strides[d] + w.extent(d) - input[d])
        w.begin[d] = mode == "SAME_UPPER" ? total / 2 : total - total / 2
        w.end[d] = total - w.begin[d]
      }
    default: throw n.fail(.unsupported, "auto_pad '\(mode)' is not known")
    }
    return w
  }

  /// With auto_pad, ONNX allows no pads; onnxruntime passes them over, and so does this, but not in silence.
  private func passPads(_ n: Node, _ mode: String) throws(Failure) {
    guard let pads = try n.ints("pads"), pads.contains(where: { $0 != 0 }) else { return }
    Log.write(.warning, "\(n.label): pads \(describe(pads)) are passed over, because auto_pad is \(mode)")
  }

  func spatialRank(_ x: Int, _ n: Node) throws(Failure) -> Int {
    let rank = shape(x).count - 2
    guard rank >= 1, rank <= 3 else {
      throw n.fail(
        .unsupported, "input is \(describe(shape(x))), expected [batch, channels, ...] with 1 to 3 spatial dimensions")
    }
    return rank
  }

  func convParams(_ n: Node, _ x: Int, _ w: Int, _ win: Window, out: [Int], channels: Int, groups: Int) -> eff_conv {
    var p = eff_conv()
    p.batch = Int64(shape(x)[0])
    p.in_channels = Int64(shape(x)[1])
    p.out_channels = Int64(channels)
    p.groups = Int64(groups)
    p.spatial = Int32(out.count)
    store(Array(shape(x)[2...]), &p.in)
    store(out, &p.out)
    store(win.kernel, &p.kernel)
    store(win.strides, &p.stride)
    store(win.dilations, &p.dilation)
    store(win.begin, &p.pad)
    return p
  }

  /// Parameters, output shape and work of a convolution of `x` with `w`; types are the caller's concern.
  func convolution(_ n: Node, _ x: Int, _ w: Int) throws(Failure) -> (params: eff_conv, shape: [Int], work: Int) {
    let rank = try spatialRank(x, n)
    let groups = try n.int("group", 1)
    let ws = shape(w)
    let xs = shape(x)
    guard groups > 0, ws.count == rank + 2, xs[1] % groups == 0, ws[0] % groups == 0, ws[1] == xs[1] / groups else {
      throw n.fail(
        .shape,
        """
        weights are \(describe(ws)), expected [out, \(groups > 0 ? xs[1] / groups : 0), ...] for input \
        \(describe(xs)) and \(groups) groups
        """
      )
    }
    if let k = try n.ints("kernel_shape"), k != Array(ws[2...]) {
      throw n.fail(.shape, "kernel_shape \(describe(k)) differs from weights \(describe(ws))")
    }
    let win = try window(n, kernel: Array(ws[2...]), input: Array(xs[2...]))
    var out: [Int] = []
    for d in 0..<rank {
      let size = (xs[2 + d] + win.begin[d] + win.end[d] - win.extent(d)) / win.strides[d] + 1
      guard xs[2 + d] + win.begin[d] + win.end[d] >= win.extent(d) else {
        throw n.fail(.shape, "input \(describe(xs)) is smaller than the kernel")
      }
      out.append(size)
    }
    let p = convParams(n, x, w, win, out: out, channels: ws[0], groups: groups)
    return (p, [xs[0], ws[0]] + out, work([xs[0]] + ws + out))
  }

  mutating func buildConv(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let w = try n.input(1)
    let c = try convolution(n, x, w)
    let b = n.optional(2)
    guard type(w) == type(x) else {
      throw n.fail(.shape, "weights have type \(type(w).name), expected \(type(x).name)")
    }
    if let b {
      guard count(b) == shape(w)[0], type(b) == type(x) else {
        throw n.fail(.shape, "bias is \(describe(shape(b))), expected [\(shape(w)[0])]")
      }
    }
    let y = try newValue(type(x), c.shape, n.label)
    var op = GraphOp(.conv(c.params), type: type(x), inputs: [x, w, b ?? -1], outputs: [y], label: n.label)
    op.work = c.work
    try emit(op)
    return y
  }

  private mutating func buildConvTranspose(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let w = try n.input(1)
    let rank = try spatialRank(x, n)
    let groups = try n.int("group", 1)
    let ws = shape(w)
    let xs = shape(x)
    guard groups > 0, ws.count == rank + 2, ws[0] == xs[1], xs[1] % groups == 0, type(w) == type(x) else {
      throw n.fail(
        .shape,
        """
        weights are \(describe(ws)), expected [\(xs[1]), out/groups, ...] for input \(describe(xs)) and \(groups) \
        groups
        """
      )
    }
    if let k = try n.ints("kernel_shape"), k != Array(ws[2...]) {
      throw n.fail(.shape, "kernel_shape \(describe(k)) differs from weights \(describe(ws))")
    }
    let mode = try n.string("auto_pad", "NOTSET")
    if mode != "NOTSET" && !mode.utf8.isEmpty, try n.ints("pads") != nil {
      throw n.fail(.format, "has both pads and auto_pad \(mode); ONNX allows one of them")
    }
    let isSame = mode == "SAME_UPPER" || mode == "SAME_LOWER"
    var win = try window(n, kernel: Array(ws[2...]), input: Array(xs[2...]))
    let extra = try n.ints("output_padding", count: rank, fallback: 0)
    let wanted = try n.ints("output_shape")
    var out: [Int] = []
    for d in 0..<rank {
      guard extra[d] >= 0, extra[d] < max(win.strides[d], win.dilations[d]) else {
        throw n.fail(
          .shape,
          """
          output_padding \(describe(extra)) must be less than strides \(describe(win.strides)) or dilations \
          \(describe(win.dilations))
          """
        )
      }
      let full = win.strides[d] * (xs[2 + d] - 1) + extra[d] + win.extent(d)
      var size = full - win.begin[d] - win.end[d]
      if wanted != nil || isSame {
        if let wanted {
          guard wanted.count >= rank else { throw n.fail(.shape, "output_shape \(describe(wanted)) is too short") }
          size = wanted[wanted.count - rank + d]
          guard size < full + max(win.strides[d], win.dilations[d]) else {
            throw n.fail(
              .shape,
              "output_shape \(describe(wanted)) is larger than what the input reaches: \(full) along axis \(2 + d)")
          }
        } else {  // as onnxruntime: a kernel smaller than the stride leaves less than input * stride
          size = min(full, xs[2 + d] * win.strides[d])
        }
        let total = max(0, full - size)
        win.begin[d] = mode == "SAME_UPPER" ? total / 2 : total - total / 2
      }
      guard size > 0 else { throw n.fail(.shape, "the output would have size \(size)") }
      out.append(size)
    }
    let channels = ws[1] * groups
    let b = n.optional(2)
    if let b {
      guard count(b) == channels, type(b) == type(x) else {
        throw n.fail(.shape, "bias is \(describe(shape(b))), expected [\(channels)]")
      }
    }
    let y = try newValue(type(x), [xs[0], channels] + out, n.label)
    let p = convParams(n, x, w, win, out: out, channels: channels, groups: groups)
    var op = GraphOp(.convTranspose(p), type: type(x), inputs: [x, w, b ?? -1], outputs: [y], label: n.label)
    op.work = work(xs + Array(ws[1...]))
    try emit(op)
    return y
  }

  mutating func buildPool(_ n: Node, _ fn: Int) throws(Failure) -> [Int] {
    let x = try n.input(0)
    let rank = try spatialRank(x, n)
    let xs = shape(x)
    guard let kernel = try n.ints("kernel_shape"), kernel.count == rank else {
      throw n.fail(.shape, "kernel_shape must have \(rank) entries")
    }
    var win = try window(n, kernel: kernel, input: Array(xs[2...]))
    let isCeil = try n.bool("ceil_mode", false)
    let mode = try n.string("auto_pad", "NOTSET")
    let isSame = mode == "SAME_UPPER" || mode == "SAME_LOWER"
    guard !isSame || win.dilations.allSatisfy({ $0 == 1 }) else {
      throw n.fail(
        .unsupported,
        """
        has dilations \(describe(win.dilations)) with auto_pad \(mode), which runtimes read in different ways; export \
        it with pads
        """
      )
    }
    var out: [Int] = []
    for d in 0..<rank {
      guard win.begin[d] < win.extent(d), win.end[d] < win.extent(d) else {
        throw n.fail(
          .shape,
          """
          pads \(describe(win.begin + win.end)) leave windows that see padding only; expected less than the kernel \
          \(describe(kernel))
          """
        )
      }
      let span = xs[2 + d] + win.begin[d] + win.end[d] - win.extent(d)
      guard span >= 0 else {
        throw n.fail(.shape, "input \(describe(xs)) is smaller than the kernel \(describe(kernel))")
      }
      var size = (isCeil ? span + win.strides[d] - 1 : span) / win.strides[d] + 1
      // a window that starts in the end padding is left out
      if isCeil && (size - 1) * win.strides[d] >= xs[2 + d] + win.begin[d] { size -= 1 }
      if isSame { size = (xs[2 + d] + win.strides[d] - 1) / win.strides[d] }
      out.append(size)
    }
    if n.operator == .averagePool && n.opset < 19 { win.dilations = [Int](repeating: 1, count: rank) }
    var p = eff_pool()
    p.batch = Int64(xs[0])
    p.channels = Int64(xs[1])
    p.spatial = Int32(rank)
    p.fn = Int32(fn)
    p.count_include_pad = Int32(try n.bool("count_include_pad", false) ? 1 : 0)
    p.column_major = Int32(try n.bool("storage_order", false) ? 1 : 0)
    let power = n.operator == .lpPool ? try n.int("p", 2) : 2
    guard power > 0 else { throw n.fail(.shape, "attribute 'p' is \(power), expected 1 or more") }
    p.p = Double(power)
    store(Array(xs[2...]), &p.in)
    store(out, &p.out)
    store(win.kernel, &p.kernel)
    store(win.strides, &p.stride)
    store(win.dilations, &p.dilation)
    store(win.begin, &p.pad_begin)
    store(win.end, &p.pad_end)
    let y = try newValue(type(x), [xs[0], xs[1]] + out, n.label)
    let indices = n.hasOutput(1) ? try newValue(.i64, [xs[0], xs[1]] + out, n.label) : -1
    var op = GraphOp(.pool(p), type: type(x), inputs: [x], outputs: [y, indices], label: n.label)
    op.work = work([xs[0], xs[1]] + out + win.kernel)
    try emit(op)
    return [y, indices]
  }
}
