import Base

/// Tables with their content; while measuring for a cursor whose pieces are writable.
extension ArenaCursor {
  mutating func floats(_ count: Int) throws(Failure) -> UnsafeMutablePointer<Float> { try table(count, of: Float.self) }

  mutating func doubles(_ values: [Double]) throws(Failure) -> UnsafeMutablePointer<Double> {
    let p = try doubles(values.count)
    for (i, v) in values.enumerated() { p[i] = v }
    return p
  }

  mutating func indices(_ values: [Int]) throws(Failure) -> UnsafeMutablePointer<Int32> {
    let p = try table(values.count, of: Int32.self)
    for (i, v) in values.enumerated() { p[i] = Int32(truncatingIfNeeded: v) }
    return p
  }

  mutating func flags(_ values: [Bool]) throws(Failure) -> UnsafeMutablePointer<Bool> {
    let p = try table(values.count, of: Bool.self)
    for (i, v) in values.enumerated() { p[i] = v }
    return p
  }
}
