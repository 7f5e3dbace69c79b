import Base
import CEfferent
import Platform
import Runtime

/// A text that C reads, cut to its room with the closing 0; a letter is not cut apart.
private func put(_ text: String, _ to: UnsafeMutableRawPointer, _ size: Int) {
  let bytes = Array(text.utf8)
  var count = min(bytes.count, size - 1)
  while count > 0, count < bytes.count, bytes[count] & 0xC0 == 0x80 { count -= 1 }
  for i in 0..<count { to.storeBytes(of: bytes[i], toByteOffset: i, as: UInt8.self) }
  to.storeBytes(of: 0, toByteOffset: count, as: UInt8.self)
}

private func lines(_ list: [String]) -> String {
  list.isEmpty ? "" : list.dropFirst().reduce(list[0]) { $0 + "\n" + $1 }
}

private func names(_ start: UnsafePointer<UnsafePointer<CChar>?>?, _ n: Int, _ what: String, _ count: String)
  throws(Failure) -> [String]
{
  var out: [String] = []
  for (i, p) in try list(start, n, what, count).enumerated() {
    guard let p else { throw Failure(.argument, "\(what)[\(i)] is NULL") }
    out.append(text(p))
  }
  return out
}

private func pairs(_ list: [String], _ what: String) throws(Failure) -> [(name: String, value: String)] {
  var out: [(name: String, value: String)] = []
  for text in list {
    guard let pair = Recording.pair(text) else {
      throw Failure(.argument, "\(what): found '\(text)', expected NAME=VALUE")
    }
    out.append(pair)
  }
  return out
}

/// Names that arrays of a recording have.
private func isKnown(_ name: String) -> Bool {
  if ["time", "stamp", "mode", "status", "ran", "resets"].contains(name) { return true }
  return ["in.", "obs.", "act.", "out."].contains { Array(name.utf8).starts(with: Array($0.utf8)) }
}

private func read(_ r: eff_recording, _ others: inout [String]) throws(Failure) -> Recording {
  if let path = r.path { return try Recording.load(path: text(path), others: &others) }
  var out = Recording()
  for (i, a) in try list(r.arrays, r.array_count, "arrays", "array_count").enumerated() {
    guard let name = a.name else { throw Failure(.argument, "arrays[\(i)] has no name") }
    let rows = try count(a.rows, atMost: 1 << 32, "arrays.rows")
    let width = try count(a.width, atMost: 1 << 24, "arrays.width")
    guard isKnown(text(name)) else {
      throw Failure(.argument, "array '\(text(name))' is not known: see eff_recorded_array")
    }
    guard rows == 0 || width == 0 || a.values != nil else {
      throw Failure(.argument, "array '\(text(name))': values is NULL")
    }
    let values = a.values ?? UnsafePointer(bitPattern: 8)!
    out.arrays.append(RecordedArray(name: text(name), values: values, rows: rows, width: width))
  }
  out.joints = try names(r.joints, r.joint_count, "joints", "joint_count")
  out.units = try pairs(try names(r.units, r.unit_count, "units", "unit_count"), "units")
  out.policies = try pairs(try names(r.policies, r.policy_count, "policies", "policy_count"), "policies")
  out.controlPeriod = r.control_period == 0 ? nil : r.control_period
  out.policyPeriod = r.policy_period == 0 ? nil : r.policy_period
  guard r.`guard` & ~15 == 0 else { throw Failure(.argument, "guard is \(r.`guard`), expected EFF_GUARD_... flags") }
  out.clamps = r.`guard`
  return out
}

@c @implementation
public func eff_controller_preflight(
  _ controller: OpaquePointer?, _ recording: UnsafePointer<eff_recording>?,
  _ report_or_null: UnsafeMutablePointer<eff_preflight_report>?
) -> eff_status {
  report { () throws(Failure) in
    let c = try liveController(controller)
    guard recording != nil else { throw Failure(.argument, "recording is NULL") }
    let r = try readOptions(recording, eff_recording(), "eff_recording")
    guard r.absolute.isFinite, r.relative.isFinite else {
      throw Failure(.argument, "recording: a tolerance is not finite")
    }
    var options = Preflight.Options()
    if r.absolute != 0 { options.absolute = max(0, r.absolute) }
    if r.relative != 0 { options.relative = max(0, r.relative) }
    options.stopsAtFirst = r.stops_at_first != 0
    if let report_or_null { _ = try sized(report_or_null, "eff_preflight_report") }
    var others: [String] = []
    var found = try c.preflight(try read(r, &others), options)
    for name in others { found.addNote("array '" + name + "' means nothing here and was not read") }
    if let out = report_or_null { store(found, out) }
    guard let first = found.first else { return }
    let path = r.path.map { text($0) + ": " } ?? ""
    throw Failure(.mismatch, "preflight: \(path)\(first.what)")
  }
}

private func store(_ found: Preflight, _ out: UnsafeMutablePointer<eff_preflight_report>) {
  let size = out.pointee.struct_size
  var full = eff_preflight_report()
  if size >= MemoryLayout<eff_preflight_report>.size {
    (full.rows, full.row_capacity) = (out.pointee.rows, out.pointee.row_capacity)
  }
  full.struct_size = size
  full.differs = found.first == nil ? 0 : 1
  full.tick = Int64(found.first?.tick ?? -1)
  (full.found, full.expected) = (found.first?.found ?? .nan, found.first?.expected ?? .nan)
  withUnsafeMutableBytes(of: &full.name) { put(found.first?.name ?? "", $0.baseAddress!, $0.count) }
  withUnsafeMutableBytes(of: &full.what) { put(found.first?.what ?? "", $0.baseAddress!, $0.count) }
  withUnsafeMutableBytes(of: &full.unchecked) { put(lines(found.unchecked), $0.baseAddress!, $0.count) }
  withUnsafeMutableBytes(of: &full.notes) { put(lines(found.notes), $0.baseAddress!, $0.count) }
  full.row_count = found.rows.count
  if let rows = full.rows {
    for (i, row) in found.rows.enumerated() where i < full.row_capacity {
      var r = eff_preflight_row()
      withUnsafeMutableBytes(of: &r.name) { put(row.name, $0.baseAddress!, $0.count) }
      (r.difference, r.found, r.expected) = (row.difference, row.found, row.expected)
      (r.tick, r.is_same) = (Int64(row.tick), row.isSame ? 1 : 0)
      rows[i] = r
    }
  }
  write(full, out, size)
}
