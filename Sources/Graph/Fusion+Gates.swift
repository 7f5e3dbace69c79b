import Base
import Kernels
import Onnx

// activations that exporters spell out
extension Fusion {
  /// x * sigmoid(x) -> swish(x); x * tanh(softplus(x)) -> mish(x).
  static func makeGates(_ g: inout Graph) {
    let uses = Uses(g)
    var dead = [Bool](repeating: false, count: g.ops.count)
    for i in g.ops.indices {
      guard case .binary(let p) = g.ops[i].params, p.fn == EFF_FN2_MUL else { continue }
      let a = g.ops[i, .a]
      let b = g.ops[i, .b]
      guard a >= 0, b >= 0, g.values[a].shape == g.values[b].shape else { continue }
      for (x, gate) in [(a, b), (b, a)] {
        guard g.values[gate].constant == nil, uses.isPrivate(gate, g), isWhole(gate, g) else { continue }
        let w = uses.writer[g.root(gate)]
        guard w >= 0, case .unary(let u) = g.ops[w].params else { continue }
        var source = g.ops[w, .x]
        var fn: Int32 = -1
        var inner = -1
        if u.fn == EFF_FN_SIGMOID { fn = Int32(EFF_FN_SWISH) }
        if u.fn == EFF_FN_TANH, uses.isPrivate(source, g), isWhole(source, g) {
          inner = uses.writer[g.root(source)]
          if inner >= 0, case .unary(let s) = g.ops[inner].params, s.fn == EFF_FN_SOFTPLUS {
            fn = Int32(EFF_FN_MISH)
            source = g.ops[inner, .x]
          }
        }
        guard fn >= 0, g.root(source) == g.root(x), g.values[source].offset == g.values[x].offset,
          g.values[source].byteCount == g.values[x].byteCount
        else { continue }
        let y = g.ops[i, .y]
        let params = eff_unary(count: Int64(g.values[x].count), fn: fn, reserved: 0, alpha: 1, beta: 0)
        g.ops[i] = GraphOp(.unary(params), type: g.ops[i].type, inputs: [x], outputs: [y], label: g.ops[i].label)
        dead[w] = true
        if fn == Int32(EFF_FN_MISH) { dead[inner] = true }
        break
      }
    }
    compact(&g, dead)
  }

  /// x * (1 + erf(x / sqrt(2))) / 2 -> gelu(x), with the half before or after.
  static func makeErrorGates(_ g: inout Graph) {
    let uses = Uses(g)
    for i in g.ops.indices {
      guard case .binary(let p) = g.ops[i].params, p.fn == EFF_FN2_MUL, g.ops[i].type == .f32 else { continue }
      func writer(_ v: Int) -> Int {
        g.values[v].constant == nil && isWhole(v, g) && uses.writers[g.root(v)] == 1 ? uses.writer[g.root(v)] : -1
      }
      /// x of 1 + erf(x / sqrt(2))
      func source(_ v: Int) -> Int? {
        let add = writer(v)
        guard add >= 0, case .binary(let p) = g.ops[add].params, p.fn == EFF_FN2_ADD,
          number(g.ops[add, .b], g) ?? number(g.ops[add, .a], g) == 1
        else { return nil }
        let e = writer(g.ops[add, number(g.ops[add, .b], g) != nil ? .a : .b])
        guard e >= 0, case .unary(let u) = g.ops[e].params, u.fn == EFF_FN_ERF else { return nil }
        let d = writer(g.ops[e, .x])
        guard d >= 0, let (x, c) = scaled(g.ops[d], g), abs(c - 0.5.squareRoot()) < 1e-6 else { return nil }
        return x
      }
      /// the product x (1 + erf(x / sqrt(2))) / `half`
      func gate(_ op: GraphOp, _ half: Double) -> Int? {
        guard case .binary(let p) = op.params, p.fn == EFF_FN2_MUL, op.type == .f32 else { return nil }
        for (a, b) in [(op[.a], op[.b]), (op[.b], op[.a])] {
          guard let x = source(b) else { continue }
          if half == 1, g.root(a) == g.root(x), g.values[a].offset == g.values[x].offset,
            g.values[a].byteCount == g.values[x].byteCount
          {
            return x
          }
          let h = writer(a)
          if half == 0.5, h >= 0, let (y, c) = scaled(g.ops[h], g), c == 0.5, g.root(y) == g.root(x),
            g.values[y].offset == g.values[x].offset, g.values[y].byteCount == g.values[x].byteCount
          {
            return x
          }
        }
        return nil
      }
      var x = gate(g.ops[i], 0.5)
      if x == nil, let (m, c) = scaled(g.ops[i], g), c == 0.5, writer(m) >= 0 { x = gate(g.ops[writer(m)], 1) }
      guard let x, g.values[x].count == g.values[g.ops[i, .y]].count else { continue }
      let params = eff_unary(count: Int64(g.values[x].count), fn: Int32(EFF_FN_GELU), reserved: 0, alpha: 0, beta: 0)
      g.ops[i] = GraphOp(.unary(params), type: .f32, inputs: [x], outputs: [g.ops[i, .y]], label: g.ops[i].label)
    }
    removeDead(&g)
  }
}
