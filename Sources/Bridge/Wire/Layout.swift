#if Bridge
import Base

/// Where the arrays stand in the STEP and ACT frames of one bridge session: after the header, each at a multiple of 64
/// bytes, in graph order.
struct Layout {
  static let alignment = 64
  /// Longest frame of arrays.
  static let frameLimit = 1 << 30

  /// One array of a frame, `[rows, count]`.
  struct Slot {
    let tensor: Target.Tensor
    /// Index of the input or output that it is.
    let index: Int
    /// Bytes from the start of the frame.
    let offset: Int
    /// Bytes of all rows.
    let size: Int
  }

  let rows: Int
  /// The observation inputs.
  let inputs: [Slot]
  /// The action outputs, and the aux outputs where the plant asked for them.
  let outputs: [Slot]
  /// Bytes of a whole STEP and ACT frame.
  let stepSize, actSize: Int
  /// The MessagePack bytes that WELCOME carries as `layout`.
  let encoded: [UInt8]
  /// FNV-1a of `encoded`: the schema hash of every frame.
  let schema: UInt64

  /// Lays out `rows` rows. Throws `.unsupported` where a frame would be over the limit.
  init(_ target: Target, rows: Int, aux: Bool) throws(Failure) {
    self.rows = rows
    (inputs, stepSize) = try Layout.place(target.inputs, rows: rows, "STEP") { $0 == .observation }
    (outputs, actSize) = try Layout.place(target.outputs, rows: rows, "ACT") { $0 == .action || aux && $0 == .aux }
    var writer = MessagePackWriter()
    writer.map(5)
    writer.word("rows")
    writer.size(rows)
    writer.word("step_size")
    writer.size(stepSize)
    writer.word("act_size")
    writer.size(actSize)
    writer.word("inputs")
    Layout.describe(inputs, to: &writer)
    writer.word("outputs")
    Layout.describe(outputs, to: &writer)
    encoded = writer.bytes
    schema = Fnv1a.of(encoded)
  }

  private static func place(
    _ tensors: [Target.Tensor], rows: Int, _ frame: StaticString, where wanted: (Target.Role) -> Bool
  ) throws(Failure) -> ([Slot], Int) {
    var slots: [Slot] = []
    var end = FrameHeader.size
    for (index, tensor) in tensors.enumerated() where wanted(tensor.role) {
      let offset = (end + alignment - 1) / alignment * alignment
      let (size, overflow) = tensor.size.multipliedReportingOverflow(by: rows)
      guard !overflow, size <= frameLimit - offset else {
        throw Failure(
          .unsupported,
          """
          '\(tensor.name)': \(rows) rows of \(tensor.size) bytes in one \(frame) frame, expected at most \
          \(frameLimit) bytes in all
          """
        )
      }
      slots.append(Slot(tensor: tensor, index: index, offset: offset, size: size))
      end = offset + size
    }
    return (slots, end)
  }

  private static func describe(_ slots: [Slot], to writer: inout MessagePackWriter) {
    writer.array(slots.count)
    for slot in slots {
      let (unit, elements) = (slot.tensor.unit, slot.tensor.elements)
      writer.map(5 + (unit.isEmpty ? 0 : 1) + (elements.isEmpty ? 0 : 1))
      writer.word("name")
      writer.string(slot.tensor.name)
      writer.word("role")
      writer.word(slot.tensor.role.name)
      writer.word("dtype")
      writer.word(typeName(slot.tensor.dtype))
      writer.word("shape")
      writer.array(slot.tensor.shape.count)
      for dimension in slot.tensor.shape { writer.size(dimension) }
      writer.word("offset")
      writer.size(slot.offset)
      if !unit.isEmpty {
        writer.word("unit")
        writer.string(unit)
      }
      if !elements.isEmpty {
        writer.word("elements")
        writer.names(elements)
      }
    }
  }
}
#endif
