import Base
import Onnx

extension Card {
  /// Loads a card from a file: JSON, or an ONNX file whose metadata are of a known convention. `supplied` answers what
  /// the file does not say.
  @export(interface)
  public static func load(path: String, supplied: Json? = nil) throws(Failure) -> Card {
    var card = try load(try Bytes.file(path, name: path), name: fileName(path), supplied: supplied)
    let folder = Array(path.utf8.dropLast(fileName(path).utf8.count))
    card.recordings = card.recordings.map {
      Array($0.utf8).first == UInt8(ascii: "/") ? $0 : String(decoding: folder, as: UTF8.self) + $0
    }
    return card
  }

  /// The same from bytes in memory; `name` is what messages call the file.
  @export(interface)
  public static func load(_ bytes: Bytes, name: String, supplied: Json? = nil) throws(Failure) -> Card {
    let answers = try Supplied(supplied ?? .object([]))
    do {
      var json: Json
      if isText(bytes) {
        json = try JsonReader.read(
          bytes.start, 0..<bytes.count, what: "the file", budget: MemoryBudget(limit: memoryLimit),
          acceptsNonFinite: true)
        try answers.refuse(allBut: "patch", "a card")
      } else {
        let model = try OnnxReader.read(bytes, memoryLimit: 1 << 32)
        json = try Importer(model: model, supplied: answers).json()
      }
      if let patch = answers.patch { json = json.merged(with: patch) }
      return try CardReader.read(json)
    } catch {
      throw name.isEmpty ? error : error.within(name)
    }
  }

  private static func isText(_ bytes: Bytes) -> Bool {
    for i in 0..<bytes.count {
      let b = bytes.start.load(fromByteOffset: i, as: UInt8.self)
      if b == 0x20 || b == 0x0A || b == 0x0D || b == 0x09 { continue }
      return b == UInt8(ascii: "{") || b == UInt8(ascii: "[")
    }
    return true
  }

  private static func fileName(_ path: String) -> String {
    let bytes = Array(path.utf8)
    guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return path }
    return String(decoding: bytes[(slash + 1)...], as: UTF8.self)
  }
}

/// Makes the JSON of a card from the metadata of an ONNX file. Which convention it follows is seen by its keys.
struct Importer {
  let model: OnnxModel
  let supplied: Supplied

  func json() throws(Failure) -> Json {
    if isExploy { return try exploy() }
    if metadata("dof_names") != nil && metadata("kp") != nil { return try holosoma() }
    if metadata("joint_names") != nil || metadata("observation_names") != nil || metadata("joint_stiffness") != nil {
      return try csv()
    }
    return try bare()
  }

  // MARK: what the file has

  func metadata(_ key: String) -> String? {
    for e in model.metadata where e.key == key { return e.value }
    return nil
  }

  /// The JSON value in a metadata entry.
  func object(_ key: String, _ text: String) throws(Failure) -> Json {
    guard !text.isEmpty else { throw Failure(.format, "\(key): the text is empty, expected JSON") }
    let bytes = try Bytes.text(text)
    return try JsonReader.read(
      bytes.start, 0..<bytes.count, what: "the metadata \(key)", budget: MemoryBudget(limit: Card.memoryLimit),
      acceptsNonFinite: true)
  }

  /// Static sizes of a tensor; nil where one is open.
  func shape(_ value: OnnxValue) -> [Int]? {
    guard let dims = value.dims else { return nil }
    var out: [Int] = []
    for d in dims {
      guard case .size(let n) = d, n >= 0, n <= 1 << 40 else { return nil }
      out.append(Int(n))
    }
    return out
  }

  /// Elements of one row: the product of all sizes behind the first, which may be open (the batch); nil where another
  /// one is.
  func width(_ value: OnnxValue) -> Int? {
    guard let dims = value.dims else { return nil }
    var out = 1
    for (i, d) in dims.enumerated() {
      guard case .size(let n) = d, n >= 0 else {
        if i == 0, dims.count > 1 { continue }
        return nil
      }
      let (product, overflow) = out.multipliedReportingOverflow(by: Int(n))
      if overflow { return nil }
      out = product
    }
    return out
  }

  func input(_ name: String) -> OnnxValue? { inputs.first { $0.name == name } }
  func output(_ name: String) -> OnnxValue? { model.graph.outputs.first { $0.name == name } }

  /// Inputs that the caller feeds: initializers may be listed as inputs, too.
  var inputs: [OnnxValue] {
    model.graph.inputs.filter { i in !model.graph.initializers.contains { $0.name == i.name } }
  }

  // MARK: lists in text

  /// "a,b,c" as names.
  func names(_ key: String, _ text: String) throws(Failure) -> [String] {
    let out = splitCommas(text)
    var seen: Set<String> = []
    for (i, name) in out.enumerated() {
      guard !name.isEmpty else { throw Failure(.format, "\(key): name \(i + 1) of \(out.count) is empty") }
      guard seen.insert(name).inserted else { throw Failure(.format, "\(key): the name '\(name)' is there twice") }
    }
    return out
  }

  func numbers(_ key: String, _ text: String) throws(Failure) -> [Double] {
    var out: [Double] = []
    for (i, item) in splitCommas(text).enumerated() { out.append(try number("\(key)[\(i)]", item)) }
    return out
  }

  func number(_ key: String, _ text: String) throws(Failure) -> Double {
    guard let value = decimal(text) else { throw Failure(.format, "\(key): found '\(text)', expected a finite number") }
    return value
  }

  /// A number per joint, or nil without the key.
  func numbers(_ key: String, joints: [String]) throws(Failure) -> [Double]? {
    guard let text = metadata(key) else { return nil }
    let out = try numbers(key, text)
    guard out.count == joints.count else {
      throw Failure(.format, "\(key): found \(out.count) numbers, expected \(joints.count), one per joint")
    }
    return out
  }

  func strings(_ json: Json, _ path: String) throws(Failure) -> [String] {
    let out = try Fields.strings(json, path)
    var seen: Set<String> = []
    for name in out {
      guard seen.insert(name).inserted else { throw Failure(.format, "\(path): the name '\(name)' is there twice") }
    }
    return out
  }

  func doubles(_ json: Json, _ path: String, count: Int) throws(Failure) -> [Double] {
    guard case .array(let items) = json else {
      throw Failure(.format, "\(path): found \(json.kind), expected a list of \(count) numbers")
    }
    guard items.count == count else {
      throw Failure(.format, "\(path): found \(items.count) numbers, expected \(count), one per joint")
    }
    var out: [Double] = []
    for (i, item) in items.enumerated() { out.append(try Fields.number(item, "\(path)[\(i)]")) }
    return out
  }

  // MARK: parts of the card

  /// The first keys of every card.
  func start(_ convention: String) -> JsonObject {
    var card = JsonObject()
    card.set("efferent_card", 1)
    card.set("convention", convention)
    card.set("robot", .null)
    card.set("policy_period", .null)
    card.set("control_period", .null)
    return card
  }

  var velocityFields: [String] { ["lin_vel_x", "lin_vel_y", "ang_vel_z"] }

  /// A command (vx, vy, wz) in m/s, m/s, rad/s.
  func velocityCommand(range: Json) -> Json {
    var c = JsonObject()
    c.set("signal", "command.velocity")
    c.set("fields", velocityFields)
    c.set("units", ["m/s", "m/s", "rad/s"])
    c.set("range", range)
    c.set("clamp", .bool(false))
    return c.value
  }

  /// A command of other fields, whose units and range the file may not say.
  func command(_ name: String, fields: [String], units: Json = .null, range: Json = .null) -> Json {
    var c = JsonObject()
    c.set("signal", "command." + name)
    c.set("fields", fields)
    c.set("units", units)
    c.set("range", range)
    c.set("clamp", .bool(false))
    return c.value
  }

  var poseFields: [String] { ["x", "y", "z", "qw", "qx", "qy", "qz"] }

  /// {key: value}
  func pair(_ key: String, _ value: String) -> Json {
    var o = JsonObject()
    o.set(key, value)
    return o.value
  }

  /// Recurrent state by rsl_rl's names: X_in and X_out of one shape, both with the memory X.
  func recurrent() -> [(name: String, input: OnnxValue, output: OnnxValue)] {
    var out: [(name: String, input: OnnxValue, output: OnnxValue)] = []
    for i in inputs where i.name.ends(with: "_in") {
      let stem = i.name.without(first: 0, last: 3)
      guard !stem.isEmpty, let o = output(stem + "_out") else { continue }
      if let a = shape(i), let b = shape(o), a != b { continue }
      out.append((stem, i, o))
    }
    return out
  }

  /// A memory of the shape and type of an input. An open leading size is one row.
  func memory(_ value: OnnxValue) throws(Failure) -> Json {
    var m = JsonObject()
    var dims: [Json] = []
    for d in value.dims ?? [] {
      switch d {
      case .size(let n): dims.append(.number(Double(n)))
      case .symbol, .unknown: dims.append(.number(1))
      }
    }
    guard value.dims != nil else {
      throw Failure(.shape, "\(value.name): the file states no shape, a memory needs one")
    }
    m.set("shape", .array(dims))
    let type: String
    switch ElementType(rawValue: value.type) {
    case .f32?: type = "f32"
    case .f64?: type = "f64"
    case .i32?: type = "i32"
    case .i64?: type = "i64"
    case .bool?: type = "bool"
    default: throw Failure(.unsupported, "\(value.name): a memory of element type \(value.type) is not known")
    }
    m.set("dtype", type)
    m.set("init", 0)
    return m.value
  }

  /// supplied.limits on the joints of a card.
  func applyLimits(_ joints: inout JsonObject) throws(Failure) {
    for m in try supplied.fields.named("limits") {
      guard let known = joints[m.key] else {
        throw Failure(
          .mismatch,
          "supplied.limits.\(m.key): the card has no such joint\(suggestion(m.key, joints.members.map { $0.key }))")
      }
      let f = try Fields(m.value, "supplied.limits." + m.key, keys: "lower upper velocity effort")
      var change = JsonObject()
      for (key, name) in [
        ("lower", "lower"), ("upper", "upper"), ("velocity", "velocity_limit"), ("effort", "effort_limit"),
      ] {
        if let v = try f.number(key) { change.set(name, .number(v)) }
      }
      joints.set(m.key, known.merged(with: change.value))
    }
  }

  func splitCommas(_ text: String) -> [String] {
    var out: [String] = []
    var item: [UInt8] = []
    func end() {
      while let b = item.last, b == 0x20 || b == 0x0A || b == 0x0D || b == 0x09 { item.removeLast() }
      out.append(String(decoding: item, as: UTF8.self))
      item.removeAll(keepingCapacity: true)
    }
    for b in text.utf8 {
      if b == UInt8(ascii: ",") {
        end()
      } else if !item.isEmpty || (b != 0x20 && b != 0x0A && b != 0x0D && b != 0x09) {
        item.append(b)
      }
    }
    end()
    return out
  }
}
