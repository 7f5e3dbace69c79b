#if Bridge
import Platform

/// The counters of a bridge: written by the thread that polls, read by any. They stand in the order of
/// `eff_bridge_stats`, after its size and ids.
public final class Stats {
  /// Where each counter is.
  enum Word: Int {
    case connected = 0, hellos, resets, steps, rows, byes, idles, bytesIn, bytesOut, drops
    /// 16 words, by reason.
    case dropped
    case unsent = 26
    /// Durations: 36 words each.
    case tick = 27, run = 63, age = 99
    case retries = 135
    /// Connections: standing, accepted, and ended by the bridge or by ZeroMQ.
    case peers = 136, peersAccepted, peersRefused, peersCut
    /// Connections without a right key.
    case peersDenied = 140
    /// Times that nobody new was heard for a while.
    case deafenings = 141
  }
  public static let count = 142
  private static let bins = 32

  private let words: UnsafeMutablePointer<UInt64>
  /// Session and episode as one word, so that they are read together.
  private let ids: UnsafeMutablePointer<UInt64>

  init() {
    words = .allocate(capacity: Stats.count + 1)
    words.initialize(repeating: 0, count: Stats.count + 1)
    ids = words + Stats.count
  }

  func identify(session: UInt32, episode: UInt32) { eff_counter_store(ids, UInt64(session) | UInt64(episode) << 32) }

  /// Number and episode of the last bridge session; 0 before the first.
  public var identity: (session: UInt32, episode: UInt32) {
    let word = eff_counter_load(ids)
    return (UInt32(truncatingIfNeeded: word), UInt32(truncatingIfNeeded: word >> 32))
  }

  deinit { words.deallocate() }

  func add(_ word: Word, _ amount: Int = 1) { eff_counter_add(words + word.rawValue, UInt64(amount)) }

  func set(_ word: Word, _ value: UInt64) { eff_counter_store(words + word.rawValue, value) }

  func drop(_ reason: Reason) {
    add(.drops)
    eff_counter_add(words + Word.dropped.rawValue + Int(reason.rawValue), 1)
  }

  /// Records a duration: count, sum, min, max, then powers of two.
  func record(_ word: Word, _ nanoseconds: UInt64) {
    let latency = words + word.rawValue
    if latency[0] == 0 || nanoseconds < latency[2] { eff_counter_store(latency + 2, nanoseconds) }
    if nanoseconds > latency[3] { eff_counter_store(latency + 3, nanoseconds) }
    let bin = 63 - (nanoseconds | 1).leadingZeroBitCount
    eff_counter_add(latency + 4 + min(bin, Stats.bins - 1), 1)
    eff_counter_add(latency + 1, nanoseconds)
    eff_counter_add(latency, 1)
  }

  /// Counter at a position of `eff_bridge_stats`. Any thread.
  public func load(_ index: Int) -> UInt64 { eff_counter_load(words + index) }

  func load(_ word: Word) -> UInt64 { load(word.rawValue) }
}
#endif
