import Base
import Kernels
import Onnx

// operators that read between the elements of a grid
extension Builder {
  mutating func buildSampling(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .resize, .upsample: return [try buildResize(n)]
    case .gridSample: return [try buildGridSample(n)]
    case .affineGrid: return [try buildAffineGrid(n)]
    case .maxUnpool: return [try buildMaxUnpool(n)]
    case .col2Im: return [try buildCol2Im(n)]
    default: return nil
    }
  }

  /// Per axis of x: its new size, the scale by which coordinates move, and the region for tf_crop_and_resize.
  private struct ResizeShape {
    var out: [Int]
    var scale: [Double]
    var start: [Double]
    var end: [Double]
  }

  private mutating func resizeShape(_ n: Node, _ s: [Int]) throws(Failure) -> ResizeShape {
    var r = ResizeShape(out: s, scale: s.map { _ in 1 }, start: s.map { _ in 0 }, end: s.map { _ in 1 })
    var axes: [Int] = []
    for a in try n.ints("axes") ?? Array(0..<s.count) { axes.append(try axis(a, rank: s.count, n)) }
    // Upsample 7 has an attribute, Upsample 9 and Resize 10 one input, Resize 11 three
    let scalesAt = n.operator == .upsample || n.opset < 11 ? 1 : 2
    if scalesAt == 2, let roi = n.optional(1), count(roi) > 0 {
      let v = try numbers(roi, n, "roi")
      guard v.count == 2 * axes.count else {
        throw n.fail(.shape, "roi has \(v.count) entries, expected \(2 * axes.count)")
      }
      for (i, a) in axes.enumerated() { (r.start[a], r.end[a]) = (v[i], v[axes.count + i]) }
    }
    let policy = try n.choice("keep_aspect_ratio_policy", "stretch", ["stretch", "not_larger", "not_smaller"])
    if scalesAt == 2, let v = n.optional(3), count(v) > 0 {
      let sizes = try integers(v, n, "sizes")
      guard sizes.count == axes.count, sizes.allSatisfy({ $0 > 0 }), axes.allSatisfy({ s[$0] > 0 }) else {
        throw n.fail(.shape, "sizes \(describe(sizes)) do not fit \(axes.count) axes of \(describe(s))")
      }
      let ratios = axes.indices.map { Double(sizes[$0]) / Double(s[axes[$0]]) }
      let least = ratios.reduce(.infinity, min)
      let most = ratios.reduce(0, max)
      for (i, a) in axes.enumerated() {
        let common = policy == "not_larger" ? least : policy == "not_smaller" ? most : ratios[i]
        r.scale[a] = common
        r.out[a] = policy == "stretch" ? sizes[i] : Int(min((common * Double(s[a])).rounded(), 1e9))
      }
      return r
    }
    let scales: [Double]
    if let given = try n.floats("scales") {
      scales = given
    } else {
      scales = try numbers(try n.input(scalesAt), n, "scales")
    }
    guard scales.count == axes.count, scales.allSatisfy({ $0 > 0 && $0 < 1e6 }) else {
      throw n.fail(
        .shape, "has \(scales.count) scales for \(axes.count) axes of \(describe(s)); expected positive numbers")
    }
    for (i, a) in axes.enumerated() {
      r.scale[a] = scales[i]
      r.out[a] = Int(min((Float(scales[i]) * Float(s[a])).rounded(.down), 1e9))
    }
    return r
  }

  private mutating func buildResize(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let s = shape(x)
    let r = try resizeShape(n, s)
    var p = eff_resize()
    let mode = try n.string("mode", "nearest")
    switch mode {
    case "nearest": p.mode = Int32(EFF_RESIZE_NEAREST)
    case "linear", "bilinear": p.mode = Int32(EFF_RESIZE_LINEAR)
    case "cubic": p.mode = Int32(EFF_RESIZE_CUBIC)
    default: throw n.fail(.unsupported, "mode '\(mode)' is not known")
    }
    let isOld = n.operator == .upsample || n.opset < 11
    let coordinate = isOld ? "asymmetric" : try n.string("coordinate_transformation_mode", "half_pixel")
    var rounding = isOld ? "floor" : try n.string("nearest_mode", "round_prefer_floor")
    switch coordinate {
    case "half_pixel": p.coordinate = Int32(EFF_COORD_HALF_PIXEL)
    case "asymmetric": p.coordinate = Int32(EFF_COORD_ASYMMETRIC)
    case "align_corners": p.coordinate = Int32(EFF_COORD_ALIGN_CORNERS)
    case "pytorch_half_pixel": p.coordinate = Int32(EFF_COORD_PYTORCH_HALF_PIXEL)
    case "tf_crop_and_resize": p.coordinate = Int32(EFF_COORD_TF_CROP)
    case "half_pixel_symmetric": p.coordinate = Int32(EFF_COORD_HALF_PIXEL_SYMMETRIC)
    case "tf_half_pixel_for_nn" where mode == "nearest" && rounding == "floor":
      // half a pixel further than half_pixel, rounded down
      p.coordinate = Int32(EFF_COORD_HALF_PIXEL)
      rounding = "round_prefer_ceil"
    default:
      throw n.fail(
        .unsupported, "coordinate_transformation_mode '\(coordinate)' with nearest_mode '\(rounding)' is not known")
    }
    switch rounding {
    case "round_prefer_floor": p.nearest = Int32(EFF_NEAREST_ROUND_PREFER_FLOOR)
    case "round_prefer_ceil": p.nearest = Int32(EFF_NEAREST_ROUND_PREFER_CEIL)
    case "floor": p.nearest = Int32(EFF_NEAREST_FLOOR)
    case "ceil": p.nearest = Int32(EFF_NEAREST_CEIL)
    default: throw n.fail(.unsupported, "nearest_mode '\(rounding)' is not known")
    }
    p.exclude_outside = Int32(try n.bool("exclude_outside", false) ? 1 : 0)
    p.antialias = Int32(try n.bool("antialias", false) ? 1 : 0)
    p.cubic_a = try n.float("cubic_coeff_a", -0.75)
    p.extrapolation = try n.float("extrapolation_value", 0)
    // onnxruntime rounds up where Resize of opset 10 makes an axis smaller
    if isOld && mode == "nearest" && r.scale.contains(where: { $0 < 1 }) {
      let grown = ResizeShape(
        out: s.indices.map { r.scale[$0] < 1 ? s[$0] : r.out[$0] }, scale: r.scale.map { max($0, 1) }, start: r.start,
        end: r.end)
      let y = try resize(x, grown, p, n)
      p.nearest = Int32(EFF_NEAREST_CEIL)
      return try resize(y, ResizeShape(out: r.out, scale: r.scale.map { min($0, 1) }, start: r.start, end: r.end), p, n)
    }
    return try resize(x, r, p, n)
  }

  private mutating func resize(_ x: Int, _ r: ResizeShape, _ params: eff_resize, _ n: Node) throws(Failure) -> Int {
    let s = shape(x)
    // leading axes that stay as they are
    var first = 0
    while first < s.count && r.out[first] == s[first] && r.scale[first] == 1 && r.start[first] == 0 && r.end[first] == 1
    { first += 1 }
    if first == s.count { return try view(x, s) }
    guard s.count - first <= 5 else {
      throw n.fail(.unsupported, "resizes across \(s.count - first) axes of \(describe(s)), expected at most 5")
    }
    var p = params
    p.outer = Int64(s[..<first].reduce(1, *))
    p.rank = Int32(s.count - first)
    store(Array(s[first...]), &p.in)
    store(Array(r.out[first...]), &p.out)
    store(Array(r.scale[first...]), &p.scale)
    store(Array(r.start[first...]), &p.roi_start)
    store(Array(r.end[first...]), &p.roi_end)
    let y = try newValue(type(x), r.out, n.label)
    var op = GraphOp(.resize(p), type: type(x), inputs: [x], outputs: [y], label: n.label)
    let taps = p.mode == Int32(EFF_RESIZE_NEAREST) ? 1 : p.mode == Int32(EFF_RESIZE_LINEAR) ? 2 : 4
    op.work = work(r.out + (first..<s.count).map { _ in taps })
    try emit(op)
    return y
  }

  private mutating func buildGridSample(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let grid = try n.input(1)
    let rank = try spatialRank(x, n)
    let (s, g) = (shape(x), shape(grid))
    guard g.count == rank + 2, g[0] == s[0], g[rank + 1] == rank, type(grid).isFloat else {
      throw n.fail(
        .shape, "grid is \(type(grid).name) \(describe(g)), expected [\(s[0]), ..., \(rank)] for input \(describe(s))")
    }
    var p = eff_grid_sample()
    (p.batch, p.channels, p.spatial) = (Int64(s[0]), Int64(s[1]), Int32(rank))
    switch try n.string("mode", "linear") {
    case "linear", "bilinear": p.mode = 0
    case "nearest": p.mode = 1
    case "cubic", "bicubic": p.mode = 2
    default: throw n.fail(.unsupported, "mode '\(try n.string("mode", ""))' is not known")
    }
    switch try n.string("padding_mode", "zeros") {
    case "zeros": p.padding = 0
    case "border": p.padding = 1
    case "reflection": p.padding = 2
    default: throw n.fail(.unsupported, "padding_mode '\(try n.string("padding_mode", ""))' is not known")
    }
    p.align_corners = Int32(try n.bool("align_corners", false) ? 1 : 0)
    p.grid_type = type(grid).rawValue
    let out = Array(g[1..<(rank + 1)])
    store(Array(s[2...]), &p.in)
    store(out, &p.out)
    let y = try newValue(type(x), [s[0], s[1]] + out, n.label)
    var op = GraphOp(.gridSample(p), type: type(x), inputs: [x, grid], outputs: [y], label: n.label)
    op.work = work([s[0], s[1]] + out + (0..<rank).map { _ in p.mode == 1 ? 1 : p.mode == 0 ? 2 : 4 })
    try emit(op)
    return y
  }

  /// The coordinates of every pixel, moved by theta: [points, d + 1] times theta' for each batch entry.
  private mutating func buildAffineGrid(_ n: Node) throws(Failure) -> Int {
    let theta = try n.input(0)
    let size = try integers(try n.input(1), n, "size")
    let rank = size.count - 2
    guard rank == 2 || rank == 3, shape(theta) == [size[0], rank, rank + 1] else {
      throw n.fail(.shape, "theta is \(describe(shape(theta))) for size \(describe(size)), expected [batch, d, d + 1]")
    }
    let space = Array(size[2...])
    let isAligned = try n.bool("align_corners", false)
    let points = try TensorReader.count(space, n.label)
    let bytes = try budget.zeroed(max(8 * points * (rank + 1), 8), for: n.label)
    for i in 0..<points {
      var rest = i
      // the last spatial axis is x, the first coordinate
      for d in 0..<rank {
        let extent = space[rank - 1 - d]
        let at = Double(rest % extent)
        rest /= extent
        let v = isAligned ? (extent > 1 ? 2 * at / Double(extent - 1) - 1 : 0) : (2 * at + 1) / Double(extent) - 1
        bytes.mutable.storeBytes(of: v, toByteOffset: 8 * (i * (rank + 1) + d), as: Double.self)
      }
      bytes.mutable.storeBytes(of: 1, toByteOffset: 8 * (i * (rank + 1) + rank), as: Double.self)
    }
    let grid = try cast(
      newConstant(TensorData(type: .f64, shape: [1, points, rank + 1], bytes: bytes)), to: type(theta))
    let y = try matmul(grid, try transpose(theta, [0, 2, 1], label: n.label), label: n.label)
    return try view(y, [size[0]] + space + [rank])
  }

  /// Zeros with the elements of x at the flat positions of the second input.
  private mutating func buildMaxUnpool(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let indices = try n.input(1)
    let rank = try spatialRank(x, n)
    guard shape(indices) == shape(x), let kernel = try n.ints("kernel_shape"), kernel.count == rank else {
      throw n.fail(
        .shape,
        """
        indices are \(describe(shape(indices))), expected \(describe(shape(x))), and kernel_shape must have \(rank) \
        entries
        """
      )
    }
    try requireIndices(indices, n)
    var out = shape(x)
    let win = try window(n, kernel: kernel, input: Array(shape(x)[2...]))
    if let v = n.optional(2) {
      out = try integers(v, n, "output_shape")
    } else {
      for d in 0..<rank { out[2 + d] = (shape(x)[2 + d] - 1) * win.strides[d] - win.begin[d] - win.end[d] + kernel[d] }
    }
    let total = try TensorReader.count(out, n.label)
    if total == 0 { return try filled(0, type(x), out) }
    let flat = try view(indices, [count(x)])
    let p = elements(n, axis: 0, data: [total], indices: flat, reduction: Int(EFF_SCATTER_SET))
    let zeros = try filled(0, type(x), [total])
    return try view(
      try scatter(.scatterElements(p), data: zeros, flat, view(x, [count(x)]), n), out)
  }

  /// Sums the columns of sliding blocks into the image that they came from.
  private mutating func buildCol2Im(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let image = try integers(try n.input(1), n, "image_shape")
    let block = try integers(try n.input(2), n, "block_shape")
    let rank = image.count
    guard rank >= 1, rank <= 3, block.count == rank, shape(x).count == 3 else {
      throw n.fail(.shape, "input is \(describe(shape(x))), expected [batch, channels * block, positions]")
    }
    let pixels = try TensorReader.count(image, n.label)
    let win = try window(n, kernel: block, input: image)
    let taps = try TensorReader.count(block, n.label)
    var steps: [Int] = []
    for d in 0..<rank {
      steps.append(max(0, (image[d] + win.begin[d] + win.end[d] - win.extent(d)) / win.strides[d] + 1))
    }
    let positions = try TensorReader.count(steps, n.label)
    let s = shape(x)
    guard pixels > 0, taps > 0, positions > 0, s[1] > 0, s[1] % taps == 0, s[2] == positions else {
      throw n.fail(.shape, "input is \(describe(s)), expected [batch, channels * \(taps), \(positions)]")
    }
    // the pixel of each tap and position; those in the padding go to one pixel more, which is cut off
    var places: [Int] = []
    try budget.take(8 * (try TensorReader.count([taps, positions], n.label)), for: n.label)
    for tap in 0..<taps {
      for position in 0..<positions {
        var (t, q, place, unit) = (tap, position, 0, 1)
        for d in stride(from: rank - 1, through: 0, by: -1) {
          let i = q % steps[d] * win.strides[d] + t % block[d] * win.dilations[d] - win.begin[d]
          (t, q) = (t / block[d], q / steps[d])
          if i < 0 || i >= image[d] { place = -1 }
          if place >= 0 { place += i * unit }
          unit *= image[d]
        }
        places.append(place < 0 ? pixels : place)
      }
    }
    let channels = s[0] * (s[1] / taps)
    let indices = try expand(try integers(places, [1, places.count]), to: [channels, places.count])
    let p = elements(n, axis: 1, data: [channels, pixels + 1], indices: indices, reduction: Int(EFF_SCATTER_ADD))
    let zeros = try filled(0, type(x), [channels, pixels + 1])
    let y = try scatter(
      .scatterElements(p), data: zeros, indices, view(x, [channels, places.count]), n)
    return try view(try slice(y, axis: 1, start: 0, count: pixels, label: n.label), [s[0], s[1] / taps] + image)
  }
}
