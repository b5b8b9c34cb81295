"""The running graph, bags and datasets in other people's viewers: Rerun and Foxglove. Their libraries are optional."""
