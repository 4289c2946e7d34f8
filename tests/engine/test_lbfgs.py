"""L-BFGS: what it remembers brings it to the minimum, in whatever basis, in half the memory, and over a pause."""

import pytest
import torch

from monet_watch.engine.lbfgs import LBFGS

COUNT = 40
LARGE = 2**40


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def hessian(most=100.0):
    """A symmetric matrix with curvatures from 1 to ``most`` along random axes."""
    axes, _ = torch.linalg.qr(normal(COUNT, COUNT, seed=1))
    return (axes * torch.logspace(0, torch.tensor(most).log10().item(), COUNT, dtype=torch.float64)) @ axes.T


def path(lbfgs, gradient_at, start, steps, first=1e-3):
    """The places that L-BFGS goes through from ``start``."""
    x, last, places = start.clone(), None, [start.clone()]
    for _ in range(steps):
        gradient = gradient_at(x)
        if last is not None:
            lbfgs.remember(last[1], gradient - last[0])
        direction = lbfgs.direction(gradient)
        move = direction * (1.0 if lbfgs.knows_a_scale else first)
        x = x + move
        last = (gradient, move)
        places.append(x.clone())
    return places


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_quadratic_is_brought_to_its_minimum_with_pairs_of_any_precision(dtype):
    matrix, minimum = hessian(), normal(COUNT, seed=2)
    places = path(LBFGS(COUNT, dtype=dtype), lambda x: matrix @ (x - minimum), torch.zeros_like(minimum), 70)

    assert (places[-1] - minimum).norm() < 1e-5 * minimum.norm()


def test_with_as_many_pairs_as_dimensions_the_direction_is_newton_s():
    """Along conjugate axes the pairs tell the whole of the Hessian."""
    curvatures = torch.linspace(1, 9, 5, dtype=torch.float64)
    lbfgs = LBFGS(5)
    for axis in torch.eye(5, dtype=torch.float64):
        lbfgs.remember(axis, curvatures * axis)
    gradient = normal(5, seed=3)

    torch.testing.assert_close(lbfgs.direction(gradient), -gradient / curvatures)


def test_in_the_basis_a_the_path_is_that_of_plain_l_bfgs_on_p_with_x_equal_to_a_p():
    matrix, minimum, basis = hessian(), normal(COUNT, seed=2), normal(COUNT, COUNT, seed=4)

    def gradient(x):
        return matrix @ (x - minimum)

    whole = basis @ basis.T
    ours = path(LBFGS(6, lambda vector: whole @ vector, torch.float64), gradient, torch.zeros_like(minimum), 25)
    plain = LBFGS(6, dtype=torch.float64)
    theirs = path(plain, lambda p: basis.T @ gradient(basis @ p), torch.zeros_like(minimum), 25)
    for x, p in zip(ours, theirs, strict=True):
        torch.testing.assert_close(x, basis @ p, rtol=1e-6, atol=1e-7)


def test_a_basis_that_knows_the_curvature_needs_a_few_steps_only():
    matrix, minimum = hessian(1e4), normal(COUNT, seed=2)
    inverse = torch.linalg.inv(matrix)
    known, unknown = (
        path(LBFGS(4, basis), lambda x: matrix @ (x - minimum), torch.zeros_like(minimum), 12)[-1]
        for basis in (lambda vector: inverse @ vector, lambda vector: vector)
    )

    assert (known - minimum).norm() < 1e-5 * minimum.norm()
    assert (unknown - minimum).norm() > 1e-2 * minimum.norm()


def test_nothing_known_the_direction_is_downhill_and_has_no_scale():
    lbfgs, gradient = LBFGS(4), normal(COUNT)

    assert not lbfgs.knows_a_scale and not lbfgs.has_pairs
    assert torch.equal(lbfgs.direction(gradient), -gradient)
    assert torch.equal(LBFGS(4, lambda vector: 3 * vector).direction(gradient), -3 * gradient)


@pytest.mark.parametrize("scale", [2.0**-30, 2.0**-60, 2.0**30])
def test_the_path_does_not_depend_on_the_scale_of_the_loss(scale):
    """A power of two moves exponents only, so that the places are the same to the bit."""
    matrix, minimum = hessian(), normal(COUNT, seed=2)

    def places(scale):
        lbfgs = LBFGS(6, dtype=torch.float64)
        found = path(lbfgs, lambda x: scale * (matrix @ (x - minimum)), torch.zeros_like(minimum), 30, 1e-3 / scale)
        assert len(lbfgs) == 6
        return torch.stack(found)

    assert torch.equal(places(scale), places(1.0))


def test_of_a_pair_that_bends_downwards_only_the_size_of_the_curvature_is_kept():
    lbfgs, move, gradient = LBFGS(4), normal(COUNT, seed=1), normal(COUNT, seed=2)
    lbfgs.remember(move, -8 * move)

    assert lbfgs.knows_a_scale and not lbfgs.has_pairs
    torch.testing.assert_close(lbfgs.direction(gradient), -gradient / 8)


def test_a_pair_that_bends_downwards_changes_nothing_once_there_are_others():
    lbfgs, move, gradient = LBFGS(4), normal(COUNT, seed=1), normal(COUNT, seed=2)
    lbfgs.remember(move, 5 * move)
    before = lbfgs.direction(gradient)
    lbfgs.remember(move, -8 * move)

    assert len(lbfgs) == 1
    assert torch.equal(lbfgs.direction(gradient), before)


def test_a_change_of_nothing_says_nothing():
    lbfgs = LBFGS(4)
    lbfgs.remember(normal(COUNT), torch.zeros(COUNT, dtype=torch.float64))

    assert not lbfgs.knows_a_scale


def test_the_oldest_pair_goes_first():
    lbfgs, last_two = LBFGS(2, dtype=torch.float64), LBFGS(2, dtype=torch.float64)
    pairs = [(normal(COUNT, seed=seed), hessian() @ normal(COUNT, seed=seed)) for seed in range(5)]
    for pair in pairs:
        lbfgs.remember(*pair)
    for pair in pairs[-2:]:
        last_two.remember(*pair)

    assert len(lbfgs) == 2
    assert torch.equal(lbfgs.direction(normal(COUNT)), last_two.direction(normal(COUNT)))


def learnt(history_size=6, dtype=torch.float64):
    lbfgs, matrix = LBFGS(history_size, dtype=dtype), hessian()
    path(lbfgs, lambda x: matrix @ x, normal(COUNT), 10)
    return lbfgs


def test_what_is_forgotten_is_as_if_it_had_never_been():
    lbfgs, gradient = learnt(), normal(COUNT)
    lbfgs.forget()

    assert not lbfgs.knows_a_scale and not lbfgs.has_pairs
    assert torch.equal(lbfgs.direction(gradient), -gradient)
    assert lbfgs.state(LARGE) == {}


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_its_state_is_all_that_it_knows(dtype):
    lbfgs, again = learnt(dtype=dtype), LBFGS(6, dtype=dtype)
    again.restore(lbfgs.state(LARGE), normal(COUNT))

    assert torch.equal(again.direction(normal(COUNT, seed=5)), lbfgs.direction(normal(COUNT, seed=5)))


def test_its_state_holds_the_latest_pairs_that_fit_and_always_the_scale():
    lbfgs = learnt()
    state, whole = lbfgs.state(2 * 2 * COUNT * 8 + 8), lbfgs.state(LARGE)

    assert torch.equal(state["moves"], whole["moves"][-2:]) and len(whole["moves"]) == 6
    assert set(lbfgs.state(0)) == {"scale"}


def test_a_state_of_images_of_another_size_or_without_a_part_is_refused():
    state = learnt().state(LARGE)

    with pytest.raises(ValueError, match="shapes"):
        LBFGS(6).restore(state, normal(COUNT + 1))
    state.pop("factors")
    with pytest.raises(KeyError):
        LBFGS(6).restore(state, normal(COUNT))
