#if Bridge
import Base
import CZeroMQ
import Platform

/// Where the keys of a bridge come from. A key is 40 characters of Z85.
public struct KeyOptions: Sendable {
  /// The bridge's secret key: itself, or a file that `efferent keys new` made.
  public var secret: String?
  public var file: String?
  /// Public keys of plants that may come in: in themselves, and in a file that is read again where it changes.
  public var allowed: [String] = []
  public var allowFile: String?

  public init() {}
}

/// The bridge's own key (CURVE), and the public keys of plants that are let in.
///
/// An allow-list is a text: a line for each plant, NAME and KEY; lines that begin with # and empty ones are passed
/// over. A file of keys must be for its user alone (0600).
final class Keys {
  /// Bytes of a key, and characters of its text.
  static let size = 32
  private static let textSize = 40
  private static let fileLimit = 1 << 16

  /// Text of the bridge's secret key, with a 0 at its end.
  let secretKey: [CChar]
  let fingerprint: String

  private struct Entry {
    let name: String
    let key: [UInt8]
  }
  private let given: [Entry]
  private var read: [Entry] = []
  private let file: String?
  private var stamp: UInt64 = 0

  var count: Int { given.count + read.count }

  init(_ options: KeyOptions) throws(Failure) {
    guard zmq_has("curve") != 0 else {
      throw Failure(
        .unsupported, "keys: this libzmq is built without CURVE (libsodium); Debian and Ubuntu: apt-get install libzmq5"
      )
    }
    var secret = options.secret
    if let path = options.file {
      guard secret == nil else { throw Failure(.argument, "secret_key and key_file are both given, expected one") }
      secret = try Keys.secret(in: path)
    }
    guard let secret else {
      throw Failure(.argument, "keys: no secret_key and no key_file, expected one of them beside the allow-list")
    }
    guard options.allowFile != nil || !options.allowed.isEmpty else {
      throw Failure(
        .argument, "keys: no allow_file and no allowed_keys, expected the public keys of the plants that may come in")
    }
    secretKey = try Keys.checked(secret, "secret_key", isSecret: true)
    var own: [CChar] = Array(repeating: 0, count: Keys.textSize + 1)
    guard zmq_curve_public(&own, secretKey) == 0 else {
      throw Failure(.unsupported, "keys: libzmq makes no public key of the secret one")
    }
    fingerprint = Keys.fingerprint(own)
    var given: [Entry] = []
    for (i, text) in options.allowed.enumerated() {
      given.append(Entry(name: "\(i)", key: Keys.bytes(try Keys.checked(text, "allowed_keys[\(i)]", isSecret: false))))
    }
    self.given = given
    file = options.allowFile
    if let file {
      stamp = file.withCString { eff_file_stamp($0) }
      read = try Keys.entries(in: file)
    }
  }

  /// A new pair of keys as text. Throws `.unsupported` where libzmq has none.
  static func pair() throws(Failure) -> (publicKey: [CChar], secretKey: [CChar]) {
    var publicKey: [CChar] = Array(repeating: 0, count: textSize + 1)
    var secretKey = publicKey
    guard zmq_has("curve") != 0, zmq_curve_keypair(&publicKey, &secretKey) == 0 else {
      throw Failure(.unsupported, "keys: this libzmq is built without CURVE (libsodium)")
    }
    return (publicKey, secretKey)
  }

  /// The name of the plant whose public key that is; nil where it is not allowed.
  func name(of key: UnsafePointer<UInt8>) -> String? {
    for entry in given where eff_equal(entry.key, key, Keys.size) != 0 { return entry.name }
    for entry in read where eff_equal(entry.key, key, Keys.size) != 0 { return entry.name }
    return nil
  }

  /// Reads the file again where it has changed. Whether a key is missing now. A file that cannot be read allows nobody.
  func reload() -> Bool {
    guard let file else { return false }
    let now = file.withCString { eff_file_stamp($0) }
    guard now != stamp else { return false }
    stamp = now
    let before = read
    do {
      read = try Keys.entries(in: file)
      Log.write(.info, "bridge: \(file) has changed: keys of \(count) plants are allowed")
    } catch {
      read = []
      Log.write(.error, "bridge: \(error.message); nobody in it is let in")
    }
    for entry in before where !read.contains(where: { $0.key == entry.key }) { return true }
    return false
  }

  /// The first characters of a public key: enough for a person to compare, and as hard to forge as any 77 bits.
  static func fingerprint(of key: UnsafePointer<UInt8>) -> String {
    var text: [CChar] = Array(repeating: 0, count: textSize + 1)
    zmq_z85_encode(&text, key, size)
    return fingerprint(text)
  }

  private static func fingerprint(_ text: [CChar]) -> String {
    String(decoding: text[..<12].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  // MARK: texts

  /// A key as libzmq takes it. Its text is not repeated where it is secret.
  private static func checked(_ text: String, _ what: String, isSecret: Bool) throws(Failure) -> [CChar] {
    var chars: [CChar] = []
    for byte in text.utf8 { chars.append(CChar(bitPattern: byte)) }
    chars.append(0)
    var bytes: [UInt8] = Array(repeating: 0, count: size)
    guard chars.count == textSize + 1, zmq_z85_decode(&bytes, chars) != nil else {
      let found = isSecret ? "" : " '\(text)'"
      throw Failure(
        .argument, "\(what)\(found) of \(chars.count - 1) characters: not a key, expected 40 characters of Z85")
    }
    return chars
  }

  private static func bytes(_ text: [CChar]) -> [UInt8] {
    var bytes: [UInt8] = Array(repeating: 0, count: size)
    zmq_z85_decode(&bytes, text)
    return bytes
  }

  /// The lines of a file that is for its user alone, as words.
  private static func lines(in path: String) throws(Failure) -> [(number: Int, words: [String])] {
    var memory = [UInt8](repeating: 0, count: fileLimit)
    let count = path.withCString { p in
      memory.withUnsafeMutableBytes { eff_read_private(p, $0.baseAddress!, fileLimit) }
    }
    switch count {
    case -Int64(EPERM):
      throw Failure(
        .io, "'\(path)': others may read or write it, or it is not this user's; expected mode 0600 (chmod 600)")
    case -Int64(EINVAL): throw Failure(.io, "'\(path)': not a file")
    case ..<0: throw Failure(.io, "'\(path)': \(String(cString: eff_error_text(Int32(-count))))")
    case (Int64(fileLimit) + 1)...:
      throw Failure(.format, "'\(path)' has \(count) bytes, expected at most \(fileLimit)")
    default: break
    }
    var lines: [(number: Int, words: [String])] = []
    for (i, line) in memory[..<Int(count)].split(separator: 10, omittingEmptySubsequences: false).enumerated()
    where line.first != UInt8(ascii: "#") {
      let words = line.split { $0 == 32 || $0 == 9 || $0 == 13 }
      if !words.isEmpty { lines.append((i + 1, words.map { String(decoding: $0, as: UTF8.self) })) }
    }
    return lines
  }

  /// The secret key in a file with the lines `public KEY` and `secret KEY`.
  private static func secret(in path: String) throws(Failure) -> String {
    for (_, words) in try lines(in: path) where words.count == 2 && words[0].utf8.elementsEqual("secret".utf8) {
      _ = try checked(words[1], "'\(path)': secret", isSecret: true)
      return words[1]
    }
    throw Failure(.format, "'\(path)': no line 'secret KEY', expected a file that 'efferent keys new' made")
  }

  private static func entries(in path: String) throws(Failure) -> [Entry] {
    var entries: [Entry] = []
    for (number, words) in try lines(in: path) {
      guard words.count == 2 else {
        throw Failure(.format, "'\(path)' line \(number): \(words.count) words, expected NAME KEY")
      }
      entries.append(
        Entry(name: words[0], key: bytes(try checked(words[1], "'\(path)' line \(number): key", isSecret: false))))
    }
    return entries
  }
}

/// Keys without a bridge: texts of 40 characters and a 0.
public enum KeyPair {
  /// A new pair. Throws `.unsupported` where there is no libzmq, or it is built without CURVE.
  public static func make() throws(Failure) -> (publicKey: [CChar], secretKey: [CChar]) {
    try Router.openLibrary(hasContext: false)
    return try Keys.pair()
  }
}
#endif
