"""Which optimizer moves which parameter: stated once, checked before the first step.

In the published training two of three sets of heads never moved, since one optimizer was built on the parameters of
another and one was cleared where it should have stepped. So the optimizers are made from one table, and a trainable
parameter that is in none of its rows, or in two, is an error.

    table = parameters_of({"restorer": [back, rain, heads], "discriminator": [discriminator]})
    optimizers = {name: torch.optim.Adam(rows.values()) for name, rows in table.items()}
"""

from collections.abc import Mapping, Sequence

from torch import nn


def parameters_of(players: Mapping[str, Sequence[nn.Module]]) -> dict[str, dict[str, nn.Parameter]]:
    """Player -> name -> trainable parameter, each exactly once. Names are `place.name`, place counting its modules.

    Raises ValueError for a parameter that two players, or one twice, would move; for a player with nothing to move.
    """
    table: dict[str, dict[str, nn.Parameter]] = {}
    owners: dict[int, str] = {}
    for player, modules in players.items():
        table[player] = {}
        for place, module in enumerate(modules):
            for name, parameter in module.named_parameters(f"{place}"):
                if not parameter.requires_grad:
                    continue
                if (owner := owners.get(id(parameter))) is not None:
                    raise ValueError(f"{player}: {name} is moved by {owner} already; want one optimizer per parameter")
                owners[id(parameter)] = f"{player}: {name}"
                table[player][name] = parameter
        if not table[player]:
            raise ValueError(f"{player}: holds no trainable parameter; leave it out")
    return table


def require_all(table: Mapping[str, Mapping[str, nn.Parameter]], modules: Mapping[str, nn.Module]) -> None:
    """ValueError unless every trainable parameter of `modules`, by name, is in the table: none is forgotten."""
    moved = {id(parameter) for rows in table.values() for parameter in rows.values()}
    for owner, module in modules.items():
        for name, parameter in module.named_parameters():
            if parameter.requires_grad and id(parameter) not in moved:
                raise ValueError(f"{owner}.{name} is in no optimizer; name its module among a player's")
