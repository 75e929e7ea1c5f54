"""A planned run or sweep as a file that another program starts: ``resnet_exp plan ... --write KIND FILE``."""
