import Base
import Onnx
import Platform

/// A checkpoint: header and a copy of the persistent part of a learner's arena, in the machine's (little-endian) byte
/// order.
struct CheckpointHeader {
  static let magic: UInt64 = 0x4E52_4145_4C46_4645  // "EFFLEARN"
  static let version: UInt64 = 4

  var magic = CheckpointHeader.magic
  var version = CheckpointHeader.version
  /// Hash of the fields: names, types, places, and the options that decide them.
  var layout: UInt64
  /// Bytes after the header.
  var size: UInt64
  /// XXH64 of the bytes after the header.
  var checksum: UInt64

  static let bytes = 40

  static func checksum(_ p: UnsafeRawPointer, _ count: Int) -> UInt64 { XxHash64.of(p, count) }
}

extension LearnerHandle {
  /// Bytes of a checkpoint. Depends on the options alone.
  public var checkpointSize: Int { CheckpointHeader.bytes + core.pointee.stateSize }

  /// Writes a checkpoint of `checkpointSize` bytes to `out`.
  @export(interface)
  public func save(to out: UnsafeMutableRawPointer) {
    let payload = UnsafeRawPointer(core.pointee.state)
    let header = CheckpointHeader(
      layout: fieldHash(), size: UInt64(core.pointee.stateSize),
      checksum: CheckpointHeader.checksum(payload, core.pointee.stateSize))
    withUnsafeBytes(of: header) { eff_copy(out, $0.baseAddress!, CheckpointHeader.bytes) }
    eff_copy(out + CheckpointHeader.bytes, payload, core.pointee.stateSize)
  }

  /// Continues, bit for bit, where the learner that wrote `bytes` was. Changes nothing where it throws: `.format` for
  /// bytes that are damaged or no checkpoint, `.unsupported` for another version, `.mismatch` for a learner of another
  /// shape.
  @export(interface)
  public func restore(from bytes: UnsafeRawPointer, size: Int) throws(Failure) {
    guard size >= CheckpointHeader.bytes else {
      throw Failure(.format, "checkpoint has \(size) bytes, expected at least \(CheckpointHeader.bytes)")
    }
    func field(_ i: Int) -> UInt64 { bytes.loadUnaligned(fromByteOffset: 8 * i, as: UInt64.self) }
    guard field(0) == CheckpointHeader.magic else {
      throw Failure(.format, "these bytes are not a learner's checkpoint")
    }
    if field(1) < CheckpointHeader.version {
      throw Failure(
        .unsupported,
        """
        checkpoint has version \(field(1)), which does not say its fields, expected \(CheckpointHeader.version): \
        restore it with the version of Efferent that wrote it, export its policy there (eff_learner_export) and learn \
        from that
        """)
    }
    guard field(1) == CheckpointHeader.version else {
      throw Failure(.unsupported, "checkpoint has version \(field(1)), expected \(CheckpointHeader.version)")
    }
    guard field(2) == fieldHash(), field(3) == UInt64(core.pointee.stateSize) else {
      throw Failure(
        .mismatch,
        """
        checkpoint belongs to a learner with another algorithm, optimizer, type, size or number of snapshots, or to a \
        version of Efferent whose learners have other fields
        """)
    }
    guard size == checkpointSize else {
      throw Failure(.format, "checkpoint has \(size) bytes, expected \(checkpointSize)")
    }
    let payload = bytes + CheckpointHeader.bytes
    guard field(4) == CheckpointHeader.checksum(payload, core.pointee.stateSize) else {
      throw Failure(.format, "checkpoint is damaged: the checksum does not fit")
    }
    eff_copy(core.pointee.state, payload, core.pointee.stateSize)
    // activations are not saved; they follow from state and weights
    core.pointee.state.pointee.isForwarded = false
    // a checksum keeps out damage, not intent: what indexes memory is brought into range
    func within(_ index: Int32, _ first: Int32, _ last: Int) -> Int32 {
      max(first, min(index, Int32(truncatingIfNeeded: last)))
    }
    let state = core.pointee.state
    state.pointee.choice = within(state.pointee.choice, 0, core.pointee.settings.actionCount - 1)
    let lastSlot = core.pointee.watch.snapshots == 0 ? -1 : core.pointee.watch.snapshots
    state.pointee.watch.candidate = within(state.pointee.watch.candidate, -1, lastSlot)
    state.pointee.watch.base = within(state.pointee.watch.base, -1, lastSlot)
    state.pointee.change.bound(observations: core.pointee.watch.changeObservations)
  }

  /// Writes a checkpoint file that is either the old or the new one whenever the process or the machine stops.
  @export(interface)
  public func save(path: UnsafePointer<CChar>) throws(Failure) {
    guard let block = eff_alloc(checkpointSize, 64) else {
      throw Failure(.memory, "no memory for a checkpoint of \(checkpointSize) bytes")
    }
    defer { eff_free(block) }
    save(to: block)
    let code = eff_write_atomically(path, block, checkpointSize)
    if code != 0 { throw Failure(.io, String(cString: path) + ": " + String(cString: eff_error_text(-code))) }
  }

  /// Restores from a file written by `save(path:)`.
  @export(interface)
  public func restore(path: UnsafePointer<CChar>) throws(Failure) {
    let name = String(cString: path)
    let bytes = try Bytes.file(name, name: name, limit: max(checkpointSize, 1 << 20))
    do { try restore(from: bytes.start, size: bytes.count) } catch { throw error.within(name) }
  }
}
