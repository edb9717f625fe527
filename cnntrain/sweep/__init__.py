"""A sweep is many runs of one experiment: a plan of what differs between them, and processes that train them."""
