/// What an [RT] call gives back: a code of the C header. A struct and not an enum, whose cases would be looked up on
/// the way to C.
public struct Status: Sendable {
  public let code: Int32

  @_noLocks @inline(__always)
  private init(_ code: Int32) { self.code = code }

  public static var ok: Status { @_noLocks @inline(__always) get { Status(0) } }
  public static var argument: Status { @_noLocks @inline(__always) get { Status(-1) } }
  public static var state: Status { @_noLocks @inline(__always) get { Status(-2) } }
  public static var shape: Status { @_noLocks @inline(__always) get { Status(-7) } }
  public static var numeric: Status { @_noLocks @inline(__always) get { Status(-8) } }

  public static var timeout: Status { @_noLocks @inline(__always) get { Status(-9) } }

  public var isOK: Bool { @_noLocks @inline(__always) get { code == 0 } }

  @_noLocks @inline(__always)
  public static func == (a: Status, b: Status) -> Bool { a.code == b.code }
}

extension Status: Equatable {}
