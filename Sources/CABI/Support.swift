import Base
import CEfferent
import Onnx
import Platform

/// Runs the body of a C function that is not [RT]: a failure becomes a status and this thread's last message.
func report(_ body: () throws(Failure) -> Void) -> eff_status {
  do {
    try body()
    return eff_status(EFF_OK)
  } catch {
    setMessage(error.message)
    return error.reason.rawValue
  }
}

/// This thread's last message. The only user of eff_message, and never inlined: every object file that used it would
/// get its own.
@inline(never)
func message() -> UnsafeMutablePointer<CChar> { eff_message()! }

/// Stores a message for `eff_last_error`, cut at a character boundary to fit.
func setMessage(_ text: String) {
  let buffer = message()
  var count = 0
  let limit = Int(EFF_MESSAGE_SIZE) - 1
  for byte in text.utf8 {
    if count == limit { break }
    // names from a damaged file may hold anything: a message is one line, and does not end early
    buffer[count] = byte < 0x20 || byte == 0x7F ? 0x3F : CChar(bitPattern: byte)
    count += 1
  }
  if count == limit {
    while count > 0 && UInt8(bitPattern: buffer[count - 1]) & 0xC0 == 0x80 { count -= 1 }
    if count > 0 && UInt8(bitPattern: buffer[count - 1]) >= 0xC0 { count -= 1 }
  }
  buffer[count] = 0
}

/// Where the handle of a new object goes: NULL until there is one.
func cleared(_ out: UnsafeMutablePointer<OpaquePointer?>?) throws(Failure) -> UnsafeMutablePointer<OpaquePointer?> {
  guard let out else { throw Failure(.argument, "out is NULL") }
  out.pointee = nil
  return out
}

/// The Swift string of a C string.
func text(_ c: UnsafePointer<CChar>) -> String { String(cString: c) }
