"""The state audit on networks whose dependence on the state is known."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny

from ldseg.data.cases import find_cases, load_case
from ldseg.errors import DataError
from ldseg.inference.predictor import Predictor
from ldseg.inference.state_audit import STATES, Audited, StateAudit, _Window, audit_states
from ldseg.segmenter import Segmenter

OWN, TRUE, OTHER, NOISE = range(4)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.phantoms(tmp_path_factory.mktemp("audit"), count=3) / "Set"


@pytest.fixture(scope="module")
def networks() -> Iterator[None]:
    with tiny.tiny_networks(stateful=False):
        yield


def audited(data: Path, steps: int = 3, **changes: object) -> tuple[StateAudit, list[Audited]]:
    segmenter = tiny.varied(Segmenter(tiny.spec(**changes)))
    audit = StateAudit(Predictor(segmenter, steps=steps))
    audit.compile()
    return audit, list(audit_states(audit, find_cases(data).cases, tiny.preprocessing(), seed=0))


def test_shapes_and_times(networks: None, data: Path) -> None:
    audit, found = audited(data)
    assert audit.times == (1000, 667, 333)
    assert len(found) == 3
    for item in found:
        assert item.masks is not None
        assert item.masks.shape == (3, len(STATES), *tiny.SIZE)
        assert item.label is not None
        assert item.label.shape == tiny.SIZE
    segmenter = Segmenter(tiny.spec())
    assert len(StateAudit(Predictor(segmenter, steps=50)).steps) == 8
    assert StateAudit(Predictor(segmenter, steps=50)).steps[-1] == 49


def test_the_own_state_is_that_of_the_run(networks: None, data: Path) -> None:
    """The estimate at the last step is what the run ends on."""
    audit, found = audited(data)
    cases = find_cases(data).cases
    assert [item.name for item in found] == [case.name for case in cases]
    for item, case in zip(found, cases, strict=True):
        window = _Window(load_case(case, tiny.preprocessing()), tiny.preprocessing(), audit.predictor, 0)
        run = np.asarray(audit.predictor({"image": window.image[None], "noise": window.noise[None]}))[0, 0]
        assert item.masks is not None
        np.testing.assert_array_equal(item.masks[-1, OWN], run.argmax(axis=-1))


def test_the_scores_of_a_case() -> None:
    label, masks = np.array([0, 0, 1, 1]), np.zeros((1, 4, 4), int)
    masks[0, OWN, 2], masks[0, TRUE] = 1, label
    found = Audited(name="a", masks=masks, label=label).scores(2)
    assert found.shape == (1, 4, 2, 2)
    assert found[0, OWN].tolist() == [[pytest.approx(0.8), pytest.approx(2 / 3)], [1, 1]]
    assert found[0, TRUE].tolist() == [[1, 1], [pytest.approx(0.8), pytest.approx(2 / 3)]]
    with pytest.raises(ValueError, match="broken was not audited: no image"):
        Audited(name="broken", problem="no image").scores(2)


def test_of_a_control_no_state_changes_the_mask(networks: None, data: Path) -> None:
    _, found = audited(data, control=True)
    for item in found:
        assert item.masks is not None
        assert (item.masks == item.masks[:, :1]).all()
        assert 0 < item.masks.mean() < 1


def test_a_denoiser_that_gives_back_its_state(networks: None, data: Path) -> None:
    """Near t = 0 the true state then decodes to the label's own reconstruction, another's to that of the other."""
    segmenter = tiny.varied(Segmenter(tiny.spec()))
    segmenter.denoise = lambda x_t, condition, time, training=False: x_t  # type: ignore[method-assign]
    audit = StateAudit(Predictor(segmenter, steps=100))
    audit.compile()
    found = list(audit_states(audit, find_cases(data).cases, tiny.preprocessing(), seed=0))
    for index, item in enumerate(found):
        following = found[(index + 1) % len(found)]
        assert item.masks is not None
        assert item.label is not None
        assert following.label is not None
        for state, label in ((TRUE, item.label), (OTHER, following.label)):
            rebuilt = np.asarray(segmenter.decode(segmenter.encode_label(label[np.newaxis])))[0].argmax(axis=-1)
            assert (item.masks[-1, state] == rebuilt).mean() > 0.95
        assert (item.masks[-1, TRUE] != item.masks[-1, OTHER]).mean() > 0.02


def test_noise_is_new_at_every_step_and_the_case_s_own(networks: None, data: Path) -> None:
    _, found = audited(data)
    again = audited(data)[1]
    for item, other in zip(found, again, strict=True):
        assert item.masks is not None
        np.testing.assert_array_equal(item.masks, other.masks)
        assert (item.masks[0, NOISE] != item.masks[1, NOISE]).any()


def test_too_few_cases(networks: None, data: Path) -> None:
    audit = StateAudit(Predictor(Segmenter(tiny.spec())))
    audit.compile()
    cases = find_cases(data).cases
    broken = replace(cases[1], label=None)
    with pytest.raises(DataError, match="at least two cases with a label, got 1"):
        list(audit_states(audit, [cases[0], broken], tiny.preprocessing(), seed=0))


def test_a_case_without_label_is_a_problem(networks: None, data: Path) -> None:
    audit = StateAudit(Predictor(Segmenter(tiny.spec()), steps=1))
    audit.compile()
    first, *rest = find_cases(data).cases
    found = list(audit_states(audit, [replace(first, label=None), *rest], tiny.preprocessing(), seed=0))
    assert "expected a label, found none" in found[0].problem
    assert [item.masks is None for item in found] == [True, False, False]
