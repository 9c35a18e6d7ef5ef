"""One page of what runs came to: videos with generated sound beside the truth, measures, curves, settings. Only reads the runs."""
