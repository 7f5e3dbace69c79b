#if Bridge
import Platform

/// Looking for the next frame for a while after an answer, before the thread sleeps: a plant that steps without pause
/// is answered without being waited for by the kernel, which takes longer to wake a thread than a policy to run.
struct Spin {
  /// Nanoseconds after an answer.
  let limit: UInt64
  /// When the last answer went out.
  private var answered: UInt64 = 0
  /// Frames that are not looked for so, since looks were in vain: 1, 2, 4, ... 64. A processor that others want is
  /// theirs, and a slow plant costs little.
  private var rest = 0
  private var vain = 0
  /// Nanoseconds between two looks after which somebody else had the processor, and frames after that which are not
  /// looked for: a thread that sleeps is let in front of such a one, one that looks is not.
  private static let robbery: UInt64 = 50_000
  private static let restWhereRobbed = 64

  init(limit: UInt64) { self.limit = limit }

  mutating func answer(at now: UInt64) { answered = now }

  /// Calls `isThere` until it is true or the time is over. False where nothing was found, or nothing was looked for.
  mutating func look(_ isThere: () -> Bool) -> Bool {
    if rest > 0 {
      rest -= 1
      return false
    }
    let until = answered &+ limit
    let began = eff_now_ns()
    var looked = began
    while looked < until {
      if isThere() {
        vain = 0
        return true
      }
      let now = eff_now_ns()
      if now &- looked > Spin.robbery {
        rest = Spin.restWhereRobbed
        return false
      }
      looked = now
    }
    if began < until {
      vain = vain == 0 ? 1 : min(2 * vain, 64)
      rest = vain
    }
    return false
  }
}
#endif
