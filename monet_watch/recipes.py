"""The named recipes: every number of the method, as frozen records.

The method is Gatys, Ecker and Bethge, "Image Style Transfer Using Convolutional Neural Networks" (CVPR 2016).
A recipe is plain data: it can be pickled, hashed, compared, and written into a painting's record.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = ["CLASSIC", "GALLERY", "LAYERS", "PRINT", "RECIPES", "SWIFT", "Layer", "Recipe"]

LAYERS: tuple[str, ...] = tuple(
    f"conv{block}_{number}" for block, count in enumerate((2, 2, 4, 4, 1), start=1) for number in range(1, count + 1)
)
"""The convolutions of VGG-19 up to conv5_1, from the picture inwards."""

Layer = Literal[
    "conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv3_4",
    "conv4_1", "conv4_2", "conv4_3", "conv4_4", "conv5_1",
]  # fmt: skip


def _distinct_in_depth_order(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    if len(set(layers)) != len(layers):
        raise ValueError("a layer is named twice; name each layer once")
    return tuple(sorted(layers, key=LAYERS.index))


Layers = Annotated[tuple[Layer, ...], Field(min_length=1), AfterValidator(_distinct_in_depth_order)]


_FIRST_STAGE = 5  # steps, where progress pictures come further and further apart


def _zero_or_large_enough(side: int) -> int:
    if 0 < side < 16:
        raise ValueError("must be 0, or at least 16 pixels")
    return side


class Recipe(BaseModel):
    """Every number of one way to paint. Frozen; equal recipes paint equal pictures from equal inputs.

    Raises pydantic.ValidationError on a value out of bounds or an unknown name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    recipe: str = Field("classic", description="name of the recipe that the other values started from")
    image_size: int = Field(512, ge=32, le=16384, description="short side of the painting, in pixels")
    enlarge: bool = Field(False, description="enlarge a photo whose short side is below image_size")
    style_layers: Layers = Field(
        ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"),
        description="layers whose Gram matrices hold the textures and colours",
    )
    content_layers: Layers = Field(("conv4_2",), description="layers whose activations hold the structure")
    style_weight: float = Field(1e6, ge=0, le=1e15, description="weight of the style loss in the sum")
    content_weight: float = Field(1.0, ge=0, le=1e15, description="weight of the content loss in the sum")
    tv_weight: float = Field(1e-6, ge=0, le=1e15, description="weight of the total variation in the sum")
    steps: int = Field(400, ge=1, le=100_000, description="the most evaluations of the loss and its gradient")
    lr: float = Field(0.03, gt=0, le=10, description="learning rate of L-BFGS")
    history_size: int = Field(100, ge=1, le=1000, description="pairs of vectors that L-BFGS remembers")
    save_every: int = Field(
        50,
        ge=0,
        le=100_000,
        description="steps between progress pictures; 0: further and further apart, as the loss falls more slowly",
    )
    style_scale: float = Field(
        1.0, ge=0.05, le=8, description="short side of the style picture, as a multiple of image_size"
    )
    initial_image: Literal["photo", "recoloured", "noise"] = Field(
        "photo", description="what the painting starts from; recoloured is the photo in the style picture's colours"
    )
    seed: int = Field(0, ge=0, le=2**63 - 1, description="seed of everything random")
    parametrisation: Literal["pixels", "spectral"] = Field(
        "pixels",
        description="what L-BFGS moves: bare pixels, or a picture that is always in range, by frequency and colour",
    )
    precision: Literal["auto", "bf16", "tf32", "fp32"] = Field(
        "fp32", description="what the network computes in; auto is bf16 where the device does it well"
    )
    padding: Literal["zeros", "replicate", "reflect"] = Field(
        "zeros", description="what the network sees beyond the picture's borders"
    )
    style_statistic: Literal["gram", "gaussian"] = Field(
        "gram", description="how styles are compared: by Gram matrices, or as Gaussians of activations (Wasserstein-2)"
    )
    style_tap: Literal["before_relu", "after_relu"] = Field(
        "before_relu", description="which activations of style_layers hold the style"
    )
    style_falloff: float = Field(
        1.0, ge=0.1, le=100, description="how many times more a style layer counts than the next deeper one"
    )
    smooth_weight: float = Field(
        0.0, ge=0, le=1e15, description="weight of the mean squared difference of neighbouring pixels in the sum"
    )
    least_gain: float = Field(
        0.0, ge=0, lt=1, description="share of the loss that ten steps must win for another to be taken; 0: take all"
    )
    rest_below: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the loss below which the deepest style layer is left out of most steps",
    )
    coarsest: Annotated[int, AfterValidator(_zero_or_large_enough)] = Field(
        0,
        ge=0,
        le=16384,
        description="short side at which a painting begins, to be doubled; 0: begin at full size",
    )
    coarse_steps: int = Field(24, ge=1, le=100_000, description="steps at each size but the last")
    enlarge_style: bool = Field(False, description="enlarge a style picture that is smaller than style_scale asks for")

    def with_changes(self, changes: Mapping[str, object]) -> "Recipe":
        """Return a validated copy with ``changes`` applied (field name to value).

        Raises pydantic.ValidationError on an unknown field or a value out of bounds.
        """
        return Recipe.model_validate({**self.model_dump(), **changes})

    def has_stage_at(self, step: int) -> bool:
        """Say whether a progress picture is due after ``step``, counted from 1.

        Where ``save_every`` is 0 they come after 5, 10, 15, 20, 30, 40, 60, 80, 120, 160 ... steps, doubling by turns:
        a painting that ends by itself, after 40 steps or after 150, has six to nine of them.
        """
        return step % self.save_every == 0 if self.save_every else step in self.stages(step)

    def stages(self, steps: int) -> list[int]:
        """Return after which steps progress pictures are due in a painting of ``steps``."""
        if self.save_every:
            return list(range(self.save_every, steps + 1, self.save_every))
        found = [_FIRST_STAGE, 2 * _FIRST_STAGE, 3 * _FIRST_STAGE]
        while found[-1] < steps:
            found.append(2 * found[-2])
        return [step for step in found if step <= steps]


CLASSIC = Recipe(recipe="classic")
"""The method as its authors' report describes it: L-BFGS on the pixels with a small learning rate."""

SWIFT = Recipe(
    recipe="swift",
    parametrisation="spectral",
    initial_image="recoloured",
    precision="auto",
    lr=1.0,
    history_size=12,
    steps=150,
    save_every=0,
    least_gain=0.015,
    rest_below=0.005,
)
"""The objective of `CLASSIC`, brought as low in a small part of its time."""

GALLERY = SWIFT.with_changes(
    {
        "recipe": "gallery",
        "padding": "replicate",
        "style_statistic": "gaussian",
        "style_tap": "after_relu",
        "style_falloff": 4.0,
        "style_weight": 2.0,
        "content_weight": 1.5,
        "tv_weight": 0.0,
        "smooth_weight": 7000.0,
        "coarsest": 256,
        "coarse_steps": 30,
        "rest_below": 0.0,
    }
)
"""Another objective, for a cleaner picture: strokes without speckle, quiet skies, no line along the border."""

PRINT = GALLERY.with_changes(
    {
        "recipe": "print",
        "image_size": 2048,
        "enlarge": True,
        "enlarge_style": True,
        "coarsest": 512,
        "coarse_steps": 24,
    }
)
"""`GALLERY` for pictures that are hung on a wall: begun small, so that brush strokes are as large as in a small one."""

RECIPES: Mapping[str, Recipe] = {recipe.recipe: recipe for recipe in (SWIFT, GALLERY, PRINT, CLASSIC)}
"""Every named recipe."""
