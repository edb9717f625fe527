"""Parts for cnntrain, as a package of their own: a layer, an optimizer and a metric, one file each."""
