"""The calibrated constants of butteraugli, as in libjxl 0.7.

They are facts of the metric, measured by its authors: Copyright (c) the JPEG XL Project Authors, BSD-3-Clause (see
NOTICE). Where two of them only ever occur as a product they are kept apart here and multiplied where they are used.
"""

from typing import Final, NamedTuple

MIN_SIDE_PX: Final = 8

#: Luminance of white on the display that is looked at, in nits.
INTENSITY_TARGET_NITS: Final = 80.0
#: Above 1, a lost detail counts more than an added one; the reference program uses 0.8.
HF_ASYMMETRY: Final = 0.8

# Opsin dynamics: absorbance of the three photopigments for linear RGB in nits, and the resting signal of each.
OPSIN_SIGMA: Final = 1.2
OPSIN_ABSORBANCE: Final = (
    (0.29956550340058319, 0.63373087833825936, 0.077705617820981968),
    (0.22158691104574774, 0.69391388044116142, 0.0987313588422),
    (0.02, 0.02, 0.20480129041026129),
)
OPSIN_BIAS: Final = (1.7557483643287353, 1.7557483643287353, 12.226454707163354)
# Response of a receptor: GAMMA_SCALE * ln(signal + GAMMA_BIAS) + GAMMA_OFFSET.
GAMMA_SCALE: Final = 19.245013259874995
GAMMA_BIAS: Final = 9.9710635769299145
GAMMA_OFFSET: Final = -23.16046239805755

# Frequency bands: a Gaussian is cut off at 2.25 sigma and normalised by the weights that lie inside the image.
BLUR_REACH_SIGMAS: Final = 2.25
LF_SIGMA: Final = 7.15593339443
MF_SIGMA: Final = 3.22489901262
HF_SIGMA: Final = 1.56416327805
REMOVE_MF_RANGE: Final = 0.29
AMPLIFY_MF_RANGE: Final = 0.1
REMOVE_HF_RANGE: Final = 1.5
AMPLIFY_HF_RANGE: Final = 0.132
REMOVE_UHF_RANGE: Final = 0.04
MAX_HF: Final = 28.4691806922
MAX_UHF: Final = 5.19175294647
ABOVE_MAX_SLOPE: Final = 0.724216145665
HF_Y_SCALE: Final = 2.155
UHF_Y_SCALE: Final = 2.69313763794
# Red-green in fine detail is harder to see where the luminance changes as well.
SUPPRESS_X_FLOOR: Final = 0.653020556257
SUPPRESS_X_BY_Y: Final = 46.0
LF_X_SCALE: Final = 32.2217497012
LF_Y_SCALE: Final = 13.7697791434
LF_B_SCALE: Final = 47.504615728
LF_Y_TO_B: Final = -0.362267051518


class MaltaWeights(NamedTuple):
    """How strongly a band's difference counts along a line: `lost` and `added` detail, `norm` of its saturation."""

    lost: float
    added: float
    norm: float


MALTA_LENGTH: Final = 3.75
MALTA_SCALE: Final = 0.39905817637
MALTA_LF_SCALE: Final = 0.611612573796
MALTA_LOST_SHARE: Final = 0.5
MALTA_ADDED_SHARE: Final = 0.33
#: A value between these multiples of the reference's counts as kept.
MALTA_TOO_SMALL: Final = 0.55
MALTA_TOO_BIG: Final = 1.05
UHF_X_MALTA: Final = MaltaWeights(173.5 * HF_ASYMMETRY, 173.5 / HF_ASYMMETRY, 5.0)
UHF_Y_MALTA: Final = MaltaWeights(1.10039032555 * HF_ASYMMETRY, 1.10039032555 / HF_ASYMMETRY, 71.7800275169)
HF_X_MALTA: Final = MaltaWeights(6923.99476109 * HF_ASYMMETRY**0.5, 6923.99476109 / HF_ASYMMETRY**0.5, 8051.15833247)
HF_Y_MALTA: Final = MaltaWeights(18.7237414387 * HF_ASYMMETRY**0.5, 18.7237414387 / HF_ASYMMETRY**0.5, 4498534.45232)
MF_X_MALTA: Final = MaltaWeights(8246.75321353, 8246.75321353, 1009002.70582)
MF_Y_MALTA: Final = MaltaWeights(37.0819870399, 37.0819870399, 130262059.556)

# Weights of the plain squared differences.
HF_X_SQUARED: Final = 400.0
HF_Y_SQUARED: Final = 1.50815703118
HF_SQUARED_SHARE: Final = 0.8
HF_SQUARED_TOO_SMALL: Final = 0.4
MF_X_SQUARED: Final = 2150.0
MF_Y_SQUARED: Final = 10.6195433239
MF_B_SQUARED: Final = 16.2176043152
LF_X_SQUARED: Final = 29.2353797994
LF_Y_SQUARED: Final = 0.844626970982
LF_B_SQUARED: Final = 0.703646627719

# Masking.
MASK_X_SCALE: Final = 2.5
MASK_Y_SCALE: Final = 0.4
MASK_GAIN: Final = 6.19424080439
MASK_BIAS: Final = 12.61050594197
MASK_SIGMA: Final = 2.7
MASK_ACTIVITY_SQUARED: Final = 10.0
EROSION_STEP_PX: Final = 3
EROSION_SHARES: Final = (0.45, 0.3, 0.25)
#: Scales the whole metric: 1 is a difference that is just noticed.
GLOBAL_SCALE: Final = 1.0 / (17.8 * 0.79079917404)


class MaskCurve(NamedTuple):
    """Visibility of a difference under a mask `m`: (GLOBAL_SCALE * (1 + gain / (slope * m + offset))) ** 2."""

    offset: float
    slope: float
    gain: float


AC_MASK: Final = MaskCurve(0.829591754942, 0.451936922203, 2.5485944793)
DC_MASK: Final = MaskCurve(0.20025578522, 3.87449418804, 0.505054525019)

# The two scales: at half scale the image is averaged over 2 x 2 pixels.
HALF_SCALE_WEIGHT: Final = 0.5
FULL_SCALE_WEIGHT: Final = 1.0 - 0.3 * HALF_SCALE_WEIGHT
#: The norm is the mean of those for p, 2 p and 4 p.
NORM_P: Final = 3
