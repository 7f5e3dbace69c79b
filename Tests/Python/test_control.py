"""If and Loop that are computed while running: onnxruntime's results, and every row as if it were alone."""
import control_forms as forms
import json

import efferent
import mask_forms as masks
import numpy as np
import onnx
import onnxruntime
import pytest
from control_forms import graph, model, node
from oracles import policy_of

ROWS = 23


def explicit(g, inside=False):
    """onnxruntime takes no outer value as the output of a branch: an Identity in between says the same."""
    for n in g.node:
        for a in n.attribute:
            if a.HasField("g"):
                explicit(a.g, True)
    made = {o for n in g.node for o in n.output} | {t.name for t in g.initializer} | {v.name for v in g.input}
    for k, o in enumerate(g.output):
        if inside and (o.name not in made or o.name in {p.name for p in g.output[:k]}):
            g.node.append(node("Identity", o.name, f"{o.name}_{k}_{id(g)}"))
            o.name = g.node[-1].output[0]


def oracle(made):
    copied = onnx.ModelProto()
    copied.CopyFrom(made)
    explicit(copied.graph)
    made = copied
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(None, feeds)))


def draw(made, rows, seed=0):
    """Inputs of a model, with a leading axis of rows."""
    rng = np.random.default_rng(seed)
    feeds = {}
    for v in made.graph.input:
        shape = [d.dim_value for d in v.type.tensor_type.shape.dim]
        x = rng.normal(size=[rows, *shape])
        feeds[v.name] = rng.integers(-2, 9,
                                     [rows,
                                      *shape]) if v.type.tensor_type.elem_type == forms.I else x.astype(np.float32)
    return feeds


def agree(made, rows=ROWS):
    """One row after the other as onnxruntime; all at once, and some at once, bit for bit as one after the other."""
    p, ask = policy_of(made), oracle(made)
    feeds = draw(made, rows)
    one, many, few = p.session(), p.session(rows=rows), p.session(rows=3)
    alone = []
    for r in range(rows):
        got = {k: v.copy() for k, v in one.run({k: v[r] for k, v in feeds.items()}).items()}
        for k, want in ask({k: v[r] for k, v in feeds.items()}).items():
            assert got[k].dtype == want.dtype
            np.testing.assert_allclose(got[k].reshape(want.shape), want, atol=2e-5, rtol=2e-5,
                                       err_msg=f"row {r}, '{k}'")
        alone.append(got)
    together = many.run(feeds)
    for k in together:
        assert np.array_equal(together[k].reshape(rows, -1), np.stack([a[k] for a in alone]).reshape(rows, -1)), k
    for start in range(0, rows - 2, 3):
        part = few.run({k: v[start : start + 3] for k, v in feeds.items()})
        for k in part:
            assert np.array_equal(part[k].reshape(3, -1),
                                  np.stack([a[k] for a in alone[start : start + 3]]).reshape(3, -1)), k
    return alone


@pytest.mark.parametrize("form", forms.IFS + forms.LOOPS, ids=lambda f: f.__name__)
def test_agrees_with_onnxruntime_and_rows_are_alone(form):
    agree(form())


@pytest.mark.parametrize("isa", ["naive", "sse2"])
@pytest.mark.parametrize("form", [forms.torch_cond_mlps, forms.reused_memory, forms.loop_if_inside],
                         ids=lambda f: f.__name__)
def test_agrees_at_every_level(form, isa, monkeypatch):
    monkeypatch.setenv("EFFERENT_ISA", isa)
    agree(form())


# ---- what moves through branches ----


def decimation():
    """A wrapper that runs its policy every third step and otherwise repeats the last action: Mod(step, 3) == 0 ->
    If."""
    then = graph([node("Gemm", "obs w b", "h"), node("Tanh", "h", "a")], [], [("a", [1, 4])])
    other = graph([node("Identity", "last_in", "o")], [], [("o", [1, 4])])
    nodes = [node("Mod", "count_in three", "m"), node("Equal", "m nought", "due"),
             node("Add", "count_in one", "count_out"),
             node("If", "due", "last_out", then_branch=then, else_branch=other),
             node("Identity", "last_out", "action")]
    made = model(nodes, [("obs", [1, 4]), ("count_in", [1], forms.I), ("last_in", [1, 4])],
                 [("action", [1, 4]), ("count_out", [1], forms.I), ("last_out", [1, 4])],
                 three=np.array([3], np.int64), nought=np.array([0], np.int64), one=np.array([1], np.int64),
                 w=forms.weights(1, 4, 4), b=forms.weights(2, 4))
    pairs = {"count_in": "count_out", "last_in": "last_out"}
    made.metadata_props.add(key="efferent.state", value=json.dumps(pairs))
    return made


def test_state_passes_through_a_branch_in_every_row_by_itself():
    made = decimation()
    p, ask = policy_of(made, state={"count_in": "count_out", "last_in": "last_out"}), oracle(made)
    rows, steps = 5, 12
    rng = np.random.default_rng(1)
    many, ones = p.session(rows=rows), [p.session() for _ in range(rows)]
    state = [{"count_in": np.zeros(1, np.int64), "last_in": np.zeros((1, 4), np.float32)} for _ in range(rows)]
    for t in range(steps):
        # rows are reset at different times, so that they disagree about which branch is due
        for r in range(rows):
            if t == r:
                many.reset(r)
                ones[r].reset()
                state[r] = {k: np.zeros_like(v) for k, v in state[r].items()}
        x = rng.normal(size=(rows, 1, 4)).astype(np.float32)
        if t % 4 == 1:
            many.prewarm()
        got = many.step(x)
        for r in range(rows):
            want = ask({"obs": x[r], **state[r]})
            state[r] = {"count_in": want["count_out"], "last_in": want["last_out"]}
            np.testing.assert_allclose(got[r], want["action"], atol=2e-5)
            assert np.array_equal(ones[r].step(x[r]), got[r])


def test_prewarm_changes_nothing():
    for form in (forms.nested_if, forms.torch_cond_mlps, forms.while_that_counts):
        made = form()
        p = policy_of(made)
        a, b = p.session(), p.session()
        for r in range(8):
            x = draw(made, 1, r)["obs"][0]
            a.prewarm()
            got, want = a.run({"obs": x}), b.run({"obs": x})
            a.prewarm()
            for k in want:
                assert np.array_equal(got[k], want[k]) and np.array_equal(a.run({"obs": x})[k], want[k])


def test_a_swap_needs_the_same_branches():
    p = policy_of(forms.simple_if())
    s = p.session()
    s.swap(policy_of(forms.simple_if()))
    with pytest.raises(efferent.Error, match="expected"):
        s.swap(policy_of(forms.nested_if()))


def test_a_policy_shows_its_branches():
    ops = policy_of(forms.torch_cond_mlps()).ops
    assert [o for o in ops if o.startswith("branch")] == ["branch where true, 2 ops", "branch where false, 2 ops"], ops
    assert not any(o.startswith("branch") for o in policy_of(forms.if_in_loop()).ops if "where" not in o)


# ---- what is refused, by name ----


def refused(made, *words, **options):
    with pytest.raises(efferent.Error) as e:
        policy_of(made, **options)
    for w in words:
        assert w in str(e.value), str(e.value)


def test_branches_of_different_shape_are_refused_with_both():
    then, other = graph([node("Neg", "obs", "a")], [],
                        [("a", [1, 4])]), graph([node("ReduceSum", "obs", "b", keepdims=1)], [], [("b", None)])
    refused(model([*forms.SUM, node("If", "c", "action", then_branch=then, else_branch=other)], [forms.OBS],
                  [("action", None)], **forms.ZERO),
            "(If)", "'action'", "f32 [1, 4] in then_branch", "f32 [1, 1] in else_branch", "'c'")
    other = graph([node("Cast", "obs", "b", to=forms.I)], [], [("b", None, forms.I)])
    refused(model([*forms.SUM, node("If", "c", "action", then_branch=then, else_branch=other)], [forms.OBS],
                  [("action", None)], **forms.ZERO), "f32 [1, 4]", "i64 [1, 4]")


def test_loops_without_a_bound_are_refused():
    with_condition = [*forms.STEP, node("Greater", "top eps", "go2")]
    refused(forms.loop(with_condition, trips="", condition="t", t=np.bool_(True), **forms.HALF), "(Loop)",
            "no trip count", "Min or Clip")
    refused(forms.loop(with_condition, trips="n", condition="t", n=np.int64(2**62), t=np.bool_(True), **forms.HALF),
            "(Loop)", "trip count")
    more = [node("ArgMax", "obs", "m", axis=1, keepdims=0), node("Mul", "m m", "n0"), node("Neg", "n0", "n1"),
            node("Abs", "n1", "n")]
    refused(forms.loop([node("Mul", "v half", "v2"), node("Identity", "go", "go2")], more, trips="n", condition="",
                       **forms.HALF), "trip count ('n')", "Min or Clip")


def test_lengths_that_depend_on_the_run_are_refused():
    nodes = [*forms.STEP, node("Greater", "top eps", "go2"), node("Identity", "top", "z")]
    made = forms.loop(nodes, trips="n", condition="t", outputs="action,tops", extra=[("z", [])],
                      results=[forms.ACT, ("tops", None)], n=np.int64(5), t=np.bool_(True), **forms.HALF)
    refused(made, "output 1 ('tops')", "one entry for each trip")


def test_carried_values_that_grow_are_refused():
    nodes = [node("Concat", "v v", "v2", axis=1), node("ReduceMax", "v2", "top", keepdims=0),
             node("Greater", "top eps", "go2")]
    body = graph(nodes, [("i", [], forms.I), ("go", [], forms.B), ("v", None)], [("go2", [], forms.B), ("v2", None)])
    made = model([node("Loop", "n,t,obs", "action", body=body)], [forms.OBS], [("action", None)], n=np.int64(3),
                 t=np.bool_(True), **forms.HALF)
    refused(made, "f32 [1, 8] before and f32 [1, 16] after")


# ---- learning ----


def two_modes(is_branch):
    """Layers before, in and behind two branches; the twin computes both and chooses."""
    sides = [[node("Gemm", "h w2 b2", "m"), node("Tanh", "m", "a")],
             [node("Gemm", "h w3 b3", "n"), node("Elu", "n", "b")]]
    nodes = [*forms.SUM, node("Gemm", "obs w1 b1", "g"), node("Tanh", "g", "h")]
    if is_branch:
        nodes.append(node("If", "c", "y", then_branch=graph(sides[0], [], [("a", [1, 6])]),
                          else_branch=graph(sides[1], [], [("b", [1, 6])])))
    else:
        nodes += [*sides[0], *sides[1], node("Where", "c a b", "y")]
    w = forms.weights
    return model([*nodes, node("Gemm", "y w4 b4", "action")], [forms.OBS], [("action", [1, 2])], **forms.ZERO,
                 w1=w(1, 4, 5), b1=w(2, 5), w2=w(3, 5, 6), b2=w(4, 6), w3=w(5, 5, 6), b3=w(6, 6),
                 w4=w(7, 6, 2), b4=w(8, 2))


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_a_learner_learns_through_the_branch_that_ran(dtype):
    learned = []
    for is_branch in (True, False):
        learner = efferent.Learner(policy=policy_of(two_modes(is_branch), learnable=True), dtype=dtype, seed=3,
                                   critic_warmup_steps=0)
        before = {name: learner[name].copy() for name in learner.shapes}
        rng = np.random.default_rng(5)
        seen, actions = rng.standard_normal(4), []
        for k in range(60):
            actions.append(np.copy(learner.act(seen)))
            seen = rng.standard_normal(4)
            learner.update(seen, rng.standard_normal(), terminated=k % 17 == 16)
        after = {name: learner[name].copy() for name in learner.shapes}
        learned.append((actions, after))
        for name in ("w1", "b1", "w2", "b2", "w3", "b3", "w4", "b4"):
            assert any(n.endswith(name) and not np.array_equal(before[n], after[n]) for n in after), name
    (a, b), (c, d) = learned
    np.testing.assert_allclose(a, c, atol=1e-5)
    assert b.keys() == d.keys()
    for name in b:
        np.testing.assert_allclose(b[name], d[name], atol=1e-5, err_msg=name)


def test_a_loop_of_unknown_length_is_frozen_or_refused_by_name():
    made = forms.loop([node("Gemm", "v w b", "u"), node("Tanh", "u", "v2"), node("ReduceMax", "v2", "top", keepdims=0),
                       node("Greater", "top eps", "go2")],
                      [node("Gemm", "obs w0 b", "o2")], trips="n", condition="t", carried="o2", n=np.int64(4),
                      t=np.bool_(True), w=forms.weights(1, 4, 4), b=forms.weights(2, 4),
                      w0=forms.weights(3, 4, 4), **forms.HALF)
    with pytest.raises(efferent.Error, match="Loop.*trips is computed while running"):
        efferent.Learner(policy=policy_of(made, learnable=True))


# ---- masks and windows ----


def feeds_of(made, rows, seed):
    feeds = draw(made, rows, seed)
    if "t" in feeds:
        kind = np.int32 if made.graph.input[1].type.tensor_type.elem_type == forms.T.INT32 else np.int64
        feeds["t"] = np.random.default_rng(seed).integers(0, 7, feeds["t"].shape).astype(kind)
    return feeds


@pytest.mark.parametrize("form", masks.MASKS + masks.WINDOWS, ids=lambda f: f.__name__)
def test_masks_and_windows_agree_with_onnxruntime(form):
    made = form()
    p, ask = policy_of(made), oracle(made)
    feeds = feeds_of(made, ROWS, 3)
    one, many = p.session(), p.session(rows=ROWS)
    together = {k: v.copy() for k, v in many.run(feeds).items()}
    for r in range(ROWS):
        got = one.run({k: v[r] for k, v in feeds.items()})
        for k, want in ask({k: v[r] for k, v in feeds.items()}).items():
            assert got[k].dtype == want.dtype and got[k].size == want.size
            np.testing.assert_allclose(got[k].reshape(want.shape), want, atol=2e-5, rtol=2e-5,
                                       err_msg=f"row {r}, '{k}'")
            assert np.array_equal(together[k][r].reshape(want.shape), got[k].reshape(want.shape))


def test_an_assignment_through_a_mask_is_a_choice():
    assert [o.split()[0] for o in policy_of(masks.assign_scalar()).ops] == ["binary", "where"]
    assert [o.split()[0] for o in policy_of(masks.assign_scalar_old()).ops] == ["binary", "where"]


def test_masks_that_are_empty_or_full():
    for form in (masks.assign_scalar, masks.assign_function_of_itself, masks.sum_of_some, masks.rows_through_a_layer,
                 masks.masked_scatter):
        made = form()
        p, ask = policy_of(made).session(), oracle(made)
        for x in (np.full((3, 4), 2, np.float32), np.full((3, 4), -2, np.float32)):
            np.testing.assert_allclose(p.run({"obs": x})["action"], ask({"obs": x})["action"], atol=2e-5)


def test_windows_behind_the_last_row_repeat_it():
    made = masks.window_is_the_action()
    table, s = masks.TABLE["table"], policy_of(made).session()
    for t, rows in ((7, [7, 8, 9]), (8, [8, 9, 9]), (9, [9, 9, 9]), (2**40, [9, 9, 9]), (-3, [7, 8, 9]),
                    (-30, [0, 1, 2])):
        got = s.run({"obs": np.zeros((1, 4), np.float32), "t": np.array([t])})["action"]
        assert np.array_equal(got, table[rows]), t


def test_lengths_that_are_decided_while_running_are_refused_by_name():
    less, places = masks.LESS, masks.PLACES
    refused(model([*less, *places, node("GatherND", "obs i", "action")], [masks.WIDE], [("action", None)],
                  **forms.ZERO), "output 'action'", "true element of 'm'", "torch.where")
    refused(model([*less, *places, node("GatherND", "obs i", "p"), node("TopK", "p k", "action j")], [masks.WIDE],
                  [("action", None)], **forms.ZERO, k=np.array([2], np.int64)),
            "(TopK)", "'p'", "true element of 'm'", "torch.where")
    two = [*less, *places, node("Greater", "obs half", "m2"), node("NonZero", "m2", "nz2"),
           node("Transpose", "nz2", "i2"), node("GatherND", "obs i2", "u"),
           node("ScatterND", "obs i u", "action")]
    refused(model(two, [masks.WIDE], [masks.OUT], **forms.ZERO, half=np.float32(0.5)), "(ScatterND)",
            "two masks ('m' and 'm2')")
    one = lambda v: np.array([v], np.int64)  # noqa: E731
    refused(model([node("Slice", "table t end ax", "action")], [masks.TIME], [("action", None)], **masks.TABLE,
                  end=one(2**62), ax=one(0)), "'action'", "computed while running", "start + n")
    refused(model([node("Slice", "table t end ax", "w"), node("Relu", "w", "action")], [masks.TIME], [("action", None)],
                  **masks.TABLE, end=one(2**62), ax=one(0)), "(Relu)", "start + n")
    refused(model([node("Slice", "table t u ax", "action")], [masks.TIME, ("u", [1], forms.I)], [("action", None)],
                  **masks.TABLE, ax=one(0)), "(Slice)", "'t'", "'u'", "end = start + n")
    refused(model([node("Add", "t big", "e"), node("Slice", "table t e ax", "action")], [masks.TIME],
                  [("action", None)], **masks.TABLE, big=one(12), ax=one(0)), "12 elements", "at most 10")
    then = graph([*places, node("GatherND", "obs i", "a")], [], [("a", None)])
    other = graph([node("Neg", "obs", "b")], [], [("b", None)])
    refused(model([*less, node("ReduceSum", "obs", "q", keepdims=0), node("Greater", "q zero", "c"),
                   node("If", "c", "action", then_branch=then, else_branch=other)], [masks.WIDE],
                  [("action", None)], **forms.ZERO), "(If)", "'action'", "true element of 'm'")


def test_padding_keeps_what_it_pads():
    """A fill and a copy write one tensor in this order: no op may write its result there before the fill."""
    made = model([node("Tanh", "obs", "h"), node("Pad", "h pads v", "action")], [forms.OBS], [("action", [1, 4])],
                 pads=np.zeros(4, np.int64), v=np.float32(3))
    x = forms.weights(1, 1, 4)
    np.testing.assert_allclose(policy_of(made).session().step(x), np.tanh(x), atol=1e-6)
def test_random_ops_in_branches_draw_for_their_row_only():
    """A row that takes the other branch neither draws nor disturbs what its neighbours draw."""
    then = graph([node("RandomNormalLike", "obs", "a")], [], [("a", [1, 4])])
    other = graph([node("RandomUniformLike", "obs", "r"), node("Add", "r ten", "b")], [], [("b", [1, 4])])
    made = model([*forms.SUM, node("If", "c", "action", then_branch=then, else_branch=other)], [forms.OBS], [forms.ACT],
                 **forms.ZERO, ten=np.float32(10))
    p = policy_of(made)
    rng = np.random.default_rng(2)
    rows = 4
    x = rng.normal(size=(9, rows, 1, 4)).astype(np.float32)
    many = p.session(rows=rows, seed=7)
    got = np.stack([many.step(x[t]) for t in range(9)])
    is_then = x.sum(axis=(2, 3)) > 0
    assert ((got > 5).all(axis=(2, 3)) == ~is_then).all()
    # the first row's stream is that of a session with one row
    one = p.session(seed=7)
    assert np.array_equal(got[:, 0], np.stack([one.step(x[t, 0]) for t in range(9)]))
