"""The paper's own comparisons, run at a size that fits one machine, and a page of what came of them."""
