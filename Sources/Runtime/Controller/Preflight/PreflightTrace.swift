/// Values of one term as found and as recorded, over the first runs: enough to tell what would explain all of them.
struct PreflightTrace {
  /// Early runs alone: later ones touch clips, which hide a factor.
  private static let most = 14
  private var found: [[Double]] = []
  private var expected: [[Double]] = []

  mutating func keep(_ elements: [Int], _ x: (Int) -> Double, _ y: (Int) -> Double) {
    guard found.count < PreflightTrace.most, elements.contains(where: { y($0) != 0 }) else { return }
    found.append(elements.map(x))
    expected.append(elements.map(y))
  }

  /// Sign, factor, time, order or offset; "" where none explains all values.
  var hint: String {
    guard let width = found.first?.count, found.count >= 3 else { return "" }
    let rows = 0..<found.count
    let used = (0..<width).filter { e in rows.allSatisfy { !found[$0][e].isNaN && !expected[$0][e].isNaN } }
    let x = rows.map { r in used.map { found[r][$0] } }
    let y = rows.map { r in used.map { expected[r][$0] } }
    guard !used.isEmpty, y.contains(where: { $0.contains { $0 != 0 } }) else { return "" }
    let columns = 0..<used.count
    if rows.allSatisfy({ r in columns.allSatisfy { close(x[r][$0], -y[r][$0]) } }) {
      return "all values have the other sign"
    }
    var (product, square) = (0.0, 0.0)
    for r in rows { for e in columns { (product, square) = (product + x[r][e] * y[r][e], square + y[r][e] * y[r][e]) } }
    let factor = product / square
    if factor != 0, factor.isFinite, rows.allSatisfy({ r in columns.allSatisfy { close(x[r][$0], factor * y[r][$0]) } })
    {
      return "all values are " + decimal((factor * 1e4).rounded() / 1e4) + " times the recording's"
    }
    let pairs = rows.dropFirst()
    if pairs.allSatisfy({ r in columns.allSatisfy { close(x[r][$0], y[r - 1][$0]) } }) {
      return "all values come one run later than in the recording"
    }
    if pairs.allSatisfy({ r in columns.allSatisfy { close(x[r - 1][$0], y[r][$0]) } }) {
      return "all values come one run earlier than in the recording"
    }
    if let order = order(x, y) { return "the values are those of the recording in another order: " + order }
    for e in columns {
      let mean = rows.reduce(0.0) { $0 + x[$1][e] - y[$1][e] } / Double(rows.count)
      if !rows.allSatisfy({ close(x[$0][e] - y[$0][e], mean) }) { return "" }
    }
    return "all values differ by a constant"
  }

  private func close(_ a: Double, _ b: Double) -> Bool { a == b || (a - b).magnitude <= 1e-5 + 1e-3 * b.magnitude }

  /// Which of the recording's values each value is, where exactly one order explains all.
  private func order(_ x: [[Double]], _ y: [[Double]]) -> String? {
    let count = x[0].count
    guard count <= 256 else { return nil }
    var places: [Int] = []
    var isTaken = [Bool](repeating: false, count: count)
    for i in 0..<count {
      var place = -1
      for j in 0..<count where (0..<x.count).allSatisfy({ close(x[$0][i], y[$0][j]) }) {
        guard place < 0 else { return nil }
        place = j
      }
      guard place >= 0, !isTaken[place] else { return nil }
      isTaken[place] = true
      places.append(place)
    }
    return places.dropFirst().reduce(String(places[0])) { $0 + ", " + String($1) }
  }
}
