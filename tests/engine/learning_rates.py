"""The learning rates that a schedule gives."""

import torch


def rates(schedule, steps, lr):
    """The rate of each step of a run, and the scheduler, which has taken them."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = schedule.setup().get_scheduler(optimizer, lr)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found, scheduler
