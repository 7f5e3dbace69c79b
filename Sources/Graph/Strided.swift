/// Dense C-order strides of a shape, in elements.
func denseStrides(_ shape: [Int]) -> [Int] {
  var strides = [Int](repeating: 1, count: shape.count)
  var n = 1
  for i in stride(from: shape.count - 1, through: 0, by: -1) {
    strides[i] = n
    n *= max(shape[i], 1)
  }
  return strides
}

/// Strides with which `shape` is read under the broadcast shape `out`: 0 where it is repeated.
func broadcastStrides(_ shape: [Int], to out: [Int]) -> [Int] {
  let dense = denseStrides(shape)
  var strides = [Int](repeating: 0, count: out.count)
  for i in 0..<shape.count where shape[i] != 1 { strides[out.count - shape.count + i] = dense[i] }
  return strides
}

/// Shape that two shapes broadcast to (numpy's rule), or nil.
func broadcast(_ a: [Int], _ b: [Int]) -> [Int]? {
  let rank = max(a.count, b.count)
  var out = [Int](repeating: 1, count: rank)
  for i in 0..<rank {
    let x = i < rank - a.count ? 1 : a[i - (rank - a.count)]
    let y = i < rank - b.count ? 1 : b[i - (rank - b.count)]
    guard x == y || x == 1 || y == 1 else { return nil }
    out[i] = x == 1 ? y : x
  }
  return out
}

/// An iteration space with several sets of strides, brought to the fewest dimensions that visit the same elements in
/// the same order.
struct Iteration {
  var dims: [Int]
  var strides: [[Int]]

  init(_ dims: [Int], _ strides: [[Int]]) {
    var d: [Int] = []
    var s = [[Int]](repeating: [], count: strides.count)
    for i in 0..<dims.count where dims[i] != 1 {
      if let last = d.last, last > 0 {
        var isMergeable = true
        for k in 0..<strides.count where s[k][d.count - 1] != strides[k][i] * dims[i] { isMergeable = false }
        if isMergeable {
          d[d.count - 1] = last * dims[i]
          for k in 0..<strides.count { s[k][d.count - 1] = strides[k][i] }
          continue
        }
      }
      d.append(dims[i])
      for k in 0..<strides.count { s[k].append(strides[k][i]) }
    }
    if d.isEmpty {
      d = [1]
      for k in 0..<strides.count { s[k] = [1] }
    }
    self.dims = d
    self.strides = s
  }
}
