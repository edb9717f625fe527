"""A sweep is many runs of one experiment: the cells that a sweep file stands for, and processes that train them."""
