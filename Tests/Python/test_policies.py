"""Every trained policy of the corpus gives onnxruntime's outputs, and recurrent state is carried over whole
trajectories."""
import pytest
import suites

POLICIES = suites.policies()
TRAJECTORIES = suites.trajectories()
absent = pytest.mark.skipif(not POLICIES, reason="no policies: set EFFERENT_POLICIES")


@absent
@pytest.mark.parametrize("name,model,values", POLICIES, ids=[p[0] for p in POLICIES])
def test_matches_onnxruntime(name, model, values):
    suites.check_policy(model, values)


@absent
@pytest.mark.parametrize("name,model,values", TRAJECTORIES, ids=[p[0] for p in TRAJECTORIES])
def test_carries_state_over_a_trajectory(name, model, values):
    suites.check_trajectory(model, values)
