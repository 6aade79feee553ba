"""The recipes that docs/training.md names are ones that a run takes."""

import json
from pathlib import Path

import pytest

from codemem.model.config import MemoryConfig
from codemem.training.recipe import Recipe

RECIPES = sorted((Path(__file__).parents[2] / "training" / "recipes").glob("*.json"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_read_whole(path: Path) -> None:
    settings = json.loads(path.read_text(encoding="utf-8"))
    recipe = Recipe.from_json(MemoryConfig((5, 8, 11)), settings)
    assert recipe.seconds == settings.get("seconds")
    assert len(recipe.phases) == len(settings.get("phases", [1]))
    assert dict(recipe.kinds) == settings.get("kinds", {})


def test_the_seventh_leaves_the_lower_half_alone() -> None:
    settings = json.loads(next(path for path in RECIPES if path.stem == "seventh").read_text(encoding="utf-8"))
    recipe = Recipe.from_json(MemoryConfig((5, 8, 11)), settings)
    assert recipe.fixed_below == recipe.reading_from == 11
    assert not any(phase.questions or phase.hops for phase in recipe.phases)
