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

/// Who is in a call of a session. No locked instruction: a caller that slips in between looking and writing is found when the first one leaves.
extension SessionCore {
  @_noLocks @inline(__always)
  static func enter(_ s: SessionHandle) -> UnsafeMutableRawPointer? {
    guard let caller = eff_enter(&s.pointee.caller) else {
      s.pointee.fault.kind = .concurrent
      return nil
    }
    return caller
  }

  @_noLocks @inline(__always)
  static func leave(_ s: SessionHandle, _ caller: UnsafeMutableRawPointer, _ status: Int32) -> Int32 {
    if eff_leave(&s.pointee.caller, caller) != 0 { return status }
    s.pointee.fault.kind = .concurrent
    return -2
  }
}

// the functions below return codes of the C header: 0 EFF_OK, -1 EFF_E_ARGUMENT, -2 EFF_E_STATE, -7 EFF_E_SHAPE, -8 EFF_E_NUMERIC

/// `sessionRun` for one caller at a time.
@_noLocks @inline(__always)
public func sessionCallRun(_ s: SessionHandle, _ rows: Int) -> Int32 {
  guard let caller = SessionCore.enter(s) else { return -2 }
  let status = sessionRun(s, rows)
  if status != 0 { s.pointee.fault.note(.rows, found: rows, expected: s.pointee.maxRows) }
  return SessionCore.leave(s, caller, status)
}

@_noLocks
public func sessionCallReset(_ s: SessionHandle, _ row: Int64) -> Int32 {
  guard let caller = SessionCore.enter(s) else { return -2 }
  return SessionCore.leave(s, caller, sessionReset(s, row))
}

@_noLocks
public func sessionCallPrewarm(_ s: SessionHandle) -> Int32 {
  guard let caller = SessionCore.enter(s) else { return -2 }
  return SessionCore.leave(s, caller, sessionPrewarm(s))
}

/// `sessionStep` for one caller at a time.
@_noLocks @inline(__always)
public func sessionCallStep(
  _ s: SessionHandle, _ rows: Int, _ observation: UnsafePointer<Float>, _ observationCount: Int, _ action: UnsafeMutablePointer<Float>, _ actionCount: Int
) -> Int32 {
  guard let caller = SessionCore.enter(s) else { return -2 }
  return SessionCore.leave(s, caller, sessionStep(s, rows, observation, action, observationCount: observationCount, actionCount: actionCount))
}

/// One observation in, one action out, with the lengths that the caller knows (-1: none) and the session's rule for what is not finite.
@_noLocks @inline(__always)
public func sessionStep(
  _ s: SessionHandle, _ rows: Int, _ observation: UnsafePointer<Float>, _ action: UnsafeMutablePointer<Float>, observationCount: Int = -1, actionCount: Int = -1
) -> Int32 {
  if s.pointee.observation < 0 || s.pointee.action < 0 {
    s.pointee.fault.kind = .undecided
    return -2
  }
  if rows < 1 || rows > s.pointee.maxRows {
    s.pointee.fault.note(.rows, found: rows, expected: s.pointee.maxRows)
    return -1
  }
  let input = s.pointee.inputs + s.pointee.observation
  let output = s.pointee.outputs + s.pointee.action
  let (wide, narrow) = (rows * input.pointee.size, rows * output.pointee.size)
  if observationCount >= 0 && observationCount != wide / 4 {
    s.pointee.fault.note(.observationCount, found: observationCount, expected: wide / 4)
    return -7
  }
  if actionCount >= 0 && actionCount != narrow / 4 {
    s.pointee.fault.note(.actionCount, found: actionCount, expected: narrow / 4)
    return -7
  }
  let rule = s.pointee.nonFinite
  let memory = input.pointee.memory.assumingMemoryBound(to: Float.self)
  eff_copy(memory, observation, wide)
  if rule == .refuse {
    let bad = Int(eff_first_not_finite(memory, Int64(wide / 4)))
    if bad >= 0 {
      s.pointee.fault.note(.observation, at: bad, of: memory, perRow: input.pointee.size / 4)
      eff_copy(action, s.pointee.lastAction, narrow)
      return -8
    }
  } else if rule == .clear {
    s.pointee.fault.clearedInputs += Int(eff_clear_not_finite(memory, Int64(wide / 4)))
  }
  _ = sessionRun(s, rows)
  let result = output.pointee.memory.assumingMemoryBound(to: Float.self)
  if rule == .refuse {
    let bad = Int(eff_first_not_finite(result, Int64(narrow / 4)))
    if bad >= 0 {
      s.pointee.fault.note(.action, at: bad, of: result, perRow: output.pointee.size / 4)
      // the buffers that the run read hold the state from before
      if s.pointee.stateCount > 0 { s.pointee.parity = 1 - s.pointee.parity }
      eff_copy(action, s.pointee.lastAction, narrow)
      return -8
    }
    eff_copy(s.pointee.lastAction, result, narrow)
  } else if rule == .clear {
    s.pointee.fault.clearedOutputs += Int(eff_clear_not_finite(result, Int64(narrow / 4)))
  }
  eff_copy(action, result, narrow)
  return 0
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
    let note = cleared == 0 ? "" : "\(fault.clearedInputs) numbers of observations and \(fault.clearedOutputs) of actions were not finite and became 0"
    let refusal = words(fault)
    return refusal + (refusal.utf8.isEmpty || note.utf8.isEmpty ? "" : "; ") + note
  }

  private func words(_ fault: SessionFault) -> String {
    let plan = policy.plan
    func element(_ what: String, _ port: PlanPort, _ after: String) -> String {
      "\(what) '\(port.name)', row \(fault.row), element \(fault.found) is \(fault.value.isNaN ? "NaN" : fault.value > 0 ? "infinite" : "minus infinite"); \(after)"
    }
    switch fault.kind {
    case .none: return ""
    case .concurrent: return "two calls were in this session at once; a session serves one caller at a time: give each thread its own"
    case .undecided: return String(cString: policy.refusal.start)
    case .rows: return "rows is \(UInt64(UInt(bitPattern: fault.found))), expected 1 to \(fault.expected), as the session was created"
    case .observationCount: return "observation_count is \(UInt64(UInt(bitPattern: fault.found))), expected \(fault.expected)"
    case .actionCount: return "action_count is \(UInt64(UInt(bitPattern: fault.found))), expected \(fault.expected)"
    case .observation: return element("observation", plan.inputs[core.pointee.observation], "the policy did not run, the action is the last one")
    case .action: return element("action", plan.outputs[core.pointee.action], "recurrent state is as before the step, the action is the last one")
    }
  }
}
