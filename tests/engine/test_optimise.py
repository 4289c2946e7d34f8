"""L-BFGS, one evaluation at a time, on the path of torch's own longer runs; its state survives a pause to the bit."""

import pytest
import torch
from safetensors.torch import load, save

from monet_watch.engine.events import Losses
from monet_watch.engine.losses import Evaluation, Objective, style_targets
from monet_watch.engine.optimise import Optimiser
from monet_watch.engine.parametrisation import Pixels, Spectral
from monet_watch.errors import PaintingError
from monet_watch.recipes import Recipe

LARGE = 2**40
SHAPE = (1, 3, 32, 40)


class Counted:
    """An objective that counts how often it is evaluated."""

    def __init__(self, objective):
        self.objective = objective
        self.count = 0

    def __call__(self, image):
        self.count += 1
        return self.objective(image)


def pixel_optimiser(image, objective, recipe):
    return Optimiser(image, objective, Pixels(recipe.lr), lr=recipe.lr, history_size=recipe.history_size)


def evaluated(total, image):
    """What the objective whose value at ``image`` is ``total`` would answer, its gradient by autograd."""
    (gradient,) = torch.autograd.grad(total, image)
    return Evaluation(Losses(total.item(), 0, 0, 0), gradient)


def bowl(image):
    """A convex objective of unequal curvature, with its minimum of 0 at 0.5 everywhere."""
    curvature = torch.linspace(1, 50, image.numel(), device=image.device).view(image.shape)
    image = image.clone().requires_grad_()
    total = (curvature * (image - 0.5) ** 2).sum()
    return evaluated(total, image)


@pytest.fixture
def image():
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def perceptual(tiny_network, image):
    style = torch.rand(SHAPE, generator=torch.Generator().manual_seed(2))
    recipe = Recipe()
    return Objective(tiny_network, image, style_targets(tiny_network, [style], recipe), recipe)


def test_each_step_evaluates_the_objective_exactly_once(image, perceptual):
    counted = Counted(perceptual)
    optimiser = pixel_optimiser(image, counted, Recipe())

    for number in range(1, 46):
        optimiser.step()
        assert counted.count == number


@pytest.mark.parametrize("history_size", [3, 100])
def test_the_path_is_that_of_torch_s_optimiser_with_twenty_iterations_a_call(image, perceptual, history_size):
    optimiser = pixel_optimiser(image, perceptual, Recipe(history_size=history_size))
    ours = [optimiser.step().total for _ in range(60)]

    moved = image.clone().requires_grad_(True)
    lbfgs = torch.optim.LBFGS([moved], lr=0.03, history_size=history_size)
    theirs = []

    def closure():
        lbfgs.zero_grad()
        evaluation = perceptual(moved.detach())
        moved.grad = evaluation.gradient
        theirs.append(evaluation.losses.total)
        return evaluation.losses.total

    for _ in range(3):
        lbfgs.step(closure)
    assert ours == theirs
    assert torch.equal(optimiser.image, moved.detach())


def test_the_losses_of_a_step_are_those_before_the_move(image):
    optimiser = pixel_optimiser(image, bowl, Recipe())

    assert optimiser.step().total == bowl(image).losses.total
    assert optimiser.step().total < bowl(image).losses.total


def test_a_convex_objective_is_brought_to_its_minimum(image):
    optimiser = pixel_optimiser(image, bowl, Recipe(lr=1))
    for _ in range(60):
        losses = optimiser.step()

    assert losses.total < 1e-6 * bowl(image).losses.total


def by_autograd(function):
    """The objective that ``function`` of an image is."""

    def objective(image):
        image = image.clone().requires_grad_()
        return evaluated(function(image), image)

    return objective


def test_where_the_first_curvature_is_negative_the_next_move_is_the_gradient_over_its_size(image):
    """Of v·u - 2·u², with u the distance from the start, the gradient is v - 4·u and the curvature -4 everywhere."""
    start = image.double()
    slope = torch.linspace(-1, 1, start.numel(), dtype=torch.float64).view(SHAPE)
    dome = by_autograd(lambda moved: (slope * (moved - start) - 2 * (moved - start) ** 2).sum())
    optimiser = pixel_optimiser(start, dome, Recipe())

    optimiser.step()
    first = optimiser.image.clone()
    optimiser.step()
    torch.testing.assert_close(optimiser.image, first - (slope - 4 * (first - start)) / 4, rtol=1e-6, atol=1e-9)


def test_beyond_a_place_that_bends_downwards_the_loss_falls_without_ever_rising(image):
    """Along the first gradient of this objective the loss bends downwards; further on it is a bowl."""

    def dome_in_a_bowl(moved):
        squares = (moved - image).square().sum()
        return 1e4 * (squares - 2e-4 * (moved - image).sum() - 5e-1 * squares / (1e-4 + squares))

    optimiser = pixel_optimiser(image, by_autograd(dome_in_a_bowl), Recipe())
    curve = [optimiser.step().total for _ in range(30)]

    assert max(curve) == curve[0]
    assert curve[-1] < curve[0]


def test_small_weights_do_not_bring_the_optimiser_to_a_stand(image):
    """Gradients of 1e-8 are below torch's default tolerance, and no pair of theirs reaches its bound on curvature."""

    def faint(moved):
        found = bowl(moved)
        return Evaluation(Losses(found.losses.total * 1e-9, 0, 0, 0), found.gradient * 1e-9)

    optimiser = pixel_optimiser(image, faint, Recipe(lr=1))
    curve = [optimiser.step().total for _ in range(40)]

    assert curve[-1] < 0.01 * curve[0]


def test_where_the_gradient_does_not_change_each_move_is_as_careful_as_the_first(image):
    """Of a plane, torch's first move is lr / |g|₁ times the gradient: here 0.03 / 3840 for each of 3840 values."""
    optimiser = pixel_optimiser(image.double(), by_autograd(torch.sum), Recipe())
    for _ in range(3):
        optimiser.step()

    torch.testing.assert_close(
        image.double() - optimiser.image, torch.full(SHAPE, 3 * 0.03 / 3840, dtype=torch.float64)
    )


def test_a_gradient_of_zero_leaves_the_image_as_it_is_and_still_counts_as_a_step():
    middle = torch.full(SHAPE, 0.5)
    counted = Counted(bowl)
    optimiser = pixel_optimiser(middle, counted, Recipe())
    for _ in range(3):
        optimiser.step()

    assert counted.count == 3
    assert torch.equal(optimiser.image, middle)
    pixel_optimiser(middle, bowl, Recipe()).restore(optimiser.state(LARGE))


def test_the_image_given_is_not_changed(image):
    before = image.clone()
    pixel_optimiser(image, bowl, Recipe()).step()

    assert torch.equal(image, before)


@pytest.mark.parametrize("pause", [1, 2, 7, 30])
def test_after_a_pause_at_any_step_the_path_goes_on_to_the_bit(image, perceptual, pause):
    recipe = Recipe(history_size=10)
    whole = pixel_optimiser(image, perceptual, recipe)
    curve = [whole.step() for _ in range(40)]

    first = pixel_optimiser(image, perceptual, recipe)
    before = [first.step() for _ in range(pause)]
    second = pixel_optimiser(torch.zeros(SHAPE), perceptual, recipe)
    second.restore(load(save(first.state(LARGE))))
    after = [second.step() for _ in range(40 - pause)]

    assert before + after == curve
    assert torch.equal(second.image, whole.image)


def test_a_state_may_be_restored_twice(image, perceptual):
    """What is restored is a copy: going on does not change the checkpoint."""
    first = pixel_optimiser(image, perceptual, Recipe())
    for _ in range(5):
        first.step()
    state = first.state(LARGE)
    kept = {name: value.clone() for name, value in state.items()}
    curves = []
    for _ in range(2):
        again = pixel_optimiser(image, perceptual, Recipe())
        again.restore(state)
        curves.append([again.step() for _ in range(5)])

    assert curves[0] == curves[1]
    assert all(torch.equal(state[name], kept[name]) for name in kept)


def test_a_state_holds_the_latest_of_the_history_that_fits_into_the_limit(image, perceptual):
    optimiser = pixel_optimiser(image, perceptual, Recipe())
    for _ in range(12):
        optimiser.step()
    one = image.numel() * 4
    whole = optimiser.state(LARGE)
    assert len(whole["moves"]) == 11

    limited = optimiser.state(3 * one + 8 * one)
    for name in ("moves", "changes", "factors"):
        assert torch.equal(limited[name], whole[name][-4:])
    assert set(optimiser.state(3 * one + one)) == {"variable", "pairs", "scale", "gradient", "direction", "length"}


def test_a_state_without_room_holds_the_variable_and_the_size_of_the_curvature(image, perceptual):
    optimiser = pixel_optimiser(image, perceptual, Recipe())
    assert set(optimiser.state(0)) == {"variable", "pairs"}
    for _ in range(5):
        optimiser.step()

    assert set(optimiser.state(0)) == {"variable", "pairs", "scale"}


def test_restoring_tells_whether_anything_had_been_left_out(image, perceptual):
    optimiser = pixel_optimiser(image, perceptual, Recipe())
    for _ in range(5):
        optimiser.step()

    assert pixel_optimiser(image, perceptual, Recipe()).restore(optimiser.state(LARGE))
    assert not pixel_optimiser(image, perceptual, Recipe()).restore(optimiser.state(6 * image.numel() * 4))
    assert not pixel_optimiser(image, perceptual, Recipe()).restore(optimiser.state(0))


def test_a_direction_that_overflows_moves_nothing_beyond_recall(image):
    """A gradient may be finite while its products with what is remembered are not."""

    def steep(moved):
        found = bowl(moved)
        return Evaluation(found.losses, found.gradient * 1e37)

    optimiser = pixel_optimiser(image, steep, Recipe())
    for _ in range(4):
        optimiser.step()
    assert bool(optimiser.image.isfinite().all())


def test_a_limited_state_still_paints_on(image, perceptual):
    optimiser = pixel_optimiser(image, perceptual, Recipe())
    start = [optimiser.step() for _ in range(12)]
    second = pixel_optimiser(image, perceptual, Recipe())
    second.restore(optimiser.state(0))

    assert [second.step() for _ in range(20)][-1].total < start[-1].total


def test_a_state_keeps_doubles_off_the_device(image):
    """MPS has no doubles: every one of them is a plain number on the CPU, and vectors are float32."""
    optimiser = pixel_optimiser(image, bowl, Recipe())
    optimiser.step()
    optimiser.step()
    doubles = {name: value for name, value in optimiser.state(LARGE).items() if value.dtype == torch.float64}

    assert set(doubles) == {"length", "scale"}
    assert all(value.shape == () for value in doubles.values())


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state.pop("variable"),
        lambda state: state.update(variable=torch.zeros(1, 3, 32, 41)),
        lambda state: state.update(variable=torch.zeros(3)),
        lambda state: state.update(direction=torch.zeros(5)),
        lambda state: state.pop("gradient"),
        lambda state: state.pop("changes"),
        lambda state: state.update(moves=torch.zeros(2, 7)),
        lambda state: state.update(factors=torch.zeros(3)),
    ],
)
def test_a_state_that_does_not_fit_the_image_is_refused(image, damage):
    optimiser = pixel_optimiser(image, bowl, Recipe())
    for _ in range(3):
        optimiser.step()
    state = optimiser.state(LARGE)
    damage(state)

    with pytest.raises(PaintingError, match="does not belong"):
        pixel_optimiser(image, bowl, Recipe()).restore(state)


def test_a_move_taken_back_leaves_the_picture_as_it_was_however_far_it_went(image):
    """No number moves by more than 1000, so that float32 still tells a tenth of an 8-bit level after the way back."""
    steep = by_autograd(lambda moved: 1e30 * moved.square().sum())

    class Reckless(Pixels):
        def first_length(self, direction, gradient):
            return 1.0

    optimiser = Optimiser(image, steep, Reckless(1), lr=1, history_size=5)
    optimiser.step()
    assert (optimiser.image - image).abs().max() == pytest.approx(1000, rel=1e-3)
    optimiser.undo()
    assert (optimiser.image - image).abs().max() < 0.1 / 255


def test_after_a_move_taken_back_the_next_is_as_careful_as_the_first(image, perceptual):
    optimiser = pixel_optimiser(image, perceptual, Recipe())
    for _ in range(6):
        before = optimiser.image.clone()
        optimiser.step()
    optimiser.undo()
    torch.testing.assert_close(optimiser.image, before)
    assert not optimiser.has_moved and not optimiser.remembers

    optimiser.step()
    fresh = pixel_optimiser(before, perceptual, Recipe())
    fresh.step()
    torch.testing.assert_close(optimiser.image, fresh.image)


def test_there_is_no_move_to_take_back_before_the_first(image, perceptual):
    optimiser = pixel_optimiser(image, perceptual, Recipe())
    optimiser.measure()
    optimiser.undo()

    assert not optimiser.has_moved
    assert torch.equal(optimiser.image, image)


def test_a_gradient_that_is_not_finite_is_nothing_to_move_by(image):
    for gradient, answer in ((1.0, True), (float("nan"), False), (float("inf"), False)):
        optimiser = pixel_optimiser(
            image, lambda at, g=gradient: Evaluation(Losses(1, 0, 0, 0), torch.full_like(at, g)), Recipe()
        )
        assert not optimiser.can_move
        optimiser.measure()
        assert optimiser.can_move == answer


def test_a_change_from_elsewhere_is_added_and_no_pair_comes_of_it(image, perceptual):
    optimiser = pixel_optimiser(image, perceptual, Recipe())
    optimiser.step()
    before = optimiser.variable.clone()
    optimiser.change_by(torch.full(SHAPE, 0.25))
    assert torch.equal(optimiser.variable, before + 0.25)

    optimiser.step()
    assert "moves" not in optimiser.state(LARGE)
    optimiser.step()
    assert len(optimiser.state(LARGE)["moves"]) <= 1


def spectral_optimiser(image, objective):
    basis = Spectral(*SHAPE[2:], torch.device("cpu"))
    return Optimiser(image, objective, basis, lr=1.0, history_size=12, history_dtype=torch.bfloat16)


def test_the_first_move_by_frequencies_has_the_same_size_whatever_the_weights(image, perceptual):
    def heavier(at):
        found = perceptual(at)
        return Evaluation(found.losses, found.gradient * 1000)

    moves = []
    for objective in (perceptual, heavier):
        optimiser = spectral_optimiser(image, objective)
        before = optimiser.variable.clone()
        optimiser.step()
        moves.append(optimiser.variable - before)

    torch.testing.assert_close(moves[0], moves[1], rtol=1e-3, atol=1e-5)
    assert moves[0].square().mean().sqrt().item() == pytest.approx(0.05, rel=1e-3)


@pytest.mark.parametrize("pause", [1, 2, 14])
def test_by_frequencies_too_the_path_goes_on_to_the_bit_after_a_pause(image, perceptual, pause):
    whole = spectral_optimiser(image, perceptual)
    curve = [whole.step() for _ in range(20)]
    first = spectral_optimiser(image, perceptual)
    before = [first.step() for _ in range(pause)]
    second = spectral_optimiser(torch.zeros(SHAPE), perceptual)
    second.restore(load(save(first.state(LARGE))))

    assert before + [second.step() for _ in range(20 - pause)] == curve
    assert torch.equal(second.variable, whole.variable)


def test_a_move_that_failed_can_be_tried_again_and_leads_where_it_would_have_led(image, perceptual, monkeypatch):
    """What was learnt of the move before is learnt once."""
    plain, troubled = (pixel_optimiser(image, perceptual, Recipe(lr=0.5)) for _ in range(2))
    for number in range(8):
        plain.step()
        troubled.measure()
        if number % 2:
            with monkeypatch.context() as patch, pytest.raises(MemoryError):
                patch.setattr(troubled, "_finite_direction", no_memory)
                troubled.move()
        troubled.move()
    assert torch.equal(plain.variable, troubled.variable)


def no_memory(gradient):
    raise MemoryError


def test_half_of_what_is_remembered_can_be_given_back(image, perceptual):
    optimiser = pixel_optimiser(image, perceptual, Recipe(lr=0.5))
    for _ in range(9):
        optimiser.step()
    remembered = len(optimiser._lbfgs)
    assert optimiser.remember_less() == remembered // 2
    for _ in range(5):
        optimiser.step()
    assert len(optimiser._lbfgs) == remembered // 2
    while optimiser.remember_less() is not None:
        pass
    assert not optimiser.remembers
