"""Image folders made and examined: ``resnet_exp data split``, ``imagenet`` and ``check``."""
