#if Bridge
import Platform

@testable import Bridge

/// A target of two inputs and two outputs: action = 2 obs + count of runs since reset, value = sum of mask.
final class Fake {
  let maxRows: Int
  private let memory: UnsafeMutableRawPointer
  private var counts: [Float]
  var status: Int32 = 0
  var resets: [Int] = []

  static let width = 3
  private static let stride = 4096

  init(maxRows: Int = 2) {
    self.maxRows = maxRows
    memory = .allocate(byteCount: 4 * Fake.stride, alignment: 64)
    counts = Array(repeating: 0, count: maxRows)
  }

  deinit { memory.deallocate() }

  private func floats(_ block: Int) -> UnsafeMutablePointer<Float> {
    (memory + block * Fake.stride).assumingMemoryBound(to: Float.self)
  }

  private func run(_ rows: Int) -> Int32 {
    let mask = (memory + Fake.stride).assumingMemoryBound(to: UInt8.self)
    for row in 0..<rows {
      counts[row] += 1
      for i in 0..<Fake.width { floats(2)[row * Fake.width + i] = 2 * floats(0)[row * Fake.width + i] + counts[row] }
      floats(3)[row] = Float(mask[2 * row]) + Float(mask[2 * row + 1])
    }
    return status
  }

  private func reset(_ row: Int) -> Int32 {
    resets.append(row)
    for i in 0..<maxRows where row < 0 || row == i { counts[i] = 0 }
    return 0
  }

  var target: Target {
    let memory = memory
    return Target(
      inputs: [
        .init(name: "obs", role: .observation, dtype: 1, shape: [Fake.width], size: 4 * Fake.width),
        .init(name: "h", role: .state, dtype: 1, shape: [8], size: 32),
        .init(name: "mask", role: .observation, dtype: 9, shape: [1, 2], size: 2),
      ],
      outputs: [
        .init(name: "action", role: .action, dtype: 1, shape: [Fake.width], size: 4 * Fake.width),
        .init(name: "value", role: .aux, dtype: 1, shape: [], size: 4),
      ],
      maxRows: maxRows, policyHash: 77,
      input: { $0 == 0 ? memory : $0 == 2 ? memory + Fake.stride : nil },
      output: { UnsafeRawPointer(memory + (2 + $0) * Fake.stride) },
      run: { self.run($0.rows) }, reset: { self.reset($0) })
  }
}

/// xorshift, so that a failure can be repeated.
struct Random {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

  mutating func next(_ limit: Int) -> Int {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return Int(state >> 1) % limit
  }

  /// A few bit flips, overwritten bytes, cuts, doublings or insertions.
  mutating func mutate(_ bytes: [UInt8]) -> [UInt8] {
    var out = bytes
    for _ in 0...next(4) {
      if out.isEmpty { return out }
      let at = next(out.count)
      switch next(6) {
      case 0: out[at] ^= 1 << UInt8(next(8))
      case 1: out[at] = [0x00, 0x7F, 0x80, 0xC1, 0xDB, 0xDD, 0xDF, 0xFF][next(8)]
      case 2: out.removeSubrange(at...)
      case 3: out.remove(at: at)
      case 4: out.insert(UInt8(next(256)), at: at)
      default: out.insert(contentsOf: out[at..<min(at + 16, out.count)], at: at)
      }
    }
    return out
  }
}
#endif
