"""The checker of types at run time: beartype, with ints taken where floats are asked for, as PEP 484 has it."""

from beartype import BeartypeConf, beartype

typecheck = beartype(conf=BeartypeConf(is_pep484_tower=True))
