"""Memory of destroyed policies that is kept for the next ones: huge pages, two at most, handed out as they are."""
import os
import threading

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import efferent


def write(path, width, seed):
    """A policy of 17 -> width -> width -> 6."""
    rng = numpy.random.default_rng(seed)
    sizes, nodes, weights, x = [17, width, width, 6], [], [], "obs"
    for i in range(3):
        w = rng.uniform(-1, 1, (sizes[i + 1], sizes[i])).astype(numpy.float32) / numpy.sqrt(sizes[i])
        weights += [numpy_helper.from_array(w.astype(numpy.float32), f"w{i}")]
        nodes += [helper.make_node("Gemm", [x, f"w{i}"], [f"g{i}"], transB=1)]
        x = "action" if i == 2 else f"t{i}"
        nodes += [helper.make_node("Tanh", [f"g{i}"], [x])]
    port = lambda name, n: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, n])  # noqa: E731
    graph = helper.make_graph(nodes, "net", [port("obs", 17)], [port("action", 6)], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return str(path)


OBSERVATION = numpy.linspace(-1, 1, 17, dtype=numpy.float32)


def answer(path, **options):
    with efferent.Policy(path, **options) as policy, policy.session() as session:
        return session.step(OBSERVATION).copy()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Both plans lie in one page: the one beside its file, the other where the file before it was."""
    folder = tmp_path_factory.mktemp("pages")
    return [write(folder / f"{width}.onnx", width, width) for width in (200, 256, 420, 600)]


def test_policies_that_follow_each_other_answer_as_the_first_did(files):
    first = [answer(f) for f in files]
    assert len({a.tobytes() for a in first}) == len(files)
    for i in (3, 0, 2, 1, 1, 3, 2, 0):
        assert answer(files[i]).tobytes() == first[i].tobytes()
        assert answer(files[i], weights="bf16").shape == first[i].shape


def test_threads_that_load_at_once_have_pages_of_their_own(files):
    first, wrong = [answer(f) for f in files], []

    def work(offset):
        for i in range(60):
            k = (i + offset) % len(files)
            if answer(files[k]).tobytes() != first[k].tobytes():
                wrong.append((offset, i))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_child_process_has_pages_of_its_own(files):
    first = [answer(f) for f in files]
    child = os.fork()
    if child == 0:
        good = all(answer(f).tobytes() == a.tobytes() for _ in range(5) for f, a in zip(files, first))
        os._exit(0 if good else 1)
    assert all(answer(f).tobytes() == a.tobytes() for _ in range(5) for f, a in zip(files, first))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def resident():
    """Bytes of memory that this process has."""
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_two_pages_are_kept_and_no_more(files):
    answer(files[1])
    before = resident()
    policies = [efferent.Policy(files[1]) for _ in range(16)]
    held = resident() - before
    for policy in policies:
        policy.close()
    left = resident() - before
    assert held > 16 * 300_000
    assert left <= 2 * (2 << 20) + 1_000_000
