import Base
import CEfferent
import Onnx
import Platform
import Runtime

@c @implementation
public func eff_learner_save(
  _ learner: OpaquePointer?, _ buffer_or_null: UnsafeMutableRawPointer?, _ capacity: Int,
  _ size: UnsafeMutablePointer<Int>?
)
  -> eff_status
{
  report { () throws(Failure) in
    let l = try liveLearner(learner)
    guard let size else { throw Failure(.argument, "size is NULL") }
    size.pointee = l.checkpointSize
    guard let buffer = buffer_or_null else { return }
    guard unsigned(capacity) >= l.checkpointSize else {
      throw Failure(.argument, "capacity is \(capacity), expected at least \(l.checkpointSize)")
    }
    l.save(to: buffer)
  }
}

@c @implementation
public func eff_learner_restore(_ learner: OpaquePointer?, _ bytes: UnsafeRawPointer?, _ size: Int) -> eff_status {
  report { () throws(Failure) in
    guard let bytes else { throw Failure(.argument, "bytes is NULL") }
    try count(size, atMost: .max, "size")
    try liveLearner(learner).restore(from: bytes, size: size)
  }
}

@c @implementation
public func eff_learner_save_file(_ learner: OpaquePointer?, _ path: UnsafePointer<CChar>?) -> eff_status {
  report { () throws(Failure) in
    guard let path else { throw Failure(.argument, "path is NULL") }
    try liveLearner(learner).save(path: path)
  }
}

@c @implementation
public func eff_learner_restore_file(_ learner: OpaquePointer?, _ path: UnsafePointer<CChar>?) -> eff_status {
  report { () throws(Failure) in
    guard let path else { throw Failure(.argument, "path is NULL") }
    try liveLearner(learner).restore(path: path)
  }
}

@c @implementation
public func eff_learner_describe(
  _ learner: OpaquePointer?, _ index: Int, _ out: UnsafeMutablePointer<eff_learner_tensor>?
) -> eff_status {
  report { () throws(Failure) in
    let all = try liveLearner(learner).tensors()
    guard let out, out.pointee.struct_size >= MemoryLayout<eff_learner_tensor>.size else {
      throw Failure(.argument, "out is NULL or its struct_size is not sizeof(eff_learner_tensor)")
    }
    guard index >= 0, index < all.count else {
      throw Failure(.argument, "array \(unsigned(index)) does not exist; the learner has \(all.count)")
    }
    let tensor = all[index]
    withUnsafeMutableBytes(of: &out.pointee.name) { p in
      for i in 0..<p.count { p[i] = i < tensor.name.count && i + 1 < p.count ? tensor.name[i] : 0 }
    }
    out.pointee.rank = Int32(tensor.shape.count)
    out.pointee.shape = (Int64(tensor.shape[0]), tensor.shape.count > 1 ? Int64(tensor.shape[1]) : 0)
    out.pointee.count = tensor.count
  }
}

/// The array of a name, checked against the caller's count.
private func find(_ l: LearnerHandle, _ name: UnsafePointer<CChar>?, _ count: Int) throws(Failure) -> LearnerTensor {
  guard let name else { throw Failure(.argument, "name is NULL") }
  for tensor in l.tensors() {
    var i = 0
    while i < tensor.name.count && UInt8(bitPattern: name[i]) == tensor.name[i] { i += 1 }
    guard i == tensor.name.count, name[i] == 0 else { continue }
    guard tensor.count == count else {
      throw Failure(.argument, "'" + text(name) + "' has \(tensor.count) elements, not \(unsigned(count))")
    }
    return tensor
  }
  throw Failure(.argument, "the learner has no array '" + text(name) + "'")
}

@c @implementation
public func eff_learner_read(
  _ learner: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ values: UnsafeMutablePointer<Double>?, _ count: Int
) -> eff_status {
  report { () throws(Failure) in
    let l = try liveLearner(learner)
    guard let values else { throw Failure(.argument, "values is NULL") }
    l.visit(try find(l, name, count)) { values[$0] = $1 }
  }
}

@c @implementation
public func eff_learner_write(
  _ learner: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ values: UnsafePointer<Double>?, _ count: Int
) -> eff_status {
  report { () throws(Failure) in
    let l = try liveLearner(learner)
    guard let values else { throw Failure(.argument, "values is NULL") }
    let tensor = try find(l, name, count)
    for i in 0..<count {
      if !values[i].isFinite { throw Failure(.numeric, "element \(i) of '" + text(name!) + "' is not finite") }
    }
    l.visit(tensor) { $1 = values[$0] }
  }
}
