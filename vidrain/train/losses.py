"""What the layers have to satisfy pixel by pixel: one pure function per equation.

Tensors in, a scalar out; no weights, no state, no configuration. In autocast every loss is computed in float32 all
the same; float64 stays float64. An empty batch costs 0 and has a gradient of 0. Contrasts are in `contrast.py`.

    loss = reconstruction(observed, background, rain) + 0.1 * rain_sparsity(rain)

Pictures are [N, C, H, W], all in one range of values, whichever it is.
"""

from torch import Tensor

from vidrain.train.precision import in_full_precision

_SMALLEST = 1e-12  # of squares in [0, 1]: far below one code, keeps quotients finite


def mean_of(values: Tensor, counted: Tensor) -> Tensor:
    """Mean of `values` weighted by `counted` (of the same shape, or one that broadcasts); 0 where nothing counts."""
    weight = counted.to(values.dtype).expand_as(values)
    return (values.where(weight > 0, 0) * weight).sum() / weight.sum().clamp(min=_SMALLEST)


@in_full_precision
def reconstruction(observed: Tensor, background: Tensor, rain: Tensor) -> Tensor:
    """Mean squared error of B + R against O: the consistency term of NLCL."""
    return _mean((background + rain - observed).square())


@in_full_precision
def adversarial_generator(score: Tensor) -> Tensor:
    """Least squares (Mao et al. 2017): mean (D(B) - 1)^2 over all scores of the discriminator, of any shape."""
    return _mean((score - 1).square())


@in_full_precision
def adversarial_discriminator(score: Tensor, clean_score: Tensor) -> Tensor:
    """Least squares for D: half of mean D(B)^2 + mean (D(C) - 1)^2; B detached by the caller, C clean pictures."""
    return (_mean(score.square()) + _mean((clean_score - 1).square())) / 2


@in_full_precision
def rain_sparsity(rain: Tensor) -> Tensor:
    """Mean |R|: most of a picture is dry. On R itself; the published code has it on O - B."""
    return _mean(rain.abs())


@in_full_precision
def rain_non_negativity(rain: Tensor) -> Tensor:
    """Mean of max(-R, 0): rain only brightens. 0 for every R >= 0."""
    return _mean((-rain).clamp(min=0))


@in_full_precision
def temporal_consistency(background: Tensor, neighbour: Tensor, mask: Tensor) -> Tensor:
    """Mean |background - neighbour| under `mask`: that of another frame, warped onto this one, is the same.

    background, neighbour: [N, C, H, W]. mask: [N, 1, H, W], bool or a weight, 0 where the warp cannot be trusted
    (occlusions, beyond the picture). 0 where nothing can.
    """
    return mean_of((background - neighbour).abs(), mask)


@in_full_precision
def rain_decorrelation(rain: Tensor, neighbour: Tensor, mask: Tensor) -> Tensor:
    """Mean over pictures of the squared correlation of R with the rain of another frame, warped onto this one.

    A drop is elsewhere in the next frame, so what both hold at the same place of the scene is background. Correlation
    rather than the bare cosine: that of two rains that have nothing in common is above 0, as neither is negative.
    rain, neighbour: [N, C, H, W]; mask: [N, 1, H, W] as above. A picture counts where its mask is not all 0; one
    without any variation costs 0.
    """
    weight = mask.to(rain.dtype).expand_as(rain).flatten(1)
    total = weight.sum(1, keepdim=True).clamp(min=_SMALLEST)
    ours, theirs = (
        layer.flatten(1) - (layer.flatten(1) * weight).sum(1, keepdim=True) / total for layer in (rain, neighbour)
    )
    covariance = (weight * ours * theirs).sum(1) / total[:, 0]
    variances = [(weight * layer * layer).sum(1) / total[:, 0] for layer in (ours, theirs)]
    squared = covariance.square() / ((variances[0] + _SMALLEST) * (variances[1] + _SMALLEST))
    return mean_of(squared, weight.sum(1) > 0)


def _mean(values: Tensor) -> Tensor:
    """The mean; 0, with a gradient, of nothing at all."""
    return values.sum() / max(values.numel(), 1)
