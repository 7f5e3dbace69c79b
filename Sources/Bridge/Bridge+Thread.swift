#if Bridge
import Base
import Platform

/// The bridge's own thread, and the pipe that ends its wait.
final class ThreadState {
  private let thread: UnsafeMutablePointer<eff_thread>
  /// 1 once the thread is asked to end.
  private let stopping: UnsafeMutablePointer<UInt64>
  private let ends: UnsafeMutablePointer<Int32>
  private(set) var isRunning = false
  /// Why the thread ended by itself; read after it is joined.
  private var failure: Failure?

  init() {
    thread = .allocate(capacity: 1)
    thread.initialize(to: eff_thread())
    stopping = .allocate(capacity: 1)
    stopping.initialize(to: 0)
    ends = .allocate(capacity: 2)
    ends.initialize(repeating: -1, count: 2)
  }

  deinit {
    closePipe()
    ends.deallocate()
    stopping.deallocate()
    thread.deallocate()
  }

  var isCurrent: Bool { isRunning && eff_thread_is_current(thread) != 0 }

  fileprivate func start(_ bridge: UnsafeMutableRawPointer, _ scheduling: Scheduling) throws(Failure) {
    guard !isRunning else { throw Failure(.state, "the bridge's thread runs already") }
    var code = eff_pipe(ends)
    guard code == 0 else {
      throw Failure(.memory, "no pipe for the bridge's thread: \(String(cString: eff_error_text(code)!))")
    }
    failure = nil
    eff_counter_store(stopping, 0)
    // set first: the thread reads it
    isRunning = true
    code = eff_thread_start(thread, { Unmanaged<Bridge>.fromOpaque($0!).takeUnretainedValue().serve() }, bridge)
    guard code == 0 else {
      isRunning = false
      closePipe()
      throw Failure(.memory, "no thread for the bridge: \(String(cString: eff_error_text(code)!))")
    }
    do {
      try scheduling.apply(to: eff_thread_task(thread), "the bridge's thread", suffix: "")
    } catch {
      stop()
      throw error
    }
  }

  /// Ends the thread and waits for it. Returns why it had ended by itself, if it had.
  @discardableResult
  func stop() -> Failure? {
    guard isRunning else { return nil }
    eff_counter_store(stopping, 1)
    eff_pipe_signal(ends[1])
    eff_thread_join(thread)
    isRunning = false
    closePipe()
    return failure
  }

  private func closePipe() {
    for i in 0..<2 where ends[i] >= 0 {
      eff_close(ends[i])
      ends[i] = -1
    }
  }

  fileprivate func serve(_ bridge: Bridge) {
    while eff_counter_load(stopping) == 0 {
      do {
        _ = try bridge.wait(-1, wake: ends[0])
      } catch {
        failure = error
        return
      }
    }
  }
}

extension Bridge {
  /// Starts a thread of the bridge's own that polls, and holds a reference, until `stop`. Throws `.state` where it runs
  /// already, `.memory` where there is none, `.unsupported` where it may not run as the options want.
  public func start() throws(Failure) {
    guard isOwnProcess else {
      throw Failure(.state, "the bridge is the parent process's: make one of your own after fork")
    }
    try thread.start(Unmanaged.passUnretained(self).toOpaque(), options.scheduling)
  }

  /// Ends that thread. Throws `.state` on that thread itself, or what had ended it before.
  public func stop() throws(Failure) {
    guard isOwnProcess else { throw Failure(.state, "the bridge is the parent process's") }
    guard !thread.isCurrent else {
      throw Failure(.state, "stop is called in on_event, on the thread that it would wait for")
    }
    if let failure = thread.stop() { throw failure }
  }

  /// Ends the thread for good, so that the last reference can go; false where it cannot: on that thread itself, and in
  /// a child of the process that made the bridge, which has no such thread.
  public func close() -> Bool {
    if !isOwnProcess || thread.isCurrent { return false }
    thread.stop()
    return true
  }

  fileprivate func serve() { thread.serve(self) }
}
#endif
