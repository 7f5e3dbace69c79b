import Base

/// The files beside a model that hold elements of its tensors: each is read once, whole, into memory that no file
/// changes.
public final class ExternalFiles {
  /// Where files are looked for, in order. A file may lie in any of them, and nowhere else.
  private var folders: [String]
  /// The model whose real folder is one of them, until a file is looked for: most models need none.
  private var model: String?
  private let limit: Int
  /// In order of their first use.
  public private(set) var found: [(location: String, bytes: Bytes)] = []

  /// `limit` bounds the bytes of each file.
  public init(folders: [String], limit: Int) {
    self.folders = folders
    self.limit = limit
  }

  /// Beside a model: in the folder that its path names and, where the path is a link, in the folder of the real file.
  /// So the links of a model cache and of an installation made of links are followed.
  public convenience init(besides path: String, limit: Int) {
    self.init(folders: [], limit: limit)
    model = path
  }

  /// The folder of a file.
  static func folder(_ path: String) -> String {
    var end = 0
    let bytes = Array(path.utf8)
    for (i, b) in bytes.enumerated() where b == UInt8(ascii: "/") { end = i + 1 }
    return end == 0 ? "." : String(decoding: bytes[..<end], as: UTF8.self)
  }

  func open(_ location: String, _ what: String) throws(Failure) -> Bytes {
    for file in found where sameBytes(file.location, location) { return file.bytes }
    let file = try Bytes.file(try resolve(location, what), name: "external data '\(location)'", limit: limit)
    found.append((location, file))
    return file
  }

  /// Reads every file that a model names and that is there, so that nothing of it is looked for later.
  public func readAll(of model: OnnxModel) { readAll(of: model.graph) }

  private func readAll(of graph: OnnxGraph) {
    for tensor in graph.initializers { read(tensor) }
    for node in graph.nodes {
      for attribute in node.attributes {
        for tensor in attribute.tensors { read(tensor) }
        for graph in attribute.graphs { readAll(of: graph) }
      }
    }
  }

  private func read(_ tensor: OnnxTensor) {
    for entry in tensor.external where entry.key == "location" {
      // one that is missing is told to who needs it
      do { _ = try open(entry.value, "tensor") } catch {}
    }
  }

  /// The real path of a file that the model names.
  private func resolve(_ location: String, _ what: String) throws(Failure) -> String {
    let refused = "\(what): external data '\(location)' is outside the model's folder"
    guard ExternalFiles.isRelative(location) else {
      throw Failure(.format, "\(refused); expected a relative path inside it")
    }
    if let path = model {
      folders = [ExternalFiles.folder(path)]
      if let real = realPath(path) { folders.append(ExternalFiles.folder(real)) }
      model = nil
    }
    var roots: [String] = []
    for folder in folders {
      guard let root = realPath(folder) else {
        throw Failure(.io, "\(what): the folder '\(folder)' of its external data does not exist")
      }
      if !roots.contains(where: { sameBytes($0, root) }) { roots.append(root) }
    }
    var outside: String? = nil
    for root in roots {
      guard let resolved = realPath(root + "/" + location) else { continue }
      for folder in roots where ExternalFiles.isInside(resolved, folder) { return resolved }
      outside = resolved
    }
    if let outside {
      throw Failure(.format, "\(refused): it is a link to '\(outside)'; expected a file inside '\(roots[0])'")
    }
    var places = "'\(roots[0])'"
    for root in roots.dropFirst() { places += " or '\(root)'" }
    throw Failure(
      .io,
      """
      \(what): its external data file '\(location)' is missing beside the model in \(places); copy it there, or save \
      the model with its weights inline
      """
    )
  }

  /// Neither absolute nor leading upwards.
  private static func isRelative(_ location: String) -> Bool {
    if location.utf8.isEmpty || location.utf8.first == UInt8(ascii: "/") { return false }
    var dots = 0
    var others = 0
    for byte in Array(location.utf8) + [UInt8(ascii: "/")] {
      switch byte {
      case 0: return false
      case UInt8(ascii: "/"):
        if dots == 2 && others == 0 { return false }
        (dots, others) = (0, 0)
      case UInt8(ascii: "."): dots += 1
      default: others += 1
      }
    }
    return true
  }

  private static func isInside(_ path: String, _ folder: String) -> Bool {
    let path = Array(path.utf8)
    let prefix = Array(folder.utf8) + (folder.utf8.count == 1 ? [] : [UInt8(ascii: "/")])
    return path.count > prefix.count && path.starts(with: prefix)
  }
}

private func sameBytes(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }
