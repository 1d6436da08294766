"""Silver: MobileNetV2 features, their moments, and the features on one scale."""
