"""What each colour of a gallery means. RGB.

Five of the eight colours that Okabe and Ito chose so that people with any kind of colour blindness tell them apart
("Color Universal Design", 2008). Lightness differs as well: yellow and sky blue are light, vermilion and green dark.
"""
TRUTH = (240, 228, 66)
PREDICTION = (86, 180, 233)
# The second model of a comparison.
OTHER = (213, 94, 0)
# A comparison's pixels that both models get right inside the truth, and that both get wrong.
BOTH_RIGHT, BOTH_WRONG = (0, 158, 115), (204, 121, 167)

# How much of a colour covers the photo: a prediction's, as in ``visualization.overlay``, and a difference's, where four
# colours must be told apart on any background.
ALPHA, DIFFERENCE_ALPHA = 0.45, 0.65

# Dark blue to yellow, lighter all the way: samples of matplotlib's viridis at 0, 1/8, ... 1.
HEAT = ((68, 1, 84), (71, 45, 123), (59, 82, 139), (44, 114, 142), (33, 145, 140), (40, 174, 128), (94, 201, 98),
        (173, 220, 48), (253, 231, 37))
