import Base
import CEfferent
import Onnx
import Platform

@c @implementation
public func eff_version() -> Int32 { EFF_VERSION_MAJOR * 10000 + EFF_VERSION_MINOR * 100 + EFF_VERSION_PATCH }

@c @implementation
public func eff_status_name(_ status: eff_status) -> UnsafePointer<CChar>? {
  let name: StaticString =
    switch Int(status) {
    case EFF_OK: "EFF_OK"
    case EFF_E_ARGUMENT: "EFF_E_ARGUMENT"
    case EFF_E_STATE: "EFF_E_STATE"
    case EFF_E_MEMORY: "EFF_E_MEMORY"
    case EFF_E_IO: "EFF_E_IO"
    case EFF_E_FORMAT: "EFF_E_FORMAT"
    case EFF_E_UNSUPPORTED: "EFF_E_UNSUPPORTED"
    case EFF_E_SHAPE: "EFF_E_SHAPE"
    case EFF_E_NUMERIC: "EFF_E_NUMERIC"
    case EFF_E_TIMEOUT: "EFF_E_TIMEOUT"
    case EFF_E_MISMATCH: "EFF_E_MISMATCH"
    default: "EFF_E_UNKNOWN"
    }
  return UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
}

@c @implementation
public func eff_last_error() -> UnsafePointer<CChar>? { UnsafePointer(message()) }

@c @implementation
public func eff_set_log(
  _ fn_or_null: (@convention(c) (UnsafeMutableRawPointer?, Int32, UnsafePointer<CChar>?) -> Void)?,
  _ user: UnsafeMutableRawPointer?, _ min_level: Int32
) {
  Log.sink = fn_or_null.map { Log.Sink(write: $0, user: user, minimum: min_level) }
}
