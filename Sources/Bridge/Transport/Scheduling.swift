#if Bridge
import Base
import Platform

/// How the threads of a bridge run: its own, and ZeroMQ's I/O thread, which carries every frame over tcp and ipc. Both
/// decide the tail of a tick.
public struct Scheduling {
  public enum Policy: Int32, Sendable { case inherited = 0, fifo = 1, roundRobin = 2 }

  public var policy = Policy.inherited
  /// 1 to 99 for the real-time policies.
  public var priority: Int32 = 0
  /// The CPUs that both may run on; empty: all that the process may.
  public var cpus: [Int32] = []
  /// Name of the bridge's thread; that of the I/O thread ends in `-io`. Empty: `efferent`.
  public var name = ""

  public init() {}

  /// Longest name: Linux has 15 bytes.
  public static let nameLimit = 12

  var isDefault: Bool { policy.rawValue == 0 && cpus.isEmpty && name.isEmpty }

  /// Applies it to a thread. Throws `.unsupported` where rights are missing, and says which.
  func apply(to task: Int32, _ what: StaticString, suffix: StaticString) throws(Failure) {
    let full = (name.isEmpty ? "efferent" : name) + "\(suffix)"
    full.withCString { eff_task_name(task, $0) }
    if policy.rawValue != 0 {
      let code = eff_task_schedule(task, policy.rawValue, priority)
      if code != 0 { throw refusal(code, what) }
    }
    if !cpus.isEmpty {
      let code = cpus.withUnsafeBufferPointer { eff_task_pin(task, $0.baseAddress!, $0.count) }
      if code != 0 {
        throw Failure(
          .unsupported,
          """
          thread_cpus: \(what): \(String(cString: eff_error_text(code))); none of them is one that this process may \
          use
          """
        )
      }
    }
  }

  private func refusal(_ code: Int32, _ what: StaticString) -> Failure {
    let name: StaticString = policy.rawValue == 1 ? "FIFO" : "round robin"
    let found =
      "thread_policy: \(what) cannot have \(name) with priority \(priority): \(String(cString: eff_error_text(code)))"
    guard code == EPERM else { return Failure(.unsupported, found) }
    let limit = eff_priority_limit()
    return Failure(
      .unsupported,
      found
        + ". This process may have \(limit < 0 ? 99 : limit) (RLIMIT_RTPRIO). Set LimitRTPRIO=\(priority) in its "
        + "systemd unit, 'rtprio \(priority)' in /etc/security/limits.conf, --ulimit rtprio=\(priority) for a "
        + "container, or give it CAP_SYS_NICE")
  }
}
#endif
