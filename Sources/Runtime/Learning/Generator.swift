import Kernels

/// xoshiro256++ 1.0 (Blackman, Vigna 2019), seeded by splitmix64. Trivial, so it lives in a learner's state and is
/// saved with it.
struct Generator {
  private var s: (UInt64, UInt64, UInt64, UInt64)

  init(seed: UInt64) {
    var x = seed
    func next() -> UInt64 {
      x &+= 0x9E37_79B9_7F4A_7C15
      var z = x
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
    s = (next(), next(), next(), next())
  }

  mutating func list(_ list: inout FieldList, _ prefix: String) {
    list.add(prefix + "s.0", &s.0)
    list.add(prefix + "s.1", &s.1)
    list.add(prefix + "s.2", &s.2)
    list.add(prefix + "s.3", &s.3)
  }

  @_noLocks mutating func bits() -> UInt64 {
    let sum = s.0 &+ s.3
    let result = ((sum << 23) | (sum >> 41)) &+ s.0
    let t = s.1 << 17
    s.2 ^= s.0
    s.3 ^= s.1
    s.1 ^= s.2
    s.0 ^= s.3
    s.2 ^= t
    s.3 = (s.3 << 45) | (s.3 >> 19)
    return result
  }

  /// Uniform in [0, 1), 53 bits.
  @_noLocks mutating func uniform() -> Double { Double(bits() >> 11) * 0x1p-53 }

  /// Standard normal, by Box and Muller.
  @_noLocks mutating func normal() -> Double {
    let radius = eff_learn_sqrt(-2 * eff_learn_log(1 - uniform()))
    return radius * eff_learn_cos(6.283185307179586 * uniform())
  }
}
