import Base
import CEfferent
import Card
import Handles
import Platform
import Runtime

/// A card with the texts that C reads.
final class LoadedCard {
  let card: Card
  let json: CText
  let questions: [CText]
  let answers: [CText]
  let recordings: [CText]

  init(_ card: Card) {
    self.card = card
    json = CText(JsonWriter.text(card.json))
    let asked = card.questions
    questions = asked.map { CText($0) }
    answers = asked.map { CText(Card.answer(to: $0)) }
    recordings = card.recordings.map { CText($0) }
  }
}

/// The card behind a handle, or nil where it is NULL, dead or foreign.
private func loaded(_ p: OpaquePointer?) -> LoadedCard? {
  guard let object = eff_handle_find(UInt(bitPattern: p), Int32(EFF_HANDLE_CARD)) else { return nil }
  return Unmanaged<LoadedCard>.fromOpaque(object).takeUnretainedValue()
}

/// The card of an argument.
func card(_ p: OpaquePointer?) throws(Failure) -> Card {
  guard let loaded = loaded(p) else { throw refusal(p, "card", "eff_card") }
  return loaded.card
}

private func publish(_ card: Card) throws(Failure) -> OpaquePointer {
  let object = Unmanaged.passRetained(LoadedCard(card))
  return try handle(object.toOpaque(), EFF_HANDLE_CARD, orFree: { object.release() })
}

@c @implementation
public func eff_card_options_default(_ options: UnsafeMutablePointer<eff_card_options>?, _ struct_size: Int) {
  guard let options, struct_size >= MemoryLayout<Int>.size else { return }
  var defaults = eff_card_options()
  defaults.struct_size = struct_size
  write(defaults, options, struct_size)
}

/// The answers of the options.
private func supplied(_ o: eff_card_options) throws(Failure) -> Json? {
  guard let start = o.supplied else { return nil }
  return try JsonReader.read(
    UnsafeRawPointer(start), 0..<strlen(start), what: "supplied", budget: MemoryBudget(limit: 1 << 28),
    acceptsNonFinite: true)
}

@c @implementation
public func eff_card_load_file(
  _ path: UnsafePointer<CChar>?, _ options_or_null: UnsafePointer<eff_card_options>?,
  _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> eff_status {
  report { () throws(Failure) in
    let out = try cleared(out)
    guard let path else { throw Failure(.argument, "path is NULL") }
    let o = try readOptions(options_or_null, eff_card_options(), "eff_card_options")
    out.pointee = try publish(try Card.load(path: text(path), supplied: try supplied(o)))
  }
}

@c @implementation
public func eff_card_load_memory(
  _ bytes: UnsafeRawPointer?, _ size: Int, _ options_or_null: UnsafePointer<eff_card_options>?,
  _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> eff_status {
  report { () throws(Failure) in
    let out = try cleared(out)
    guard let bytes else { throw Failure(.argument, "bytes is NULL") }
    try count(size, atMost: 1 << 40, "size")
    let o = try readOptions(options_or_null, eff_card_options(), "eff_card_options")
    out.pointee = try publish(
      try Card.load(Bytes.borrowed(bytes, size), name: o.name.map { text($0) } ?? "card", supplied: try supplied(o)))
  }
}

@c @implementation
public func eff_card_json(_ card: OpaquePointer?) -> UnsafePointer<CChar>? {
  loaded(card).map { UnsafePointer($0.json.start) }
}

@c @implementation
public func eff_card_question_count(_ card: OpaquePointer?) -> Int { loaded(card)?.questions.count ?? 0 }

@c @implementation
public func eff_card_question(_ card: OpaquePointer?, _ index: Int) -> UnsafePointer<CChar>? {
  guard let c = loaded(card), index >= 0, index < c.questions.count else { return nil }
  return UnsafePointer(c.questions[index].start)
}

@c @implementation
public func eff_card_answer(_ card: OpaquePointer?, _ index: Int) -> UnsafePointer<CChar>? {
  guard let c = loaded(card), index >= 0, index < c.answers.count else { return nil }
  return UnsafePointer(c.answers[index].start)
}

@c @implementation
public func eff_card_recording(_ card: OpaquePointer?, _ index: Int) -> UnsafePointer<CChar>? {
  guard let c = loaded(card), index >= 0, index < c.recordings.count else { return nil }
  return UnsafePointer(c.recordings[index].start)
}

@c @implementation
public func eff_card_retain(_ card: OpaquePointer?) -> OpaquePointer? {
  eff_handle_retain(UInt(bitPattern: card), Int32(EFF_HANDLE_CARD)) != 0 ? card : nil
}

@c @implementation
public func eff_card_release(_ card: OpaquePointer?) {
  if let object = released(card, EFF_HANDLE_CARD) { Unmanaged<LoadedCard>.fromOpaque(object).release() }
}
