import Base
import Graph
import Kernels
import Onnx
import Platform
@testable import Runtime
import TestSupport
import Testing

/// A plan is one block without addresses: plan.h. Its image is the block with a checksum.
@Suite struct PlanBlockTests {
  /// An image in memory that nobody but the test owns.
  private final class Image {
    let start: UnsafeMutableRawPointer
    let size: Int

    init(_ plan: Plan) {
      size = Int(plan.header.size)
      start = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
      plan.write(to: start)
    }

    deinit { start.deallocate() }

    func store<T>(_ value: T, _ at: Int) { start.storeBytes(of: value, toByteOffset: at, as: T.self) }

    /// Where a part begins.
    func place(_ part: Int) -> Int { Int(Plan.place(start, part).start) }

    /// Makes the checksum right again, as a faulty writer would.
    func seal() { store(Plan.checksum(start, size), 8) }

    func plan() throws -> Plan { try Plan(image: start, size) }
  }

  private func isa() throws -> Int32 { try Policy.isa() }

  private func plans() throws -> [(name: String, policy: Policy)] {
    try (Model.samples + [("branching", .branching())]).map { ($0.name, try load($0.model, isa: isa())) }
  }

  @Test func theSameFileGivesTheSameBytes() throws {
    for (name, m) in Model.samples {
      let (a, b) = (try load(m, isa: isa()).plan, try load(m, isa: isa()).plan)
      let size = Int(a.header.size)
      try #require(size == Int(b.header.size), "\(name)")
      func byte(_ p: Plan, _ i: Int) -> UInt8 { p.start.load(fromByteOffset: i, as: UInt8.self) }
      let differs = (0..<size).first { byte(a, $0) != byte(b, $0) }
      #expect(differs == nil, "\(name): byte \(differs ?? 0) of \(size)")
      #expect(a.difference(b) == nil, "\(name)")
    }
  }

  /// Memory is not cleared for a plan: it may hold what a policy before it left.
  @Test func everyByteOfAPlanIsWritten() throws {
    let dirty = MemorySource(
      allocate: { _, size, align in
        let p = eff_alloc(size, align)
        if let p { memset(p, 0xA5, size) }
        return p
      }, release: { _, p, _ in eff_free(p) }, user: nil)
    func bytes(_ policy: Policy) -> [UInt8] {
      let image = Image(policy.plan)
      return Array(UnsafeRawBufferPointer(start: image.start, count: image.size))
    }
    for (name, m) in Model.samples + [("branching", .branching())] {
      #expect(bytes(try load(m)) == bytes(try load(m) { $0.memory = dirty }), "\(name)")
    }
    var wide = Model(
      inputs: [.init("obs", [1, 7])], outputs: [.init("action", [1, 6])],
      nodes: [Node("Gemm", ["obs", "w0"], ["t"], [.int("transB", 1)]), Node("MatMul", ["t", "w1"], ["action"])],
      initializers: [.filled("w0", [8192, 7]), .filled("w1", [8192, 6])])
    wide.metadata = [("efferent.weights", "f32,bf16")]
    let policy = try load(wide)
    #expect(policy.plan.header.size >= MemoryBlock.mappedFrom && policy.plan.header.size <= HugePage.size)
    var pages: [HugePage] = []
    for _ in 0..<3 {
      let page = try #require(HugePage.make())
      memset(page.start, 0xA5, HugePage.size)
      pages.append(page)
    }
    pages = []
    #expect(bytes(policy) == bytes(try load(wide)))
  }

  @Test func anImageRunsAsTheFileDoes() throws {
    var ran = 0
    for (name, policy) in try plans() {
      let image = Image(policy.plan)
      let moved = Policy(try image.plan())
      #expect(policy.plan.difference(moved.plan) == nil, "\(name)")
      #expect(String(cString: policy.refusal) == String(cString: moved.refusal))
      #expect(moved.hash == policy.hash)
      #expect(moved.plan.inputs.map { $0.name } == policy.plan.inputs.map { $0.name })
      #expect(moved.plan.outputs.map { $0.shape } == policy.plan.outputs.map { $0.shape })
      guard String(cString: policy.refusal).isEmpty else { continue }
      let (one, other) = (try session(policy), try session(moved))
      guard one.core.pointee.observation >= 0, one.core.pointee.action >= 0 else { continue }
      let x = (0..<one.core.pointee.inputs[one.core.pointee.observation].size / 4).map { Float($0 % 7) / 7 }
      for _ in 0..<3 { #expect(step(one, x).map { $0.bitPattern } == step(other, x).map { $0.bitPattern }, "\(name)") }
      ran += 1
      withExtendedLifetime(image) {}
    }
    #expect(ran > 3)
  }

  /// A session of the file takes the weights of an image.
  @Test func anImageIsSwappedIn() throws {
    let policy = try load(Model.samples[0].model, isa: isa())
    let image = Image(policy.plan)
    let s = try session(policy)
    try s.swap(to: Policy(try image.plan()))
    withExtendedLifetime(image) { #expect(s.handle.hash() == policy.hash) }
  }

  private func refused(_ words: String, _ plan: Plan, size less: Int = 0, _ damage: (Image) -> Void) {
    let image = Image(plan)
    damage(image)
    do {
      _ = try Plan(image: image.start, image.size - less)
      Issue.record("\(words): accepted")
    } catch {
      #expect(error.message.contains(words), "\(error.message), expected \(words)")
    }
  }

  @Test func whatIsNoPlanOfThisLibraryAndProcessorIsRefusedByName() throws {
    let plan = try load(Model.samples[0].model, isa: isa()).plan
    refused("expected at least", plan, size: Int(plan.header.size) - 64) { _ in }
    refused("as its header says", plan, size: 1) { _ in }
    refused("they begin with 0", plan) { $0.store(UInt64(0), 0) }
    refused("has version 99, expected \(EFF_PLAN_VERSION)", plan) { $0.store(Int32(99), 16) }
    refused("checksum", plan) { $0.store(UInt64(0), 8) }
    for (isa, name) in [(Int32(99), "'99'"), (Int32(EFF_ISA_NEON), "'neon'")] where eff_isa_supported(isa) == 0 {
      refused("packed for instruction set \(name)", plan) {
        $0.store(isa, 20)
        $0.seal()
      }
    }
    let image = Image(plan)
    let apart = UnsafeMutableRawPointer.allocate(byteCount: image.size + 64, alignment: 64)
    defer { apart.deallocate() }
    (apart + 8).copyMemory(from: image.start, byteCount: image.size)
    #expect(throws: Failure.self) { try Plan(image: apart + 8, image.size) }
  }

  @Test func everyDamagedByteIsNoticed() throws {
    let image = Image(try load(Model.samples[0].model, isa: isa()).plan)
    for i in 0..<image.size {
      let was = image.start.load(fromByteOffset: i, as: UInt8.self)
      image.store(was ^ 1 << UInt8(i % 8), i)
      #expect(throws: Failure.self, "byte \(i)") { try image.plan() }
      image.store(was, i)
    }
    _ = try image.plan()
  }

  /// A checksum is right where the writer was wrong: each entry says what it has and what is expected.
  @Test func anEntryThatLeadsOutOfItsPlanIsRefusedByName() throws {
    let plan = try load(Model.samples[1].model, isa: isa()).plan
    func wrong(_ words: String, _ at: (Image) -> Int, _ value: some FixedWidthInteger) {
      refused(words, plan) {
        $0.store(value, at($0))
        $0.seal()
      }
    }
    let table = MemoryLayout<eff_plan_header>.size
    for i in 0..<EFF_PLAN_PARTS {
      wrong("part \(i) has", { _ in table + 16 * i }, plan.header.size + 64)
      wrong("part \(i) has", { _ in table + 16 * i }, Int64(-64))
      wrong("part \(i) has", { _ in table + 16 * i }, Int64(8))
      wrong("part \(i) has", { _ in table + 16 * i + 8 }, Int64.max)
    }
    func wrong(_ words: String, _ part: Int, _ offset: Int, _ value: some FixedWidthInteger) {
      wrong(words, { $0.place(part) + offset }, value)
    }
    wrong("no policy hash", { _ in 32 }, UInt64(0))
    wrong("arena -1", { _ in 40 }, Int64(-1))
    wrong("main_count", { _ in 64 }, Int32(plan.ops.count + 1))
    wrong("op 0 of the plan: needs kernel 59", EFF_PLAN_OPS, 0, Int32(59))
    wrong("op 0 of the plan: needs kernel", EFF_PLAN_OPS, 4, Int32(21))
    wrong("op 0 has first operand", EFF_PLAN_OPS, 8, Int32.max)
    wrong("op 0 has operands 15", EFF_PLAN_OPS, 12, Int32(15))
    wrong("op 0 has params", EFF_PLAN_OPS, 16, Int64(1) << 40)
    wrong("op 0 has text", EFF_PLAN_OPS, 28, Int32(-1))
    wrong("operand 0 has space 9", EFF_PLAN_OPERANDS, 0, Int64(9))
    wrong("operand 0 has place", EFF_PLAN_OPERANDS, 8, Int64(1) << 40)
    wrong("operand 0 has view", EFF_PLAN_OPERANDS, 16, Int64(1) << 40)
    wrong("operand 0 has stride", EFF_PLAN_OPERANDS, 24, Int64.max)
    wrong("input 0 has size", EFF_PLAN_INPUTS, 0, Int64(1))
    wrong("input 0 has place", EFF_PLAN_INPUTS, 8, plan.header.arena)
    wrong("input 0 has name", EFF_PLAN_INPUTS, 16, Int32.max)
    wrong("input 0 has element type 99", EFF_PLAN_INPUTS, 20, Int32(99))
    wrong("input 0 has rank", EFF_PLAN_INPUTS, 24, Int32(-1))
    wrong("input 0 has dims", EFF_PLAN_INPUTS, 28, Int32.max)
    wrong("input 0 has state 7", EFF_PLAN_INPUTS, 32, Int32(7))
    wrong("input 0 has role 4", EFF_PLAN_INPUTS, 36, Int32(4))
    wrong("input 0 has pair", EFF_PLAN_INPUTS, 40, Int32(99))
    wrong("dim", EFF_PLAN_DIMS, 0, Int64(-1))
    wrong("has size", EFF_PLAN_DIMS, 0, Int64.max)
    wrong("state 0 has input 99", EFF_PLAN_STATES, 0, Int64(99))
    wrong("input 0 has state -1, expected 0", EFF_PLAN_STATES, 0, Int64(0))
    wrong("layer 0 has op", EFF_PLAN_LAYERS, 0, Int64(-1))
    wrong("port 0 has reason", EFF_PLAN_REASONS, 0, Int64(99))
    for part in [EFF_PLAN_NAMES, EFF_PLAN_TEXT] {
      wrong("part \(part) ends with 1", part, plan.bytes(part).count - 1, UInt8(1))
    }
    let longer = try load(.branching(), isa: isa()).plan
    refused("op 1 has position 0, as another has", longer) {
      $0.store(Int32(0), $0.place(EFF_PLAN_OPS) + 32 + 24)
      $0.seal()
    }
    refused("op 0 has params, modulo 16, 8", longer) {
      $0.store(Int64(8), $0.place(EFF_PLAN_OPS) + 16)
      $0.seal()
    }
  }

  /// A loop whose body were around itself would never end.
  @Test func aBranchLeadsForward() throws {
    let plan = try load(.branching(), isa: isa()).plan
    let i = try #require(plan.ops.firstIndex { $0.code == Kernel.branch.rawValue })
    let at = 32 * (Int(plan.ops[i].first) + 1) + 8
    for place in [Int64(0), Int64(plan.ops[i].position), Int64(plan.ops.count) + 1] {
      refused("has place \(place)", plan) {
        $0.store(place, $0.place(EFF_PLAN_OPERANDS) + at)
        $0.seal()
      }
    }
    refused("in its body", plan) {
      $0.store(Int64(plan.ops.count), $0.place(EFF_PLAN_PARAMS) + Int(plan.ops[i].params))
      $0.seal()
    }
  }

  /// Whatever a faulty writer has written: it is refused, or what is read of it is in it.
  @Test func noNumberLeadsOutside() throws {
    var random = SeededGenerator(state: 11)
    var accepted = 0
    for (_, policy) in try plans() {
      let image = Image(policy.plan)
      let last = image.place(EFF_PLAN_WEIGHTS)
      for _ in 0..<800 {
        let width = [1, 4, 8][Int(random.next() % 3)]
        let at = 24 + Int(random.next() % UInt64(last - 32))
        let was = (0..<8).map { image.start.load(fromByteOffset: at + $0, as: UInt8.self) }
        let value = [random.next(), random.next() % 256, .max, UInt64(1) << 63, 0][Int(random.next() % 5)]
        for k in 0..<width { image.store(UInt8(truncatingIfNeeded: value >> UInt64(8 * k)), at + k) }
        image.seal()
        if let plan = try? image.plan() {
          accepted += 1
          for op in plan.ops {
            _ = (plan.text(op).pointee, plan.params(op))
            for k in 0..<Int(op.count) { _ = plan.operand(op, k) }
          }
          _ = (plan.inputs.map { $0.name }, policy.plan.difference(plan))
        }
        for k in 0..<8 { image.store(was[k], at + k) }
      }
    }
    #expect(accepted > 0)
  }

  /// Every difference of programs has words, and what people read makes none.
  @Test func programsThatDifferAreTold() throws {
    let plan = try load(Model.samples[0].model, isa: isa()).plan
    func found(_ part: Int, _ offset: Int, _ byte: UInt8) throws -> String? {
      let image = Image(plan)
      let at = image.place(part) + offset
      image.store(image.start.load(fromByteOffset: at, as: UInt8.self) ^ byte, at)
      return plan.difference(Plan(image.start, nil))
    }
    #expect(try found(EFF_PLAN_OPERANDS, 8, 64)?.contains("uses other memory") == true)
    #expect(try found(EFF_PLAN_PARAMS, 0, 1)?.contains("has other parameters") == true)
    #expect(try found(EFF_PLAN_OPS, 24, 1)?.contains("laid out") == true)
    #expect(try found(EFF_PLAN_INPUTS, 36, 2)?.contains("another role") == true)
    #expect(try found(EFF_PLAN_REASONS, 0, 1) == nil)
    #expect(try found(EFF_PLAN_TEXT, 0, 1) == nil)
    #expect(try found(EFF_PLAN_WEIGHTS, 0, 1) == nil)
  }
}
