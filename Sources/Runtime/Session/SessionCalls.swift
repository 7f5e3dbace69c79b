import Base
import Graph
import Kernels
import Platform

/// What a step does with an observation or action that is not finite. Raw values of eff_non_finite.
public enum NonFinite: Int32, Sendable { case refuse = 0, pass, clear }

/// Why the last [RT] call of a session was refused: numbers, which `Session.explain` puts into words at a better time.
struct SessionFault {
  enum Kind: UInt8 { case none, concurrent, undecided, rows, observationCount, actionCount, observation, action }
  var kind = Kind.none
  /// Of the refused call: what was found and what was expected, or which element of which row, and its value.
  var found = 0
  var expected = 0
  var row = 0
  var value: Float = 0
  /// Numbers that `NonFinite.clear` set to 0, since the session was made.
  var clearedInputs = 0
  var clearedOutputs = 0
}

/// Calls of one caller at a time. No locked instruction: a caller that slips in between looking and writing is found
/// when the first one leaves.
extension SessionHandle {
  @_noLocks @inline(__always)
  private func enter() -> UnsafeMutableRawPointer? {
    guard let caller = eff_enter(&core.pointee.caller) else {
      core.pointee.fault.kind = .concurrent
      return nil
    }
    return caller
  }

  @_noLocks @inline(__always)
  private func leave(_ caller: UnsafeMutableRawPointer, _ status: Status) -> Status {
    if eff_leave(&core.pointee.caller, caller) != 0 { return status }
    core.pointee.fault.kind = .concurrent
    return .state
  }

  /// `run` for one caller at a time.
  @_noLocks @inline(__always)
  public func callRun(_ rows: Int) -> Status {
    guard let caller = enter() else { return .state }
    let status = run(rows)
    if !status.isOK { core.pointee.fault.note(.rows, found: rows, expected: core.pointee.maxRows) }
    return leave(caller, status)
  }

  @_noLocks
  public func callReset(_ row: Int64) -> Status {
    guard let caller = enter() else { return .state }
    return leave(caller, reset(row))
  }

  @_noLocks
  public func callPrewarm() -> Status {
    guard let caller = enter() else { return .state }
    return leave(caller, prewarm())
  }

  /// `step` for one caller at a time.
  @_noLocks @inline(__always)
  public func callStep(
    _ rows: Int, _ observation: UnsafePointer<Float>, _ observationCount: Int, _ action: UnsafeMutablePointer<Float>,
    _ actionCount: Int
  ) -> Status {
    guard let caller = enter() else { return .state }
    return leave(caller, step(rows, observation, action, observationCount: observationCount, actionCount: actionCount))
  }
}

extension SessionFault {
  @_noLocks
  mutating func note(_ kind: Kind, found: Int, expected: Int) {
    self.kind = kind
    self.found = found
    self.expected = expected
  }

  @_noLocks
  mutating func note(_ kind: Kind, at i: Int, of values: UnsafePointer<Float>, perRow: Int) {
    self.kind = kind
    row = i / perRow
    found = i % perRow
    value = values[i]
  }
}

extension Session {
  /// `explain` as C reads it, until the next call.
  public func explanation() -> UnsafeMutablePointer<CChar> {
    let text = CText(explain())
    explained = text
    return text.start
  }

  /// The last refusal of an [RT] call in words, and what was cleared; empty where there was neither.
  public func explain() -> String {
    let fault = core.pointee.fault
    let cleared = fault.clearedInputs + fault.clearedOutputs
    let note =
      cleared == 0
      ? ""
      : """
      \(fault.clearedInputs) numbers of observations and \(fault.clearedOutputs) of actions were not finite and \
      became 0
      """
    let refusal = words(fault)
    return refusal + (refusal.utf8.isEmpty || note.utf8.isEmpty ? "" : "; ") + note
  }

  private func words(_ fault: SessionFault) -> String {
    let plan = policy.plan
    func element(_ what: String, _ port: PlanPort, _ after: String) -> String {
      let found = fault.value.isNaN ? "NaN" : fault.value > 0 ? "infinite" : "minus infinite"
      return "\(what) '\(port.name)', row \(fault.row), element \(fault.found) is \(found); \(after)"
    }
    switch fault.kind {
    case .none: return ""
    case .concurrent:
      return "two calls were in this session at once; a session serves one caller at a time: give each thread its own"
    case .undecided: return String(cString: policy.refusal)
    case .rows:
      return
        "rows is \(UInt64(UInt(bitPattern: fault.found))), expected 1 to \(fault.expected), as the session was created"
    case .observationCount:
      return "observation_count is \(UInt64(UInt(bitPattern: fault.found))), expected \(fault.expected)"
    case .actionCount: return "action_count is \(UInt64(UInt(bitPattern: fault.found))), expected \(fault.expected)"
    case .observation:
      return element(
        "observation", plan.inputs[core.pointee.observation], "the policy did not run, the action is the last one")
    case .action:
      return element(
        "action", plan.outputs[core.pointee.action], "recurrent state is as before the step, the action is the last one"
      )
    }
  }
}
