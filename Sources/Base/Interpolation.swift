// The standard library appends each piece of an interpolated string by a page of inlined code; with these it is a call.
// They are found before the standard library's, wherever this module is imported.
extension DefaultStringInterpolation {
  @inline(never)
  public mutating func appendLiteral(_ piece: String) { write(piece) }

  @inline(never)
  public mutating func appendInterpolation(_ piece: String) { write(piece) }

  @inline(never)
  public mutating func appendInterpolation(_ number: Int) { write(String(number)) }

  @inline(never)
  public mutating func appendInterpolation(_ number: UInt64) { write(String(number)) }
}
