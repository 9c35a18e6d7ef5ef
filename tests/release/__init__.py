"""What is released, as its users get it: the wheel, the site, the commands of the documentation. Slow."""
