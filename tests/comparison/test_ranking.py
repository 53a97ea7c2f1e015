"""Rankings: the best first, the others told apart from it no more often by luck than stated."""

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from cnn.comparison import ranking
from cnn.comparison.noise import Noise
from tests.comparison import made_up
from tests.comparison.made_up import result, rows


def classifiers(*wrong, n=1000):
    """Results that are wrong on these images: a range, or a set of their numbers, each."""
    return [
        result(f"{number}", rows(~np.isin(np.arange(n), list(one)), seed=number)) for number, one in enumerate(wrong)
    ]


def places(ranked):
    return [(one.result.name, one.place) for one in ranked]


def test_the_best_comes_first_and_what_differs_from_it_by_luck_is_said():
    ranked = ranking.rank(classifiers(range(60), range(20), range(22), range(45)))
    assert places(ranked) == [
        ("1", ranking.FIRST),
        ("2", ranking.TOGETHER),
        ("3", ranking.WORSE),
        ("0", ranking.WORSE),
    ]
    assert ranked[0].p_value == 1.0


def test_p_values_are_corrected_for_all_pairs():
    results = classifiers(range(0, 20), range(10, 45), range(40, 70), range(100, 128))
    right = [(one.predictions["actual"] == one.predictions["predicted"]).to_numpy() for one in results]
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    tables = [[[0, (right[i] & ~right[j]).sum()], [(right[j] & ~right[i]).sum(), 0]] for i, j in pairs]
    expected = multipletests([mcnemar(table, exact=True).pvalue for table in tables], method="holm")[1]
    corrected = dict(zip(pairs, expected, strict=True))
    ranked = ranking.rank(results)
    assert [one.result.name for one in ranked] == ["0", "3", "2", "1"]
    for one in ranked[1:]:
        assert one.p_value == pytest.approx(corrected[0, int(one.result.name)], rel=0, abs=1e-12)


def test_one_more_result_can_take_evidence_away():
    """Gained 8, lost 0: p = 0.008 of one pair, and no evidence among 28 pairs."""
    assert [one.place for one in ranking.rank(classifiers(range(8), ()))] == [ranking.FIRST, ranking.WORSE]
    many = ranking.rank(classifiers(range(8), *[()] * 7))
    assert [one.place for one in many] == [ranking.FIRST] + [ranking.TOGETHER] * 7


def test_equals_in_accuracy_are_ordered_by_loss_and_then_as_they_were_named():
    right = np.arange(300) >= 10
    sure, unsure = rows(right), rows(right).assign(likelihood=0.2)
    ranked = ranking.rank([result("unsure", unsure), result("sure", sure), result("as sure", sure)])
    assert [one.result.name for one in ranked] == ["sure", "as sure", "unsure"]
    assert [one.place for one in ranked] == [ranking.FIRST, ranking.TOGETHER, ranking.TOGETHER]
    assert [one.p_value for one in ranked] == [1.0, 1.0, 1.0]


def test_the_order_of_rows_does_not_matter():
    one, other = classifiers(range(40), range(30, 45))
    mixed = result("1", other.predictions.sample(frac=1, random_state=5))
    assert ranking.rank([one, mixed])[1].p_value == ranking.rank([one, other])[1].p_value


def test_those_with_other_images_or_classes_than_the_first_named_come_last():
    right = np.ones(30, bool)
    named = [
        result("named first", rows(right)),
        result("other classes", rows(right), classes=["ant", "bee", "dog"]),
        result("none", rows(right, split="test")),
        result("other images", rows(right, made_up.images(30, seed=1))),
        result("worse", rows(~right)),
    ]
    assert places(ranking.rank(named)) == [
        ("named first", ranking.FIRST),
        ("worse", ranking.WORSE),
        ("other classes", "not comparable: other classes (3 and 3, by name and order)"),
        ("none", "not comparable: other validation images (30 and 0, of which 0 are the same)"),
        ("other images", "not comparable: other validation images (30 and 30, of which 0 are the same)"),
    ]


def test_where_the_first_named_has_no_images_there_is_no_ranking():
    results = [result("a", rows(np.ones(30, bool), split="test")), result("b", rows(np.ones(30, bool)))]
    ranked = ranking.rank(results)
    assert [one.place.split(":")[0] for one in ranked] == [ranking.NOT_COMPARABLE] * 2


def test_below_the_seeds_noise_none_is_called_worse():
    results = classifiers(range(20), range(60))
    small, large = (Noise({"validation.accuracy": x}, 5, ("train.seed",), "") for x in (0.001, 0.02))
    assert [one.place for one in ranking.rank(results, noise=small)] == [ranking.FIRST, ranking.WORSE]
    unsure = ranking.rank(results, noise=large)
    assert [one.place for one in unsure] == [ranking.FIRST, ranking.TOGETHER]
    assert unsure[1].p_value < 0.05


@pytest.mark.parametrize(("n", "wrong"), [(400, 0.03), (1000, 0.1)])
def test_among_six_equals_one_is_called_worse_in_no_more_than_5_of_100_rankings(n, wrong):
    """Each is wrong on images of its own: the largest chance of luck. The margin: three standard deviations."""
    random, draws, false = np.random.default_rng(0), 400, 0
    for _ in range(draws):
        right = sorted(random.random((6, n)) >= wrong, key=lambda one: -one.sum())
        false += ranking.WORSE in [place for place, _ in ranking.places(right)]
    assert false / draws <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / draws)


def test_a_classifier_that_is_much_better_than_five_equals_is_seen():
    random = np.random.default_rng(0)
    right = sorted(random.random((6, 1000)) >= [[0.03], *[[0.1]] * 5], key=lambda one: -one.sum())
    assert [place for place, _ in ranking.places(right)] == [ranking.FIRST] + [ranking.WORSE] * 5
