"""The engine runs the graph over shards of a batch on worker threads, with the same bits for any number of them."""
