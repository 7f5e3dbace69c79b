import Kernels
import Platform

/// What a step touches: trivial, in the session's block, with no reference counting.
public struct SessionCore {
  public var maxRows: Int
  /// Ops with resolved addresses; with recurrent state one table for each of the two directions between its buffers.
  /// Written by the stepping thread alone, by one exchange, since the thread that swaps may look.
  var tables: UnsafeMutablePointer<BoundOps> {
    @_noLocks @inline(__always) get { tableWord!.assumingMemoryBound(to: BoundOps.self) }
  }
  var tableWord: UnsafeMutableRawPointer?
  /// Which table runs next: 0 or 1.
  var parity: Int
  /// One word between the stepping thread and the one that swaps: nothing, tables on offer, or tables that were
  /// replaced (`Mailbox`).
  var mailbox: UnsafeMutableRawPointer?
  /// Who may write offers at present: a publisher, or a call of swap or reclaim; nil: nobody.
  var offerer: UnsafeMutableRawPointer?
  /// Nothing is adopted: what a rehearsal writes is taken back.
  var isRehearsing: Bool
  public var inputs: UnsafeMutablePointer<SessionPort>
  public var inputCount: Int
  public var outputs: UnsafeMutablePointer<SessionPort>
  public var outputCount: Int
  var states: UnsafeMutablePointer<SessionState>
  var stateCount: Int
  /// The observation and action of `eff_session_step`, or -1 where the policy has not exactly one of each in f32.
  public var observation: Int
  public var action: Int
  /// 1 makes branches run for all rows.
  var takesBothSides: UnsafeMutablePointer<UInt8>
  /// A generator per row; nil where the policy draws nothing. Row r draws from the stream of (seed, firstRow + r).
  var random: UnsafeMutablePointer<eff_random_state>?
  var seed: UInt64
  var firstRow: UInt64
  /// Room for a copy of the first generator and of one row of every output.
  var kept: UnsafeMutableRawPointer
  /// Room for the observation and the action of a rehearsed step.
  var rehearsed: UnsafeMutableRawPointer
  /// The action of the last step that gave one; zeros before the first.
  var lastAction: UnsafeMutableRawPointer
  var nonFinite: NonFinite
  /// The frame of the call that is at work; nil: none is.
  var caller: UnsafeMutableRawPointer? = nil
  var fault = SessionFault()
  public var owner: Unmanaged<Session>
}

/// What the mailbox of a session holds. Tables are aligned, so the lowest bit of their address says which of the two
/// they are.
///
///     swap:    exchanges for an offer, frees what was there
///     step:    exchanges an offer for the tables it ran
///     reclaim: removes what was replaced
///
/// Only the stepping thread takes an offer, and only the thread that swaps takes what was replaced, so whoever
/// exchanges owns what comes out.
enum Mailbox {
  @_noLocks @inline(__always)
  static func isOffer(_ content: UnsafeMutableRawPointer?) -> Bool {
    content != nil && UInt(bitPattern: content) & 1 == 0
  }

  @_noLocks @inline(__always)
  static func isRetired(_ content: UnsafeMutableRawPointer?) -> Bool { UInt(bitPattern: content) & 1 != 0 }

  @_noLocks @inline(__always)
  static func retired(_ tables: UnsafeMutablePointer<BoundOps>) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(tables) + 1
  }

  /// The tables in the mailbox, whichever they are.
  @_noLocks @inline(__always)
  static func tables(_ content: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<BoundOps>? {
    UnsafeMutablePointer(bitPattern: UInt(bitPattern: content) & ~1)
  }
}

/// Memory of an input or output; `state` is the index of a recurrent state or -1.
public struct SessionPort {
  public var memory: UnsafeMutableRawPointer
  /// Bytes of one row.
  public var size: Int
  public var state: Int
}

/// The two buffers of a recurrent state; the run with parity p reads buffer p and writes buffer 1 - p.
struct SessionState {
  var buffers: (UnsafeMutableRawPointer, UnsafeMutableRawPointer)
  var size: Int

  @_noLocks @inline(__always)
  func buffer(_ parity: Int) -> UnsafeMutableRawPointer { parity == 0 ? buffers.0 : buffers.1 }
}
