/// The text of a failure, written as an interpolated string literal. Unlike a String, whose every piece is appended by
/// a page of inlined code, each piece is one call: failures are a third of the loader's code, and this is what keeps
/// the library small.
public struct Message: ExpressibleByStringInterpolation, Sendable {
  public let text: String

  @inline(never)
  public init(stringLiteral text: StaticString) { self.text = text.description }

  @inline(never)
  public init(stringInterpolation pieces: StringInterpolation) { text = pieces.text }

  public struct StringInterpolation: StringInterpolationProtocol {
    var text = ""

    @inline(never)
    public init(literalCapacity: Int, interpolationCount: Int) {}

    @inline(never)
    public mutating func appendLiteral(_ piece: StaticString) { text += piece.description }

    @inline(never)
    public mutating func appendInterpolation(_ piece: String) { text += piece }

    @inline(never)
    public mutating func appendInterpolation(_ number: Int) { text += String(number) }

    @inline(never)
    public mutating func appendInterpolation(_ number: UInt64) { text += String(number) }

    /// The shortest text that reads back as the number; "nan", "inf" for what is none.
    @inline(never)
    public mutating func appendInterpolation(_ number: Double) {
      text += number.isFinite ? JsonWriter.number(number) : number.description
    }

    public mutating func appendInterpolation<T: BinaryInteger>(_ number: T) {
      appendInterpolation(Int(truncatingIfNeeded: number))
    }

    public mutating func appendInterpolation(_ piece: StaticString) { appendLiteral(piece) }
  }
}
