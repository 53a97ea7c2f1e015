"""Classes of very different sizes: each has the same share in the loss, and the learning rate stays right."""

import numpy as np
import pytest

from cnn.network.loss import cross_entropy
from cnn.training.class_weights import class_weights
from cnn.training.step import Step
from tests import tiny
from tests.training.small import IMAGES, bits, network, trained

BALANCED = tiny.train_options(class_weights="balanced")
RARE = np.array([0] * 120 + [1] * 24 + [2] * 6)  # of the 150 images


def test_none_weighs_nothing():
    assert class_weights(RARE, 3, tiny.train_options()) is None


def test_weights_are_those_of_scikit_learn():
    """What `compute_class_weight("balanced", classes=[0, 1, 2], y=RARE)` gives, in float32."""
    expected = np.array([0.4166666666666667, 2.0833333333333335, 8.333333333333334])
    np.testing.assert_array_equal(class_weights(RARE, 3, BALANCED), expected.astype(np.float32), strict=True)


@pytest.mark.parametrize("kind", [np.uint8, np.int64])
def test_each_class_has_the_same_share_and_the_mean_weight_is_one(kind):
    weights = class_weights(RARE.astype(kind), 3, BALANCED)[RARE]
    assert weights.mean() == pytest.approx(1)
    shares = [weights[label == RARE].sum() for label in range(3)]
    np.testing.assert_allclose(shares, 50, rtol=1e-6)


def test_classes_of_one_size_weigh_one_and_a_class_without_images_nothing():
    np.testing.assert_array_equal(class_weights(np.array([0, 3, 3, 0]), 5, BALANCED), [1, 0, 0, 1, 0])


def test_a_steps_loss_is_the_weighted_mean():
    model, labels = network(), RARE.astype(np.int32)
    likelihoods = np.asarray(model(IMAGES.astype(np.float32)))[np.arange(150), labels]
    weights = class_weights(RARE, 3, BALANCED)
    step = Step(model, IMAGES.dtype, tiny.train_options(batch_size=150), weights)
    loss, *_ = step.run(IMAGES, labels, np.ones(150, np.float32), np.zeros(1, np.float32), 0)
    assert loss == pytest.approx((cross_entropy(likelihoods) * weights[labels]).sum(), rel=1e-5)


def test_a_weighted_step_is_a_step_with_an_image_as_often_as_it_weighs():
    """Weights 0.5 and 1.5: like a batch twice as large that has the image of the rare class three times."""
    weights = np.array([0.5, 1.5, 0], np.float32)
    labels = np.array([0, 0, 1, 1], np.int32)
    rows = [0, 1, 2, 2, 2, 3, 3, 3]
    models = network(), network()
    Step(models[0], IMAGES.dtype, tiny.train_options(optimizer="sgd", batch_size=4), weights).run(
        IMAGES[:4], labels, np.ones(4, np.float32), np.full(1, 0.1, np.float32), 0
    )
    Step(models[1], IMAGES.dtype, tiny.train_options(optimizer="sgd", batch_size=8)).run(
        IMAGES[rows], labels[rows], np.ones(8, np.float32), np.full(1, 0.1, np.float32), 0
    )
    for ours, theirs in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_where_all_classes_have_one_size_weights_change_no_bit():
    assert bits(trained(class_weights="balanced")) == bits(trained())


def test_a_rare_class_is_learnt_sooner():
    images, labels = tiny.bars(600, seed=3)
    kept = (labels != 2) | (np.arange(600) < 30)  # 200, 200 and 10
    recalls = {}
    for weights in ("none", "balanced"):
        model, _ = trained(data=(images[kept], labels[kept]), epochs=3, class_weights=weights)
        others, actual = tiny.bars(300, seed=4)
        answers = np.asarray(model(others.astype(np.float32))).argmax(axis=1)
        recalls[weights] = (answers[actual == 2] == 2).mean()
    assert recalls["balanced"] > recalls["none"] + 0.2, recalls


def test_without_weights_the_graph_has_none():
    def operations(weights):
        graph = Step(network(), IMAGES.dtype, tiny.train_options(), weights).graph().as_graph_def()
        return sum(len(function.node_def) for function in graph.library.function)

    assert operations(None) < operations(np.ones(3, np.float32))
