import pytest

from inr_plugins.viewer.budget import Budget, Cost, PieceSize, Toll


def test_the_slider_sets_what_refreshes_may_have():
    kept = [0.85]
    budget = Budget(lambda: kept[0])
    shares = []
    for kept[0] in (1.0, 0.85, 0.5, 0.0):
        shares.append(budget.share("refresh"))
    assert shares == sorted(shares)
    assert shares[0] < 0.05
    assert shares[-1] == 1.0
    assert budget.share("sharp") == 1.0


def test_what_was_used_is_waited_for_in_proportion():
    """A tenth of a second at a share of a quarter takes 0.4 s; that others had of it is not waited for again."""
    budget = Budget(lambda: 0.85)
    share = budget.share("refresh")
    assert budget.spend(0.1, "refresh", took=0.1) == pytest.approx(0.1 / share - 0.1, abs=0.02)
    # A second page pays for its own on top.
    assert budget.spend(0.1, "refresh", took=0.1) > 0.1 / share
    assert Budget(lambda: 0.85).spend(0.1, "refresh", took=5.0) == 0
    assert Budget(lambda: 0.85).spend(0.1, "sharp", took=0.1) == 0


def test_cost_is_learnt_from_two_sizes():
    """A frame that costs 0.01 s and 10 microseconds a ray."""
    cost = Cost()
    assert not cost.is_known
    for rays in (1000, 100_000):
        cost.note(rays, 0.01 + 1e-5 * rays)
    assert cost.of(50_000) == pytest.approx(0.51, rel=0.01)
    assert cost.rays_for(0.51) == pytest.approx(50_000, rel=0.01)


def test_pieces_take_so_long_that_a_moved_camera_does_not_wait():
    size = PieceSize(lambda: 1 << 20)
    for _ in range(12):
        size.note(size.rays(), 1e-6 * size.rays())
    assert 60_000 <= size.rays() <= 140_000


def test_what_each_piece_costs_does_not_keep_pieces_small():
    """Steps of sphere tracing take 40 ms for few rays, and 10 microseconds more for each."""
    size = PieceSize(lambda: 1 << 20)
    for _ in range(20):
        size.note(size.rays(), 0.04 + 1e-5 * size.rays())
    assert 4000 < size.rays() < 14_000


def test_rays_that_have_become_a_hundred_times_slower_are_waited_for_once():
    size = PieceSize(lambda: 1 << 15)
    for _ in range(12):
        size.note(size.rays(), 1e-6 * size.rays())
    size.note(size.rays(), 1e-4 * size.rays())
    assert size.rays() <= 600
    # Not even once, where something new is to be drawn.
    for _ in range(12):
        size.note(size.rays(), 1e-6 * size.rays())
    assert size.rays() > 20_000
    size.doubt()
    assert size.rays() <= 600
    size.note(size.rays(), 1e-6 * size.rays())
    assert size.rays() > 2000


def test_a_cost_of_each_piece_does_not_make_pieces_ever_smaller():
    """Sphere tracing takes its steps for one ray as for a thousand."""
    size = PieceSize(lambda: 8192)
    for _ in range(12):
        size.note(size.rays(), 0.1 + 1e-6 * size.rays())
    assert size.rays() >= 256


@pytest.mark.parametrize("lost", [0.3, 1.6])
def test_the_toll_is_learnt_from_trainings_own_speed(lost):
    """Ten steps a second alone; drawing on one processor all the time would lose the part `lost` of them."""
    toll = Toll(guess=0.9)
    budget = Budget(lambda: 0.85, toll=toll)
    at = 0.0
    for window in range(40):
        share = 0.5 * (window % 3) / 2
        speed = 10 * (1 - lost * share)
        budget.spend(share * 1.0, "refresh", took=1.0)
        end = at + 1.0
        while at < end:
            at += 1 / speed
            toll.note_step(at=at)
    assert toll.estimate == pytest.approx(lost, rel=0.15)
    # Pauses of training, such as evaluations, say nothing.
    for pause in range(1, 20):
        toll.note_drawing(100 * (pause % 2))
        toll.note_step(at=at + 100 * pause)
    assert toll.estimate == pytest.approx(lost, rel=0.15)


def test_who_draws_nothing_learns_nothing():
    toll = Toll(guess=0.9)
    for step in range(100):
        toll.note_step(at=0.3 * step)
    assert toll.estimate == 0.9


@pytest.mark.parametrize("sharp", [0, 2])
def test_what_all_processors_draw_says_nothing_of_what_one_costs(sharp):
    """Drawing on half a processor costs a third of ten steps a second; while a sharp frame is drawn there are none."""
    toll = Toll(guess=1.0)
    budget, at = Budget(lambda: 0.85, toll=toll), 0.0
    for second in range(40):
        is_moving = second % 2 == 1
        for _ in range(10):
            at += 0.15 if is_moving else 0.1
            toll.note_step(at=at)
            if is_moving:
                budget.spend(0.075, "moving", took=0.15)
        if is_moving:
            for _ in range(sharp):
                budget.spend(1.0, "sharp", took=1.0)
            at += sharp
    assert toll.estimate == pytest.approx(0.67, abs=0.1)


def test_a_dearer_toll_leaves_less():
    """Of 15 % of its speed, at a loss of 1.5 a processor, a tenth of one, and 0.7 of that for drawing itself."""
    assert Budget(lambda: 0.85, toll=Toll(guess=1.5)).share("refresh") == pytest.approx(0.07)


def test_a_moving_camera_does_not_wait_for_what_refreshes_owe():
    budget = Budget(lambda: 0.85)
    budget.spend(5.0, "refresh", took=0.1)
    assert budget.owed > 5
    assert budget.spend(0.01, "moving", took=0.05) == 0
    budget.forgive()
    assert budget.owed == 0


def test_an_errand_and_refreshes_together_cost_training_half():
    kept = [0.85]
    # One processor drawn on costs all of training's speed.
    budget = Budget(lambda: kept[0], toll=Toll(guess=1.0))
    assert budget.share("errand") + budget.share("refresh") / 0.7 == pytest.approx(0.5)
    kept[0] = 1.0
    assert budget.share("errand") == pytest.approx(0.5)
    kept[0] = 0.0
    assert budget.share("errand") == 1.0


def test_cost_that_is_learnt_anew_forgets_what_was():
    cost = Cost()
    for rays in (1000, 100_000):
        cost.note(rays, 1e-6 * rays)
    cost.learn_anew(500, 0.1)
    assert cost.of(1000) == pytest.approx(0.2)


@pytest.mark.parametrize(("toll", "share"), [(0.3, 0.8), (0.7, 0.5 / 0.7), (1.3, 0.65)])
def test_a_moving_camera_costs_training_half_where_four_pictures_a_second_can_be_had_for_that(toll, share):
    assert Budget(lambda: 0.85, toll=Toll(guess=toll)).share("moving") == pytest.approx(share)
