"""MobileNetV2 as it is used here."""

NAME = "mobilenetv2"
"""The encoder's name, with which its feature versions begin."""
DIMENSION = 1280
"""Features of a photograph."""
SIZE = 224
"""Pixels a side of what the network is given."""
REVISION = "r1"
"""Of the preprocessing: raised when the same photograph would give other features."""
WEIGHTS = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
"""The name that Keras gives the file of the ImageNet weights."""
