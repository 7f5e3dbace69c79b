import Card

/// What an element of a tensor or of a target is called: the term, the action or the joint that it belongs to.
struct PreflightWords {
  let card: Card
  let joints: [String]

  private struct Cell {
    var term: Card.Term
    var value: Int
    var age: Int
  }

  /// Elements of a channel under the names of what they belong to: terms where a vector fills it.
  func parts(_ key: String, _ width: Int) -> [(name: String, elements: [Int])] {
    guard width > 0 else { return [] }
    guard let cells = vector(key).map({ cells($0) }), cells.count == width else { return [(key, Array(0..<width))] }
    var out: [(name: String, elements: [Int])] = []
    for (i, cell) in cells.enumerated() {
      let name = key + " " + cell.term.name
      if let place = out.firstIndex(where: { $0.name == name }) {
        out[place].elements.append(i)
      } else {
        out.append((name, [i]))
      }
    }
    return out
  }

  /// Words for element `index` of obs.MODEL.TENSOR, act.MODEL.TENSOR or out.TARGET.
  func element(_ key: String, _ index: Int) -> String {
    let name = String(decoding: Array(key.utf8).dropFirst(4), as: UTF8.self)
    if Recording.suffix(key, after: "out.") != nil { return "target '" + name + "' of joint '" + joints[index] + "'" }
    if Recording.suffix(key, after: "obs.") != nil {
      if let v = vector(key) {
        let cells = cells(v)
        guard index < cells.count else { return "vector '" + v.name + "', value " + String(index) + "," }
        let c = cells[index]
        return "vector '" + v.name + "', term '" + c.term.name + "', value " + String(c.value) + label(c.term, c.value)
          + ", age " + String(c.age) + ","
      }
      return "input '" + name + "', element " + String(index) + ","
    }
    for a in card.actions where a.model + "." + a.output == name {
      for (place, i) in a.index.enumerated() where i == index && place < a.joints.count {
        return "output '" + name + "' for joint '" + a.joints[place] + "'"
      }
    }
    return "output '" + name + "', element " + String(index) + ","
  }

  /// The vector that fills the network input of obs.MODEL.TENSOR.
  private func vector(_ key: String) -> Card.Vector? {
    guard let name = Recording.suffix(key, after: "obs.") else { return nil }
    for m in card.models {
      for input in m.inputs where m.name + "." + input.tensor == name {
        guard case .vector(let v) = input.source else { continue }
        for vector in card.vectors where vector.name == v { return vector }
      }
    }
    return nil
  }

  /// Every element of a vector, in its order.
  private func cells(_ v: Card.Vector) -> [Cell] {
    var out: [Cell] = []
    if v.layout == .timeMajor {
      for p in 0..<(v.terms.first?.ages.count ?? 0) {
        for t in v.terms where p < t.ages.count {
          for i in 0..<t.size { out.append(Cell(term: t, value: i, age: t.ages[p])) }
        }
      }
    } else {
      for t in v.terms { for age in t.ages { for i in 0..<t.size { out.append(Cell(term: t, value: i, age: age)) } } }
    }
    return out
  }

  /// " (joint 'knee')", " (lin_vel_x)", " (y)" of a value of a term, where it has one.
  private func label(_ t: Card.Term, _ i: Int) -> String {
    switch t.operation {
    case .jointPosition, .jointVelocity, .jointEffort, .lastAction, .previousTarget:
      let names = t.joints.isEmpty ? card.jointOrder : t.joints
      return i < names.count && names.count == t.size ? " (joint '" + names[i] + "')" : ""
    case .command:
      let fields = t.fields.isEmpty ? card.commands.first { $0.name == t.command }?.fields ?? [] : t.fields
      return i < fields.count ? " (" + fields[i] + ")" : ""
    case .baseLinearVelocity, .baseAngularVelocity, .projectedGravity, .baseEulerXyz, .baseHeight:
      return t.size == 3 ? " (" + ["x", "y", "z"][i] + ")" : ""
    default: return ""
    }
  }

  /// 16 digits.
  static func hexadecimal(_ x: UInt64) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: (0..<16).map { digits[Int((x >> UInt64(4 * (15 - $0))) & 15)] }, as: UTF8.self)
  }
}
