"""The corpus of policy cards of EFFERENT_CARDS or ../shared/cards, compared as its own check.py does."""
import json

import pytest

from efferent import Error, _sidecars
from suites import CARD_MANIFEST, CARDS, HAS_CARDS, card_check, supplied

pytest.importorskip("yaml")
if not HAS_CARDS:
    pytest.skip("no corpus of policy cards here (EFFERENT_CARDS or ../shared/cards)", allow_module_level=True)

CASES = {c["id"]: c for c in CARD_MANIFEST["cases"]}
# read by the core from the network's metadata, or cards already
OF_THE_CORE = {"card", "csv_metadata", "holosoma_json", "exploy"}


@pytest.fixture(scope="module")
def check():
    return card_check()


def imported(entry):
    return _sidecars.import_files([CARDS / f for f in entry["files"] or []], supplied(entry))


@pytest.mark.parametrize("name", [c["id"] for c in CARD_MANIFEST["cases"] if c["convention"] not in OF_THE_CORE])
def test_sidecars_become_the_expected_card(check, name):
    found = json.loads(json.dumps(imported(CASES[name])))
    expected = json.loads((CARDS / CASES[name]["card"]).read_text())
    assert not check.diff(check.norm(found), check.norm(expected))


@pytest.mark.parametrize("entry",
                         [n for n in CARD_MANIFEST["negatives"] if n["convention"] not in OF_THE_CORE
                          and n["stage"] == "import"],
                         ids=lambda n: n["id"])
def test_sidecars_that_are_wrong_are_refused_by_name(entry):
    case = {**CASES[entry["base_case"]], **{k: v for k, v in entry.items() if k != "id"}}
    with pytest.raises(Error) as caught:
        imported(case)
    text = str(caught.value).lower()
    assert [w for w in entry["must_name"] if w.lower() not in text] == []
    assert all(any(w.lower() in text for w in words) for words in entry["any_of"])
    assert caught.value.status.endswith(entry["status"])
