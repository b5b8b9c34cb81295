"""What each stage does. Every module has `work(job) -> Made`, run in a process of its own."""
