"""Speed beside peers: all in one run, interleaved, judged by ratios. `python -m benchmarks`."""
